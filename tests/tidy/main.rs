//! Holds the map against the land: what ARCHITECTURE.md, README.md and the house rules say must be
//! what lies here. Judges text and manifests only; behaviour is for the other tests. Every check is
//! a function from a [`tree::Tree`] to the problems in it, and is shown a bad sample beside it.
#![expect(
    clippy::disallowed_methods,
    reason = "reads the project's own files and asks its own binary for help"
)]

mod floors;
mod papers;
mod reach;
mod rooms;
mod shape;
mod source;
mod stories;
mod tree;
mod wall;

use std::process::Command;

use tree::Tree;

/// Fails with one line a problem.
fn none(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn the_table_of_floors_is_what_the_manifests_say() {
    none(floors::floors(&Tree::of_project()));
}

#[test]
fn the_rooms_of_the_map_are_the_modules_of_the_crates() {
    none(rooms::rooms(&Tree::of_project()));
}

#[test]
fn the_engine_builds_without_the_simulator() {
    none(floors::engine_names_sim(&Tree::of_project()));
}

#[test]
fn every_crate_stands_behind_the_lint_wall() {
    none(floors::outside_the_wall(&Tree::of_project()));
}

#[test]
fn every_ban_names_its_replacement() {
    none(wall::bans(&Tree::of_project()));
}

#[test]
fn every_door_in_the_wall_says_why() {
    none(wall::unexplained_doors(&Tree::of_project()));
}

#[test]
fn no_file_is_longer_than_a_room() {
    none(shape::long_files(&Tree::of_project()));
}

#[test]
fn every_function_can_be_read_in_one_breath() {
    none(shape::long_functions(&Tree::of_project()));
}

#[test]
fn every_file_opens_with_a_door() {
    none(shape::closed_doors(&Tree::of_project()));
}

#[test]
fn nothing_unwraps_outside_of_tests() {
    none(shape::unwraps(&Tree::of_project()));
}

#[test]
fn every_select_is_biased() {
    none(shape::unbiased_selects(&Tree::of_project()));
}

#[test]
fn every_file_is_part_of_a_crate() {
    none(reach::orphans(&Tree::of_project()));
}

#[test]
fn every_scenario_has_a_report_and_every_report_a_scenario() {
    none(stories::pairs(&Tree::of_project()));
}

#[test]
fn every_fact_is_asserted_by_a_check_a_scenario_or_a_test() {
    none(stories::unasserted_facts(&Tree::of_project()));
}

#[test]
fn no_test_is_ignored() {
    none(stories::ignored_tests(&Tree::of_project()));
}

#[test]
fn every_command_of_the_readme_is_understood() {
    let help = |verb: &[&str]| {
        let binary = env!("CARGO_BIN_EXE_slackwater");
        let output = Command::new(binary).args(verb).arg("--help").output();
        let output = output.expect("cargo has built the binary for this test");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    none(papers::unknown_commands(Tree::of_project().text("README.md"), help));
}

#[test]
fn the_code_of_the_readme_stands_in_an_example() {
    none(papers::stray_code(&Tree::of_project()));
}

#[test]
fn ci_runs_what_the_readme_promises() {
    none(papers::ci_misses(&Tree::of_project()));
}

#[test]
fn the_changelog_says_what_comes_next() {
    none(papers::changelog(&Tree::of_project()));
}

#[test]
fn nothing_names_a_place_on_one_machine() {
    none(papers::machine_paths(&Tree::of_project()));
}

//! What steps and calm are read as, and how mistakes in them are told.
//! No world runs here; stories with steps are `cancel-and-resubmit` and its neighbours.

use crate::scenario::tests::{GOOD, read};

const EXPECT: &str = "[[expect]]\ncheck = \"conservation\"\nlate = { at_most = 0 }\n";

/// The good file with this before its expectations.
fn with(part: &str) -> String {
    GOOD.replace(EXPECT, &format!("{part}\n{EXPECT}"))
}

fn step(run: &str) -> String {
    with(&format!("[[step]]\nname = \"it\"\nrun = \"{run}\"\n"))
}

#[test]
fn a_person_types_what_the_engine_knows() {
    for good in [
        "list",
        "list -a",
        "cancel $job",
        "cancel $wave",
        "savepoint $job",
        "stop --drain $job",
        "savepoint show $job",
        "plan wave --against $job",
        "run -d wave",
        "run -d wave@v1",
    ] {
        assert!(read(&step(good)).is_ok(), "{good}: {:?}", read(&step(good)).err());
    }
}

#[test]
fn what_cannot_be_typed_is_refused_by_name() {
    for (wrong, told) in [
        ("savepoint", "required arguments were not provided"),
        ("cancel $jobb", "nobody has told what $jobb is by then"),
        ("run --local wave", "leave out --local"),
        ("series export --series x", "a step asks a cluster or a store"),
        ("lsit", "unrecognized subcommand 'lsit'"),
        ("run -d wvae", "unknown program \"wvae\""),
        ("run -d wave --set stps=3", "stps"),
    ] {
        let mistake = read(&step(wrong)).expect_err(wrong).render();
        assert!(mistake.contains(told), "{wrong}: {mistake}");
    }
}

#[test]
fn a_mistake_that_is_expected_may_be_typed() {
    let step = "[[step]]\nname = \"it\"\nrun = \"lsit\"\nexit = 2\n";
    assert!(read(&with(step)).is_ok());
}

#[test]
fn a_run_begins_with_the_settings_of_its_job() {
    let step = "[[step]]\nname = \"it\"\nrun = \"run -d wave\"\njob = { as = \"two\", set = { rows = 7 } }\n";
    let scenario = read(&with(step)).expect("a good file");
    let steps = &scenario.cells[0].steps;
    let settings: Vec<_> = steps.programs[0].settings.iter().collect();
    let text = |words: [&str; 2]| words.map(str::to_owned);
    let expected = [text(["rows", "7"]), text(["steps", "4"])];
    assert_eq!(settings, expected.iter().map(|[k, v]| (k, v)).collect::<Vec<_>>());
    assert_eq!(steps.lines[0].job, "two");
}

#[test]
fn a_calm_names_nodes_that_are_there() {
    let calm = |core: &str| with(&format!("[calm]\nfrom = {{ at = \"5s\" }}\ncore = {core}\n"));
    for good in ["\"all\"", "\"random_sufficient\"", "[\"jm\", \"tm-2\"]"] {
        assert!(read(&calm(good)).is_ok(), "{good}: {:?}", read(&calm(good)).err());
    }
    for (wrong, told) in [
        ("\"some\"", "random_sufficient"),
        ("[\"jm\", \"tm-3\"]", "no node"),
        ("[\"tm-1\"]", "lead"),
    ] {
        let mistake = read(&calm(wrong)).expect_err(wrong).render();
        assert!(mistake.contains(told), "{wrong}: {mistake}");
    }
}

#[test]
fn what_people_do_beside_the_story_are_faults() {
    for deed in ["list", "cancel+resubmit", "savepoint", "stop+resume", "savepoint+cancel+resume"] {
        let fault =
            format!("[[fault]]\nname = \"act\"\nwhen = {{ at = \"1s\" }}\ndo = \"{deed}\"\n");
        assert!(read(&with(&fault)).is_ok(), "{deed}: {:?}", read(&with(&fault)).err());
    }
}

//! What a scenario file may say, and what it is told when it says something else.
//! Plays nothing. The program here has two settings; real ones are in `slackwater-jobs`.

use std::sync::Arc;

use slackwater_dataflow::stream::{Catalog, Env, Settings};
use slackwater_dataflow::task::{PlanError, Programs};

use super::format::Must;
use super::{Mistake, Scenario};

pub(super) fn programs() -> Arc<dyn Programs> {
    fn wave(env: &Env, settings: &mut Settings) -> Result<(), PlanError> {
        let _steps: u32 = settings.take("steps", 10)?;
        let rows = settings.take("rows", 1u64)?;
        let make = |_, at: u64| (slackwater_core::time::EventTime::from_millis(0), at);
        let source = slackwater_connect::generate::source(1, rows, make);
        let marks = slackwater_dataflow::watermark::Watermarks::ascending();
        let rows = env.source("rows", source, marks);
        let point = |row: &u64| {
            let time = slackwater_core::time::EventTime::from_millis(*row as i64);
            slackwater_core::point::Point::new("rows", "row", time, [("value", 1i64.into())])
        };
        rows.sink("rows-sink", slackwater_connect::series::sink(point));
        Ok(())
    }
    Arc::new(Catalog::new().job("wave", "v1", wave))
}

pub(super) const GOOD: &str = r#"format = 1
title = "a wave"
tags = ["ci"]

[run]
seeds = "0..2"
stop = "finished"
limit = { sim = "9s" }

[cluster]
task_managers = 2
net = { delay = "1ms..9ms", shape = "exp" }

[job]
program = "wave"
set = { steps = 4 }

[[fault]]
name = "kill"
when = { at = "1s..2s" }
do = "crash"
on = { role = "task_manager", pick = 1 }
down = "1s"

[[expect]]
check = "conservation"
late = { at_most = 0 }
"#;

pub(super) fn read(text: &str) -> Result<Scenario, Mistake> {
    Scenario::read("scenarios/wave.toml", text, &programs())
}

/// The good file with one piece replaced: where it says the mistake is, and what is said.
fn mistake(from: &str, to: &str) -> (usize, usize, String) {
    assert!(GOOD.contains(from), "{from}");
    let mistake = read(&GOOD.replacen(from, to, 1)).expect_err(to);
    let (line, column) = mistake.place();
    let help = miette::Diagnostic::help(&mistake).map_or(String::new(), |help| format!("; {help}"));
    (line, column, format!("{mistake}{help}"))
}

#[test]
fn a_good_file_is_read_whole() {
    let scenario = read(GOOD).map_err(|mistake| mistake.render()).expect("good");
    assert_eq!((scenario.name.as_str(), scenario.cells.len()), ("wave", 1));
    let cell = &scenario.cells[0];
    assert_eq!(cell.programs[0].to_string(), "wave@v1 steps=4");
    assert_eq!(cell.document.run.listed(), [0, 1]);
    assert_eq!((cell.expectations[0].must, cell.expectations[0].bounds.len()), (Must::Hold, 1));
    assert!(scenario.has_tag("ci") && !scenario.has_tag("nightly"));
}

/// What is written instead of what, where the mistake is, and how it is told.
const MISTAKES: &[(&str, &str, (usize, usize), &str)] = &[
    ("tags =", "tag =", (3, 1), "unknown field `tag`; did you mean `tags`?"),
    ("seeds = \"0..2\"", "seed = \"0..2\"", (6, 1), "unknown field `seed`; did you mean `seeds`?"),
    ("\"finished\"", "\"finshed\"", (7, 8), "unknown variant `finshed`; did you mean `finished`?"),
    ("sim = \"9s\"", "sim = \"9\"", (8, 17), "expected a span such as"),
    ("\"exp\"", "\"expo\"", (12, 37), "unknown variant `expo`; did you mean `exp`?"),
    ("\"wave\"", "\"wvae\"", (15, 11), "unknown program \"wvae\"; did you mean `wave`?"),
    ("steps = 4", "stesp = 4", (16, 9), "setting \"stesp\": unknown; did you mean \"steps\"?"),
    ("steps = 4", "steps = \"many\"", (16, 17), "setting \"steps\": cannot read \"many\""),
    ("\"crash\"", "\"crush\"", (21, 6), "unknown variant `crush`; did you mean `crash`?"),
    (
        "task_manager\"",
        "task_manger\"",
        (22, 15),
        "unknown variant `task_manger`; did you mean `task_manager`?",
    ),
    ("pick = 1", "pick = 2", (22, 38), "there is no number 2: the cluster has 2 of this role"),
    ("down = \"1s\"", "for = \"1s\"", (23, 7), "this deed has no `for`: use `down`"),
    (
        "conservation",
        "conversation",
        (26, 9),
        "unknown check \"conversation\"; did you mean `conservation`?",
    ),
    ("late =", "lat =", (27, 1), "the check conservation has no key `lat`; did you mean `late`?"),
    ("{ at_most = 0 }", "0", (27, 8), "`late` of conservation is a measure"),
    ("format = 1", "format = 2", (1, 10), "format 2 is not known here, 1 is"),
    ("steps = 4", "steps = \"$s\"", (16, 17), "the matrix has no axis `s`; there is none"),
    (
        "at = \"1s..2s\"",
        "event = \"checkpoint.complete\"",
        (20, 18),
        "unknown event \"checkpoint.complete\"; did you mean `checkpoint.completed`?",
    ),
    (
        "conservation\"",
        "recovered\"\nfrom = { healed = \"kil\" }",
        (27, 8),
        "there is no fault \"kil\"; did you mean `kill`?",
    ),
    (
        "conservation\"",
        "recovered\"\nfrom = { event = \"job.restored\", where = { checkpont = 1 } }",
        (27, 8),
        "the event job.restored has no field `checkpont`; did you mean `checkpoint`?",
    ),
    (
        "conservation\"",
        "recovered\"\nfrom = \"retrun\"",
        (27, 8),
        "`from` of recovered is \"fault\", \"return\", { healed = FAULT }",
    ),
    ("[[fault]]", "[[falt]]", (18, 3), "unknown field `falt`; did you mean `fault`?"),
    ("\"0..2\"", "\"frsh\"", (6, 9), "expected a seed such as 7, 0x2f1c or a range 0..16"),
    ("\"9s\" }", "\"9s\", step = 5 }", (8, 23), "unknown field `step`; did you mean `steps`?"),
    (
        "down =",
        "disk = \"lose_unsyncd\"\ndown =",
        (23, 8),
        "unknown variant `lose_unsyncd`; did you mean `lose_unsynced`?",
    ),
    ("down =", "odds = 2\ndown =", (23, 8), "`odds` is a chance between 0 and 1"),
    (
        "do = \"crash\"",
        "do = { one_of = [] }",
        (21, 6),
        "write { one_of = [VALUE, …] } with at least one",
    ),
    ("format = 1", "base = 7", (1, 8), "base is the name of a file"),
];

#[test]
fn every_typo_is_told_with_its_place_and_the_nearest_name() {
    for (from, to, place, expected) in MISTAKES {
        let (line, column, text) = mistake(from, to);
        assert_eq!((line, column), *place, "{from} -> {to}: {text}");
        assert!(text.starts_with(expected), "{from} -> {to}: {text}");
    }
}

#[test]
fn a_mistake_is_shown_with_its_line_and_a_caret() {
    let text = GOOD.replacen("conservation", "conversation", 1);
    let shown = read(&text).expect_err("a typo").render();
    for piece in ["scenarios/wave.toml:26:9", "check = \"conversation\"", "─┬─", "did you mean"]
    {
        assert!(shown.contains(piece), "{piece:?} in\n{shown}");
    }
}

#[test]
fn a_matrix_is_one_cell_per_combination_and_keeps_types_and_places() {
    let matrix = "[matrix]\nsteps = [1, 2]\ncount = [3, 4]\n";
    let text = GOOD.replacen("steps = 4", "steps = \"$steps\"", 1);
    let text = text.replacen("task_managers = 2", "task_managers = \"$count\"", 1) + matrix;
    let scenario = read(&text).map_err(|mistake| mistake.render()).expect("good");
    let names: Vec<&str> = scenario.cells.iter().map(|cell| cell.name.as_str()).collect();
    assert_eq!(names, ["count=3 steps=1", "count=3 steps=2", "count=4 steps=1", "count=4 steps=2"]);
    let unused = GOOD.to_owned() + "[matrix]\nsteps = [1]\n";
    let mistake = read(&unused).expect_err("an axis that is used nowhere");
    assert_eq!(mistake.to_string(), "the axis `steps` is used nowhere: write \"$steps\"");
}

#[test]
fn obligations_and_sweeps_speak_only_of_what_there_is() {
    let sometimes = "[[sometimes]]\nlabel = \"seen\"\nat_least = \"1/9\"\nwhen = { event = \"job.restored\" }\n";
    let sweep = "[sweep]\nwindow = [\"checkpoint.triggered\", \"checkpoint.completed\"]\nvictims = [\"tm-1\"]\n";
    read(&format!("{GOOD}{sometimes}{sweep}")).map_err(|m| m.render()).expect("good");
    for (text, expected) in [
        (sometimes.replace("job.restored", "job.restord"), "unknown event \"job.restord\""),
        (sometimes.replace("\" }", "\", after = \"kil\" }"), "there is no fault \"kil\""),
        (
            sometimes.replace("\" }", "\", where = { atempt = 2 } }"),
            "the event job.restored has no field `atempt`",
        ),
        (sometimes.replace("1/9", "9/1"), "expected a share of the runs such as \"1/64\""),
        (sweep.replace("tm-1", "tm-3"), "there is no node \"tm-3\""),
        (sweep.replace(".triggered", ".trigered"), "unknown event \"checkpoint.trigered\""),
    ] {
        let mistake = read(&format!("{GOOD}{text}")).expect_err(expected);
        assert!(mistake.to_string().starts_with(expected), "{mistake}");
        let (line, _) = mistake.place();
        assert!(line > GOOD.lines().count(), "it is shown where it stands: {line}");
    }
}

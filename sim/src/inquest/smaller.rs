//! Smaller documents: fewer nodes, a shorter run, less data. Of each kind the smallest comes first.
//! Makes candidates and plays none: a candidate that makes no sense is refused when it is read.
//! Tried by [`super::shrink`]; values that are only plainer are [`super::plain`]'s.

use std::time::Duration;

use toml::{Table, Value};

use super::document::{at, each, earlier, elements, number, shown, span, time_of, with};

/// With fewer task managers, job managers, slots, workers, or subtasks.
pub(super) fn nodes(document: &Table) -> Vec<Table> {
    let count = |path: &str| number(document, path).unwrap_or(1).max(1);
    let (managers, slots) = (count("cluster.task_managers"), count("cluster.slots"));
    let parallelism = count("job.set.parallelism");
    let mut all = Vec::new();
    for fewer in below(managers) {
        let base = with(document, "cluster.task_managers", fewer);
        for base in [clamped(&base, "task_manager", fewer), shifted(&base, managers - fewer)] {
            // As many slots as before, enough of them, or a job that fits.
            all.push(base.clone());
            let enough = (parallelism + fewer - 1) / fewer;
            all.push(with(&base, "cluster.slots", enough.max(slots)));
            all.push(with_number(&base, "job.set.parallelism", (fewer * slots).min(parallelism)));
        }
    }
    for fewer in below(count("cluster.job_managers")) {
        let base = with(document, "cluster.job_managers", fewer);
        all.push(clamped(&base, "job_manager", fewer));
    }
    for path in ["job.set.parallelism", "cluster.slots", "cluster.workers"] {
        all.extend(below(count(path)).map(|fewer| with_number(document, path, fewer)));
    }
    // A job that does not fit is stuck for a reason of its own.
    let fits = |document: &Table| {
        let count = |path: &str| number(document, path).unwrap_or(1);
        count("cluster.task_managers") * count("cluster.slots") >= count("job.set.parallelism")
    };
    let is_new = |candidate: &Table| candidate != document;
    all.retain(|candidate| is_new(candidate) && (fits(candidate) || !fits(document)));
    all.dedup();
    all
}

/// One, two, half, and one less.
fn below(number: i64) -> impl Iterator<Item = i64> {
    let mut all = vec![1, 2, number / 2, number - 1];
    all.retain(|fewer| (1..number).contains(fewer));
    all.sort_unstable();
    all.dedup();
    all.into_iter()
}

/// The document with another number where one stands, as text if it is text.
fn with_number(document: &Table, path: &str, number: i64) -> Table {
    match at(document, path) {
        Some(Value::String(_)) => with(document, path, number.to_string()),
        Some(_) => with(document, path, number),
        None => document.clone(),
    }
}

/// With every target among nodes that are there: of those that are gone, the last one.
fn clamped(document: &Table, role: &str, nodes: i64) -> Table {
    picks(document, role, |pick| pick.min(nodes - 1))
}

/// With every task manager's number so much lower.
fn shifted(document: &Table, by: i64) -> Table {
    picks(document, "task_manager", |pick| (pick - by).max(0))
}

fn picks(document: &Table, role: &str, change: impl Fn(i64) -> i64) -> Table {
    let mut document = document.clone();
    each(&mut document, "fault", |fault| {
        let Some(on) = fault.get_mut("on").and_then(Value::as_table_mut) else { return };
        let change = |target: &mut Table| {
            let is_one = target.get("role").and_then(Value::as_str) == Some(role);
            let pick = target.get("pick").and_then(Value::as_integer).filter(|_| is_one);
            if let Some(pick) = pick {
                target.insert("pick".to_owned(), change(pick).into());
            }
        };
        change(on);
        if let Some(peer) = on.get_mut("peer").and_then(Value::as_table_mut) {
            change(peer);
        }
    });
    document
}

/// Over sooner: with an earlier end, an earlier beginning of its faults, and less time between them.
pub(super) fn run(document: &Table, is_of_the_end: bool) -> Vec<Table> {
    let mut all = Vec::new();
    // What has to come in the end has not come yet in a run that is cut short.
    let ends = ["run.stop.time", "run.stop.event_time"].into_iter().filter(|_| !is_of_the_end);
    for path in ends {
        let Some(end) = span(document, path) else { continue };
        all.extend(parts(end).map(|shorter| with(document, path, shown(shorter))));
    }
    all.extend(numbers(document, "job.set.rows"));
    let mut times: Vec<Duration> =
        elements(document, "fault").into_iter().filter_map(time_of).collect();
    times.sort_unstable();
    times.dedup();
    let mut before = Duration::ZERO;
    for time in times {
        // What comes before the first one is the time that a job needs to get going.
        let gap = time - before;
        all.extend(parts(gap).map(|shorter| earlier(document, time, gap - shorter)));
        before = time;
    }
    if let Some(rest) = span(document, "run.rest").filter(|_| !is_of_the_end) {
        all.extend(parts(rest).map(|shorter| with(document, "run.rest", shown(shorter))));
    }
    all.retain(|candidate| candidate != document);
    all
}

/// Parts of a span from the shortest on, in round numbers.
fn parts(span: Duration) -> impl Iterator<Item = Duration> {
    let round = |millis: u128| {
        let unit = match millis {
            20_000.. => 5_000,
            5_000.. => 1_000,
            1_000.. => 500,
            _ => 100,
        };
        u64::try_from(millis.div_ceil(unit) * unit).unwrap_or(u64::MAX)
    };
    let millis = span.as_millis();
    let parts = [millis / 8, millis / 4, millis / 2, millis * 3 / 4, millis * 7 / 8];
    let mut parts: Vec<u64> = parts.into_iter().map(round).collect();
    parts.retain(|part| u128::from(*part) < millis && *part > 0);
    parts.sort_unstable();
    parts.dedup();
    parts.into_iter().map(Duration::from_millis)
}

/// With less data, or fewer of whatever the job has a number of.
pub(super) fn workload(document: &Table) -> Vec<Table> {
    let sets = match document.get("job") {
        Some(Value::Array(_)) => at(document, "job").and_then(|jobs| jobs.get(0)?.get("set")),
        _ => at(document, "job.set"),
    };
    let names = sets.and_then(Value::as_table).into_iter().flat_map(Table::keys);
    let names = names.filter(|name| !KEPT.contains(&name.as_str()));
    let mut all: Vec<_> =
        names.flat_map(|name| numbers(document, &format!("job.set.{name}"))).collect();
    all.retain(|candidate| candidate != document);
    all
}

/// Numbers of a job that are no amount of data.
const KEPT: [&str; 5] = ["wave", "parallelism", "restarts", "retained", "steps"];

fn numbers(document: &Table, path: &str) -> Vec<Table> {
    let Some(number) = number(document, path).filter(|number| *number > 1) else {
        return Vec::new();
    };
    let round = |number: i64| match number {
        1_000.. => number / 100 * 100,
        100.. => number / 10 * 10,
        _ => number,
    };
    let mut parts: Vec<i64> =
        [1, number / 8, number / 4, number / 2, number * 3 / 4].map(round).to_vec();
    parts.retain(|part| (1..number).contains(part));
    parts.sort_unstable();
    parts.dedup();
    parts.into_iter().map(|fewer| with_number(document, path, fewer)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_is_gone_becomes_another() {
        let text = "cluster = { task_managers = 3, slots = 1 }\njob = { set = { parallelism = 3 } }\n\
                    [[fault]]\non = { role = \"task_manager\", pick = 2, peer = { role = \"job_manager\", pick = 0 } }\n";
        let document: Table = text.parse().expect("TOML");
        let all = nodes(&document);
        assert!(!all.is_empty());
        for candidate in all {
            let managers = number(&candidate, "cluster.task_managers").expect("a number");
            let slots = number(&candidate, "cluster.slots").expect("a number");
            let pick = at(&candidate, "fault").and_then(|all| all.get(0)?.get("on")?.get("pick"));
            assert!(pick.and_then(Value::as_integer).expect("a number") < managers);
            let parallelism = number(&candidate, "job.set.parallelism").expect("a number");
            assert!(managers * slots >= parallelism, "{candidate}");
        }
    }

    #[test]
    fn parts_are_round_and_shorter() {
        let millis = |span| parts(Duration::from_millis(span)).map(|p| p.as_millis()).collect();
        let all: Vec<u128> = millis(30_000);
        assert_eq!(all, [4_000, 8_000, 15_000, 25_000]);
        let none: Vec<u128> = millis(100);
        assert!(none.is_empty(), "{none:?}");
    }
}

//! Schedules of faults for property tests: what proptest draws is a list of concrete faults, and
//! what it shrinks is that list: faults are dropped, come earlier, last shorter and get plainer.
//! The seed of the world stays what the test says, so that a smaller schedule is the same world with
//! less in it. What a fault is: [`super::faults`].

use std::time::Duration;

use proptest::prelude::*;
use slackwater_core::time::ms;

use super::cast::TaskManagers;
use super::faults::{Fault, Faults};

/// The most faults of a schedule.
const FAULTS_MAX: usize = 6;
/// Times are drawn in steps of this: a world's tick.
const STEP: Duration = ms(10);
/// The longest that a fault lasts.
const LONGEST: Duration = ms(3_000);

/// Schedules of up to six faults on a cluster with one job manager and these task managers, which
/// begin within so much virtual time since every job was RUNNING.
///
/// ```
/// use proptest::prelude::*;
/// use slackwater_sim::prelude::*;
///
/// proptest! {
///     # #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4) })]
///     # /*
///     #[test]
///     # */
///     fn any_schedule(schedule in faults(tm(2), secs(6))) {
///         // check(job, DEFAULTS).cluster(jm(1), tm(2)).seeds(0..1).faults(schedule)…
///         prop_assert!(schedule.list().len() <= 6);
///     }
/// }
/// # any_schedule();
/// ```
pub fn faults(task_managers: TaskManagers, within: Duration) -> impl Strategy<Value = Faults> {
    proptest::collection::vec(fault(task_managers, within), 0..=FAULTS_MAX).prop_map(Faults::from)
}

/// What happens to which task manager; the plainest first, because shrinking goes that way.
#[derive(Copy, Clone, Debug)]
enum Kind {
    Crash,
    Reset,
    Pause,
    Partition,
    OneWay,
    HalfOpen,
    JobManager,
    Dark,
    Slow,
    Clock,
    StoreSlow,
    StoreRefuses,
}

const KINDS: [Kind; 12] = [
    Kind::Crash,
    Kind::Reset,
    Kind::Pause,
    Kind::Partition,
    Kind::OneWay,
    Kind::HalfOpen,
    Kind::JobManager,
    Kind::Dark,
    Kind::Slow,
    Kind::Clock,
    Kind::StoreSlow,
    Kind::StoreRefuses,
];

fn fault(task_managers: TaskManagers, within: Duration) -> impl Strategy<Value = Fault> {
    let steps = |span: Duration| (span.as_millis() / STEP.as_millis()).max(1) as u32;
    let parts = (0..KINDS.len(), 1..=task_managers.number, 0..steps(within), 1..=steps(LONGEST));
    parts.prop_map(|(kind, node, at, lasts)| {
        let node = format!("tm-{node}");
        let (at, lasts) = (STEP * at, STEP * lasts);
        // Of several one may fall on what another has brought down.
        made(KINDS[kind], node, lasts).at(at).may_miss()
    })
}

fn made(kind: Kind, node: String, lasts: Duration) -> Fault {
    match kind {
        Kind::Crash => Fault::crash(node).lasts(lasts),
        Kind::Reset => Fault::reset(node, "jm"),
        Kind::Pause => Fault::pause(node).lasts(lasts),
        Kind::Partition => Fault::partition(node, "jm").lasts(lasts),
        Kind::OneWay => Fault::partition_one_way(node, "db").lasts(lasts),
        Kind::HalfOpen => Fault::half_open(node, "jm"),
        Kind::JobManager => Fault::crash("jm").lasts(lasts),
        Kind::Dark => Fault::power_loss(node).lasts(lasts),
        Kind::Slow => Fault::slow(node, ms(150)).lasts(lasts),
        Kind::Clock => Fault::clock_step(node, -2_000),
        Kind::StoreSlow => Fault::store_slow(ms(300)).lasts(lasts),
        Kind::StoreRefuses => Fault::store_refuse().lasts(lasts),
    }
}

#[cfg(test)]
mod tests {
    use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
    use slackwater_core::time::secs;

    use super::super::cast::tm;
    use super::*;

    #[test]
    fn what_fails_is_shrunk_to_the_faults_that_matter() {
        let config = Config { failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new(config);
        let fails_by_a_pause = |schedule: Faults| {
            let is_pause = |fault: &Fault| fault.to_string().starts_with("pause");
            match schedule.list().iter().any(is_pause) {
                true => Err(TestCaseError::fail("a pause")),
                false => Ok(()),
            }
        };
        let smallest = match runner.run(&faults(tm(3), secs(30)), fails_by_a_pause) {
            Err(TestError::Fail(_, smallest)) => smallest,
            other => panic!("a pause is drawn sooner or later: {other:?}"),
        };
        assert_eq!(smallest.list().len(), 1, "{smallest:?}");
        assert_eq!(smallest.list()[0].to_string(), "pause of tm-1 at 0ms for 10ms");
        let text = format!("{smallest:?}");
        assert!(text.contains("[[fault]]") && text.contains("= \"pause\""), "{text}");
    }
}

//! Whether and when a job starts again after a failure.
//! Counts failures, not tasks that failed and not waits for slots: the caller says each one once.
//! Who decides what a failure is: [`crate::job`]; the settings are [`Restart`].

use std::collections::VecDeque;
use std::time::Duration;

use slackwater_core::graph::Restart;

/// What is left of a job's patience.
#[derive(Debug)]
pub struct RestartBudget {
    strategy: Restart,
    /// How many failures were counted in the life of the job.
    failures: u32,
    /// The next delay of an exponential backoff.
    backoff: Duration,
    /// The failures that count for a failure rate, oldest first.
    recent: VecDeque<Duration>,
}

impl RestartBudget {
    /// The budget of a job that has failed `failures` times under earlier job managers. Of those a
    /// fixed number of attempts takes account; a backoff and a failure rate begin anew.
    pub fn new(strategy: Restart, failures: u32) -> Self {
        let backoff = match strategy {
            Restart::Exponential { initial, max, .. } => initial.min(max),
            _ => Duration::ZERO,
        };
        Self { strategy, failures, backoff, recent: VecDeque::new() }
    }

    /// How many failures were counted.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure of a job that had run for `ran` since the one before. How long to wait
    /// before the restart; `None`: there is none.
    pub fn failed(&mut self, now: Duration, ran: Duration) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        match self.strategy {
            Restart::None => None,
            Restart::FixedDelay { attempts, delay } => (self.failures <= attempts).then_some(delay),
            Restart::Exponential { initial, max, factor_permille, reset_after } => {
                if ran >= reset_after {
                    self.backoff = initial.min(max);
                }
                let delay = self.backoff;
                self.backoff = times_permille(delay, factor_permille).min(max);
                Some(delay)
            }
            Restart::FailureRate { failures, window, delay } => {
                self.recent.push_back(now);
                // A failure counts for `window`: from its instant to just before its end.
                self.recent.retain(|at| *at + window > now);
                (self.recent.len() <= failures as usize).then_some(delay)
            }
        }
    }
}

fn times_permille(delay: Duration, permille: u32) -> Duration {
    let nanos = delay.as_nanos().saturating_mul(u128::from(permille)) / 1_000;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Failures at these seconds, each after so many seconds of quiet; the delays, `-` for none.
    fn check(strategy: Restart, failures: &[(u64, u64)], expected: &str) {
        let mut budget = RestartBudget::new(strategy, 0);
        let verdicts = failures.iter().map(|(at, ran)| match budget.failed(s(*at), s(*ran)) {
            Some(delay) => delay.as_millis().to_string(),
            None => "-".to_owned(),
        });
        assert_eq!(verdicts.collect::<Vec<_>>().join(" "), expected, "{strategy:?}");
        assert_eq!(budget.failures() as usize, failures.len());
    }

    #[test]
    fn exactly_as_many_restarts_happen_as_are_allowed() {
        check(Restart::None, &[(0, 0)], "-");
        check(Restart::fixed(0, s(1)), &[(0, 0)], "-");
        check(Restart::fixed(1, s(1)), &[(0, 0), (9, 9)], "1000 -");
        check(Restart::fixed(3, s(2)), &[(0, 0), (1, 1), (2, 1), (3, 1)], "2000 2000 2000 -");
    }

    #[test]
    fn failures_under_earlier_job_managers_count_against_a_fixed_number() {
        let mut budget = RestartBudget::new(Restart::fixed(3, s(1)), 2);
        assert_eq!(budget.failed(s(1), s(1)), Some(s(1)));
        assert_eq!(budget.failed(s(2), s(1)), None);
    }

    #[test]
    fn a_backoff_grows_to_its_maximum_and_begins_again_after_a_quiet_time() {
        let grows = |factor_permille| Restart::Exponential {
            initial: s(1),
            max: s(5),
            factor_permille,
            reset_after: s(60),
        };
        let hard = [(0, 0), (10, 1), (20, 1), (30, 1), (40, 1)];
        check(grows(2_000), &hard, "1000 2000 4000 5000 5000");
        check(grows(1_500), &hard, "1000 1500 2250 3375 5000");
        check(grows(2_000), &[(0, 0), (9, 9), (99, 59), (200, 60)], "1000 2000 4000 1000");
        let capped = Restart::Exponential {
            initial: s(9),
            max: s(5),
            factor_permille: 0,
            reset_after: s(60),
        };
        check(capped, &[(0, 0), (1, 0)], "5000 0");
    }

    #[test]
    fn a_failure_counts_for_the_window_and_no_longer() {
        let two_in_ten = Restart::FailureRate { failures: 2, window: s(10), delay: s(3) };
        check(two_in_ten, &[(0, 0), (5, 5), (9, 4)], "3000 3000 -");
        check(two_in_ten, &[(0, 0), (5, 5), (10, 5), (15, 5), (16, 1)], "3000 3000 3000 3000 -");
        let none = Restart::FailureRate { failures: 0, window: s(10), delay: s(3) };
        check(none, &[(0, 0)], "-");
    }
}

//! A job whose node went down runs again, by itself, and its watermark goes on.
//! Measures virtual time from the last fault that met it while it stood still to RUNNING in a newer
//! attempt, or from when the last node came back (`from = "return"`), or from any other moment that
//! is named; what was lost on the way is [`super::no_loss`]'s to say.

use std::collections::BTreeMap;
use std::time::Duration;

use slackwater_core::fact::{Down, Fact, JobStatus};
use slackwater_core::id::{Attempt, JobId};

use super::since::{Moment, Since};
use super::{Args, Broken, Check, Evidence, Kind, Needs, Outcome};
use crate::journal::Entry;

pub(super) const CHECK: Check = Check {
    name: "recovered",
    about: "every job that a fault stopped runs again in a newer attempt",
    keys: &[("within", Kind::Span), ("from", Kind::Since)],
    measures: &["restarts", "seconds"],
    needs: Needs::Run,
    judge,
};

/// What is known of a job.
#[derive(Default)]
struct Job {
    /// The newest attempt that ran.
    ran: Option<Attempt>,
    /// Since when it does not run: from there its recovery is measured.
    stopped: Option<Duration>,
}

struct Recovery {
    /// From when time counts.
    since: Since,
    moment: Moment,
    within: Duration,
    downs: u64,
    restarts: u64,
    /// The last fault that took something away; a later one than that which stopped a job prolongs
    /// its recovery, and is no reason to blame it.
    last_down: Option<Duration>,
    jobs: BTreeMap<JobId, Job>,
    longest: Duration,
}

fn judge(run: &Evidence<'_>, args: &Args) -> Outcome {
    let since = args.since("from");
    let mut recovery = Recovery {
        moment: Moment::of(&since),
        since,
        within: args.span("within", Duration::from_secs(60)),
        downs: 0,
        restarts: 0,
        last_down: None,
        jobs: BTreeMap::new(),
        longest: Duration::ZERO,
    };
    let mut wrong = None;
    for entry in run.entries() {
        wrong = wrong.or(recovery.step(entry));
    }
    let Recovery { downs, restarts, longest, jobs, since, moment, .. } = recovery;
    if !moment.has_come() {
        return Outcome::saw(0, format!("{since} never came"));
    }
    let never = jobs.values().find_map(|job| job.stopped);
    let never = never.map(|at| Broken::at(at, "a job stopped here and never ran again"));
    // In a calm nobody has to have gone down, and who did may have had nothing to do.
    let is_calm = since == Since::Calm;
    let unmoved = (downs > 0 && restarts == 0 && !is_calm)
        .then(|| Broken::somewhere("a node went down and no job started again"));
    let saw = if is_calm { jobs.len() as u64 } else { downs };
    Outcome::saw(saw, format!("{downs} nodes down, {restarts} restarts"))
        .measured("restarts", restarts as f64)
        .measured("seconds", longest.as_secs_f64())
        .broken_by(wrong)
        .broken_by(never)
        .broken_by(unmoved)
}

impl Recovery {
    fn step(&mut self, entry: &Entry) -> Option<Broken> {
        let now = entry.time;
        if self.moment.is_now(entry) {
            self.prolong(now);
        }
        match &entry.fact {
            Fact::NodeDown { how: Down::Kill | Down::PowerLoss, .. } => {
                self.downs += 1;
                self.last_down = Some(now);
                self.prolong(now);
            }
            Fact::NodeStarted { incarnation, .. }
                if *incarnation > 1 && self.since == Since::Return =>
            {
                self.prolong(now);
            }
            Fact::JobStatusChanged { job, attempt, to, .. } => {
                return self.status(*job, (*attempt, *to), now);
            }
            _ => {}
        }
        None
    }

    /// Jobs that stand still are measured from here.
    fn prolong(&mut self, now: Duration) {
        self.jobs.values_mut().filter_map(|job| job.stopped.as_mut()).for_each(|at| *at = now);
    }

    fn status(
        &mut self,
        id: JobId,
        (attempt, to): (Attempt, JobStatus),
        now: Duration,
    ) -> Option<Broken> {
        let since = self.last_down.unwrap_or(now);
        let job = self.jobs.entry(id).or_default();
        match to {
            JobStatus::Failing | JobStatus::Restarting => {
                job.stopped.get_or_insert(since);
            }
            JobStatus::Running if job.ran.is_none() => job.ran = Some(attempt),
            JobStatus::Running if Some(attempt) > job.ran => {
                self.restarts += 1;
                job.ran = Some(attempt);
                let stopped = job.stopped.take().filter(|_| self.moment.has_come());
                let took = now - stopped.unwrap_or(now);
                self.longest = self.longest.max(took);
                let within = self.within;
                return (took > within).then(|| {
                    let what = format!("job took {took:?} to run again, more than {within:?}");
                    Broken::at(now, what)
                });
            }
            ended if ended.is_final() => job.stopped = None,
            _ => {}
        }
        None
    }
}

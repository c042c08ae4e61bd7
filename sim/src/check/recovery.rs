//! A job whose node went down runs again, by itself, and its watermark goes on.
//! Measures virtual time from the end of the node to RUNNING in a newer attempt; what was lost on
//! the way is [`super::no_loss`]'s to say.

use std::collections::BTreeMap;
use std::time::Duration;

use slackwater_core::fact::{Down, Fact, JobStatus};
use slackwater_core::id::{Attempt, JobId};

use super::{Args, Broken, Check, Evidence, Kind, Needs, Outcome};

pub(super) const CHECK: Check = Check {
    name: "recovered",
    about: "every job that a fault stopped runs again in a newer attempt",
    keys: &[("within", Kind::Span)],
    measures: &["restarts", "seconds"],
    needs: Needs::Run,
    judge,
};

fn judge(run: &Evidence<'_>, args: &Args) -> Outcome {
    let within = args.span("within", Duration::from_secs(60));
    let (mut downs, mut restarts) = (0u64, 0u64);
    let mut down_since = None;
    // By job: the newest attempt that ran, and since when it does not.
    let mut jobs = BTreeMap::<JobId, (Option<Attempt>, Option<Duration>)>::new();
    let (mut longest, mut wrong) = (Duration::ZERO, None);
    for entry in run.entries() {
        match &entry.fact {
            Fact::NodeDown { how: Down::Kill | Down::PowerLoss, .. } => {
                downs += 1;
                down_since = Some(entry.time);
            }
            Fact::JobStatusChanged { job, attempt, to, .. } => {
                let (known, stopped) = jobs.entry(*job).or_default();
                match to {
                    JobStatus::Restarting => *stopped = down_since.or(Some(entry.time)),
                    JobStatus::Running if known.is_none() => *known = Some(*attempt),
                    JobStatus::Running if Some(*attempt) > *known => {
                        restarts += 1;
                        *known = Some(*attempt);
                        let took = entry.time - stopped.take().unwrap_or(entry.time);
                        longest = longest.max(took);
                        if took > within {
                            let what =
                                format!("job took {took:?} to run again, more than {within:?}");
                            wrong = wrong.or(Some(Broken::at(entry.time, what)));
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    let never = jobs.values().find_map(|(_, stopped)| *stopped);
    let never = never.map(|at| Broken::at(at, "a job stopped here and never ran again"));
    let unmoved = (downs > 0 && restarts == 0)
        .then(|| Broken::somewhere("a node went down and no job started again"));
    Outcome::saw(downs, format!("{downs} nodes down, {restarts} restarts"))
        .measured("restarts", restarts as f64)
        .measured("seconds", longest.as_secs_f64())
        .broken_by(wrong)
        .broken_by(never)
        .broken_by(unmoved)
}

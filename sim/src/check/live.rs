//! LIVE: once nothing befalls the world any more, everything goes on within a span: watermarks
//! advance, checkpoints complete, and no checkpoint is pending for longer than its timeout.
//! Says nothing of what was lost or doubled; counts virtual time from the last thing that a fault
//! did, or from the beginning, or from a moment that is named (`from = { calm = true }`).

use std::collections::BTreeMap;
use std::time::Duration;

use slackwater_core::fact::Fact;
use slackwater_core::id::{CheckpointId, JobId};

use super::since::{Moment, Since as From};
use super::{Args, Broken, Check, Evidence, Kind, Needs, Outcome};

pub(super) const CHECK: Check = Check {
    name: "live",
    about: "once faults have stopped, watermarks advance and checkpoints complete within a span",
    keys: &[("within", Kind::Span), ("timeout", Kind::Span), ("from", Kind::Since)],
    measures: &["advances", "completed", "quiet"],
    needs: Needs::Run,
    judge,
};

/// What happened since the world fell quiet.
#[derive(Default)]
struct Since {
    /// When that was.
    quiet: Duration,
    advance: Option<Duration>,
    complete: Option<Duration>,
    advances: u64,
    completed: u64,
}

fn judge(run: &Evidence<'_>, args: &Args) -> Outcome {
    let within = args.span("within", Duration::from_secs(30));
    let timeout = args.span("timeout", Duration::from_secs(600));
    let from = args.since("from");
    let mut moment = Moment::of(&from);
    let mut since = Since::default();
    let (mut triggered, mut advanced, mut wrong, mut end) = (0u64, 0u64, None, Duration::ZERO);
    let mut pending = BTreeMap::<(JobId, CheckpointId), Duration>::new();
    for entry in run.entries() {
        let now = entry.time;
        end = now;
        let is_fault = || matches!(from, From::Fault | From::Return) && disturbs(&entry.fact);
        if moment.is_now(entry) || is_fault() {
            since = Since { quiet: now, ..Since::default() };
        }
        match &entry.fact {
            Fact::WatermarkAdvanced { .. } => {
                advanced += 1;
                since.advances += 1;
                since.advance.get_or_insert(now);
            }
            Fact::CheckpointTriggered { job, checkpoint, .. } => {
                triggered += 1;
                pending.insert((*job, *checkpoint), now);
            }
            Fact::CheckpointCompleted { job, checkpoint, .. } => {
                since.completed += 1;
                since.complete.get_or_insert(now);
                pending.remove(&(*job, *checkpoint));
            }
            Fact::CheckpointAborted { job, checkpoint, .. } => {
                pending.remove(&(*job, *checkpoint));
            }
            // Whoever would have aborted it is gone.
            Fact::JobManagerStarted { .. } | Fact::LeaderElected { .. } => pending.clear(),
            _ => {}
        }
        let old = pending.iter().find(|(_, at)| now.saturating_sub(**at) > timeout + GRACE);
        if let Some(((_, checkpoint), at)) = old {
            let age = now - *at;
            let what = format!("checkpoint {checkpoint} is pending for {age:?}");
            wrong = wrong.or(Some(Broken::at(now, what)));
        }
    }
    if !moment.has_come() {
        return Outcome::saw(0, format!("{from} never came"));
    }
    let over = run.over();
    let stuck = stuck(&since, (end, over), within, triggered > 0);
    let summary = match over {
        true => "after the last fault the job went on to its end",
        false => "after the last fault watermarks advanced and checkpoints completed",
    };
    Outcome::saw(advanced, summary)
        .measured("advances", since.advances as f64)
        .measured("completed", since.completed as f64)
        .measured("quiet", since.quiet.as_secs_f64())
        .broken_by(wrong)
        .broken_by(stuck)
}

/// How long a message about a timeout may be under way.
const GRACE: Duration = Duration::from_secs(1);

/// What did not happen in time, if the run was long enough to tell.
fn stuck(
    since: &Since,
    (end, over): (Duration, bool),
    within: Duration,
    checkpoints: bool,
) -> Option<Broken> {
    let by = since.quiet + within;
    let late = |at: Option<Duration>| match at {
        Some(at) => at > by,
        None => end > by,
    };
    if over {
        return (end > by && since.advances == 0)
            .then(|| Broken::at(since.quiet, "no watermark advanced after the last fault"));
    }
    if late(since.advance) {
        let what = format!("no watermark advanced within {within:?} after the last fault");
        return Some(Broken::at(since.quiet, what));
    }
    (checkpoints && late(since.complete)).then(|| {
        let what = format!("no checkpoint completed within {within:?} after the last fault");
        Broken::at(since.quiet, what)
    })
}

/// Whether a fact is the deed of a fault, or the end of one.
pub(super) fn disturbs(fact: &Fact) -> bool {
    match fact {
        Fact::NodeDown { .. } | Fact::NodeResumed { .. } | Fact::StoreDamaged { .. } => true,
        Fact::NodeStarted { incarnation, .. } => *incarnation > 1,
        Fact::FaultDone { .. } => true,
        _ => false,
    }
}

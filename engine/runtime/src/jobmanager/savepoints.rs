//! What the desk does with requests about savepoints: asks for them, says how far they are, and finds
//! the one that a job is to start from. Never waits for a store at the desk: what is found comes back
//! as an event. When a savepoint is taken is decided in `slackwater_control::checkpoint`.

use std::sync::Arc;

use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::compat::compare;
use slackwater_core::graph::JobGraph;
use slackwater_core::id::{JobId, TriggerId};
use slackwater_core::joblog::Start;
use slackwater_core::program::Program;
use slackwater_core::savepoint::{Ending, JOB_MANAGER, SavepointRequest, StartFrom};

use super::desk::{Asker, Desk};
use super::door::Event;
use crate::store::savepoint::{Completion, Found, load};
use crate::store::{Store, StoreError};
use crate::wire::message::{Answer, Refused};

/// A submission that waits for the savepoint that it is to start from.
pub(super) struct Submission {
    pub job: JobId,
    pub program: Program,
    /// Its shape, if only a binary of its own can plan it.
    pub graph: Option<Box<JobGraph>>,
    pub from: StartFrom,
    pub asker: Asker,
}

impl Desk {
    /// Takes a request for a savepoint.
    pub(super) fn savepoint(
        &mut self,
        job: &str,
        (trigger, target, ending): (TriggerId, Option<String>, Option<Ending>),
    ) -> Answer {
        let asked = self.try_savepoint(job, (trigger, target, ending));
        match asked {
            Ok(()) => self.savepoint_status(trigger),
            Err(why) => Answer::Refused(Refused::BadJob(why)),
        }
    }

    fn try_savepoint(
        &mut self,
        job: &str,
        (trigger, target, ending): (TriggerId, Option<String>, Option<Ending>),
    ) -> Result<(), String> {
        if self.cluster.savepoint_status(trigger).is_some() {
            return Ok(());
        }
        let job = self.job_of(job)?;
        let target = target.or_else(|| self.places.savepoints.clone());
        let target = target.unwrap_or_else(|| JOB_MANAGER.to_owned());
        usable(self, &target).map_err(|error| error.to_string())?;
        let request = SavepointRequest { trigger, target, ending };
        let commands = self.cluster.savepoint(self.host.elapsed(), job, &request);
        let commands = commands.map_err(|refusal| refusal.0)?;
        self.execute(commands);
        Ok(())
    }

    /// How far a savepoint is.
    pub(super) fn savepoint_status(&self, trigger: TriggerId) -> Answer {
        match self.cluster.savepoint_status(trigger) {
            Some((job, status)) => Answer::Savepoint(job, status),
            None => Answer::Refused(Refused::UnknownTrigger(trigger)),
        }
    }

    /// Looks for what a job is to start from; the submission goes on when that is known.
    pub(super) fn look_for_start(&self, submission: Submission) {
        let path = submission.from.path.clone();
        if path.starts_with("jobmanager://") {
            let kept = self.cluster.kept_savepoint(&path).cloned();
            let completion = Completion::Sealed;
            let found = kept.map(|metadata| Found { folder: path.clone(), metadata, completion });
            let found = found.ok_or_else(|| {
                format!(
                    "{path} is not in the memory of this job manager: it knows no such savepoint, \
                     or has been started since"
                )
            });
            // The desk outlives its own events.
            let _ = self.events.send(Event::Found { submission, found });
            return;
        }
        let (host, events) = (Arc::clone(&self.host), self.events.clone());
        let logs = self.places.store.clone();
        let looking = async move {
            let found = load(&host, &path, logs.as_ref()).await;
            let found = found.map_err(|error| error.to_string());
            // Without a desk the term is over, and whoever asked learns it from the connection.
            let _ = events.send(Event::Found { submission, found });
        };
        self.host.spawn("start from a savepoint", Box::pin(looking));
    }

    /// What a job is to start from is known: it is accepted, or refused with the reason.
    pub(super) fn start_found(&mut self, submission: Submission, found: Result<Found, String>) {
        let Submission { job, program, graph, from, asker } = submission;
        let started = found.map_err(Refused::BadStart).and_then(|found| {
            self.try_submit(job, (program, graph), |graph| start(found, &from, graph).map(Some))
        });
        self.accept(job, started, asker);
    }
}

/// With what a job of this graph starts, if it can.
fn start(found: Found, from: &StartFrom, graph: &JobGraph) -> Result<Start, String> {
    let Found { folder, metadata, .. } = found;
    let fits = fits(&metadata, graph, from);
    fits.map_err(|reasons| format!("{folder} does not fit the job: {}", reasons.join("; ")))?;
    let reset_watermarks = from.reset_watermarks;
    Ok(Start { folder, metadata: Box::new(metadata), reset_watermarks })
}

/// Whether a job of this graph may start like this from what has this metadata.
///
/// # Errors
/// Every reason why not.
pub fn fits(
    metadata: &CheckpointMetadata,
    graph: &JobGraph,
    from: &StartFrom,
) -> Result<(), Vec<String>> {
    let mut reasons = compare(metadata, graph).verdict(from).err().unwrap_or_default();
    if graph.checkpoints.is_none() {
        let why = "a job without checkpoints takes up none: start it with checkpoint=10s, or with \
                   checkpoint=manual";
        reasons.insert(0, why.to_owned());
    }
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

/// Whether the folder that savepoints are put in can be used.
///
/// # Errors
/// Why not.
pub(super) fn usable(desk: &Desk, target: &str) -> Result<(), StoreError> {
    match target.starts_with("jobmanager://") {
        true => Ok(()),
        false => Store::open(Arc::clone(&desk.host), target).map(drop),
    }
}

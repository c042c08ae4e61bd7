//! What the desk does with submissions: plans them or takes the graph that came along, lets `control`
//! accept them, and answers once that is durable. Never waits for a store: a start that has to be looked
//! for comes back through [`super::savepoints`]. Everything else is [`super::desk`]'s.

use slackwater_core::fact::JobStatus;
use slackwater_core::graph::JobGraph;
use slackwater_core::id::JobId;
use slackwater_core::joblog::Start;
use slackwater_core::program::Program;
use slackwater_core::savepoint::StartFrom;

use super::desk::{Asker, Desk};
use super::lane::Stores;
use super::savepoints::Submission;
use crate::store::JobLog;
use crate::wire::message::{Answer, Refused};

impl Desk {
    pub(super) fn submit(
        &mut self,
        job: JobId,
        (program, graph): (Program, Option<Box<JobGraph>>),
        (from, asker): (Option<StartFrom>, Asker),
    ) {
        match from {
            // What is known already has found its start.
            Some(from) if !self.knows(job, |_| true) => {
                self.look_for_start(Submission { job, program, graph, from, asker });
            }
            _ => {
                let submitted = self.try_submit(job, (program, graph), |_| Ok(None));
                self.accept(job, submitted, asker);
            }
        }
    }

    /// Answers a submission, once it is durable.
    pub(super) fn accept(&mut self, job: JobId, taken: Result<(), Refused>, asker: Asker) {
        match taken {
            Ok(()) => {
                self.submitters.entry(job).or_default().push(asker);
                self.answer_submitters(job);
            }
            // As above.
            Err(refused) => drop(asker.send(Answer::Refused(refused))),
        }
    }

    /// Submits a job; `start`: with what it starts, or why it cannot.
    pub(super) fn try_submit(
        &mut self,
        job: JobId,
        (program, graph): (Program, Option<Box<JobGraph>>),
        start: impl FnOnce(&JobGraph) -> Result<Option<Start>, String>,
    ) -> Result<(), Refused> {
        let bad = |error: &dyn std::fmt::Display| Refused::BadProgram(error.to_string());
        let mut graph = match graph {
            Some(graph) => {
                graph.check().map_err(|why| bad(&format!("its graph is none: {why}")))?;
                *graph
            }
            None => self.programs.plan(&program).map_err(|error| bad(&error))?.graph,
        };
        self.places.settle(&mut graph);
        let checkpoints = self.places.checkpoints(&graph).map_err(|error| bad(&error))?;
        let start = start(&graph).map_err(Refused::Incompatible)?;
        let is_new = !self.knows(job, |_| true);
        let writes = self.places.store.is_some() || graph.checkpoints.is_some();
        let now = self.host.elapsed();
        let submitted = self.cluster.submit(now, job, (program, start), graph);
        let commands = submitted.map_err(|refusal| Refused::BadJob(refusal.0))?;
        if is_new && writes {
            let store = self.places.store.clone();
            let log = store.map(|store| JobLog::new(store, job, self.cluster.epoch()));
            self.open_lane(job, Stores { log, checkpoints });
        }
        self.execute(commands);
        Ok(())
    }

    /// Tells those who wait that the job is accepted, once that is durable.
    pub(super) fn answer_submitters(&mut self, job: JobId) {
        if self.submitters.contains_key(&job) && self.knows(job, |s| s != JobStatus::Created) {
            for asker in self.submitters.remove(&job).unwrap_or_default() {
                // A client that is gone does not hear the answer; the job is accepted.
                let _ = asker.send(Answer::Submitted(job));
            }
        }
    }
}

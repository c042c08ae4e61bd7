//! Where everything that happens to a cluster arrives, one thing after the other.
//! Decides nothing: what comes in is a message to `control`, and what that commands is carried out
//! in order by [`super::orders`]. Connections are [`super::door`]; the decisions are
//! `slackwater_control::cluster`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use slackwater_control::checkpoint::{Acknowledge, Decline};
use slackwater_control::cluster::{Cluster, Findings, JobView};
use slackwater_control::job::{Report, RestoreFailed};
use slackwater_control::metrics::Board;
use slackwater_control::slots::OfferedWorker;
use slackwater_core::fact::{Fact, JobStatus};
use slackwater_core::id::{JobId, TaskManagerId, WorkerId};
use slackwater_core::time::ProcessingTime;
use slackwater_dataflow::task::Programs;
use tokio::sync::{mpsc, oneshot};

use super::door::{Event, Term};
use super::lane::{Lane, Outcome};
use super::leader::{Leader, Reign};
use super::longer;
use super::places::Places;
use super::recovery::{Found, Reader};
use super::told;
use crate::deployment::TaskReport;
use crate::host::Host;
use crate::store::StoreError;
use crate::wire::message::{
    Answer, JobLine, Refused, Registration, Request, TaskManagerLine, ToJobManager, ToTaskManager,
};
use crate::wire::session::SessionEnd;

/// With nothing to wait for, the desk looks up this often.
const NOTHING_DUE: Duration = Duration::from_secs(3600);

/// The connection of a task manager.
pub(super) struct Link {
    caller: u64,
    pub outgoing: mpsc::UnboundedSender<ToTaskManager>,
}

/// Whoever waits for an answer.
pub(super) type Asker = oneshot::Sender<Answer>;

/// A job manager in its term.
pub(super) struct Desk {
    pub host: Arc<dyn Host>,
    pub programs: Arc<dyn Programs>,
    pub cluster: Cluster,
    /// What the tasks measure.
    pub board: Rc<RefCell<Board>>,
    /// The connection of each task manager that is registered now.
    pub links: BTreeMap<TaskManagerId, Link>,
    /// Where the jobs write, those that do.
    pub lanes: BTreeMap<JobId, Lane>,
    pub places: Places,
    /// Where what comes of their writing arrives, among everything else.
    pub events: mpsc::UnboundedSender<Event>,
    /// Who waits for a job to be accepted.
    pub submitters: BTreeMap<JobId, Vec<Asker>>,
    /// Who waits for a cancellation to be durable, and for how many more entries of the log.
    cancellers: BTreeMap<JobId, Vec<(u64, Asker)>>,
    /// How many entries of each log are being written.
    pub unwritten: BTreeMap<JobId, u64>,
    /// After this span without a sign of life, a task manager's tasks have stopped for certain.
    silence: Duration,
    /// How much sooner than that a task manager stops by itself.
    fence_margin: Duration,
    pub reign: Reign,
    /// The wall time at which this host's clock stood at zero.
    pub clock_zero: ProcessingTime,
    /// Why the term is over, if the store has said so.
    pub deposed: Option<String>,
}

impl Desk {
    pub fn new(leader: &Leader, term: &Term, reign: Reign) -> Self {
        let config = &leader.config;
        let timeout = config.heartbeat.timeout;
        let silence = longer(timeout) + config.fence_margin;
        Self {
            host: Arc::clone(&leader.host),
            programs: Arc::clone(&leader.programs),
            cluster: Cluster::new(term.epoch),
            board: Rc::clone(&term.board),
            links: BTreeMap::new(),
            lanes: BTreeMap::new(),
            places: Places::new(&leader.host, leader.store.as_ref(), config),
            events: term.events.clone(),
            submitters: BTreeMap::new(),
            cancellers: BTreeMap::new(),
            unwritten: BTreeMap::new(),
            silence,
            fence_margin: silence.saturating_sub(timeout),
            reign,
            deposed: None,
            clock_zero: told::clock_zero(&*leader.host),
        }
    }

    /// Serves until the term is over; says why it is. `open` is called once the desk knows of all
    /// jobs that there are.
    pub async fn run(
        mut self,
        mut events: mpsc::UnboundedReceiver<Event>,
        open: impl FnOnce(),
    ) -> String {
        if let Err(fenced) = self.take_over().await {
            return fenced.to_string();
        }
        open();
        loop {
            let now = self.host.elapsed();
            let due = self.cluster.wakes_at().map_or(NOTHING_DUE, |at| at.saturating_sub(now));
            let pause = self.host.sleep(due);
            let event = tokio::select! {
                biased;
                event = events.recv() => event,
                () = pause => None,
            };
            // Whoever was stopped for long may wake up with an old idea of who leads.
            let now = self.host.elapsed();
            if !self.reign.lasts(now) {
                return "its lease has run out".to_owned();
            }
            match event {
                Some(event) => self.take(event),
                None => {
                    let commands = self.cluster.tick(now);
                    self.execute(commands);
                }
            }
            if let Some(cause) = self.deposed.take() {
                return cause;
            }
        }
    }

    /// Takes up the jobs of the leader before.
    async fn take_over(&mut self) -> Result<(), StoreError> {
        let Some(store) = self.places.store.clone() else { return Ok(()) };
        // Whoever is not back by then has stopped its tasks by itself (semantics rule 24).
        let fenced_until = self.host.elapsed() + self.silence;
        let (host, programs, places) = (&self.host, &self.programs, &self.places);
        let reader = Reader { host, programs, places, epoch: self.cluster.epoch() };
        for found in reader.read(&store).await? {
            let Found { recovered, graph, complete, stores } = found;
            self.open_lane(recovered.job, stores);
            let findings = Findings { graph, complete, fenced_until };
            let commands = self.cluster.resume(self.host.elapsed(), &recovered, findings);
            self.execute(commands);
        }
        Ok(())
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Registered { caller, id, registration, outgoing } => {
                self.links.insert(id.clone(), Link { caller, outgoing });
                self.register(id, registration);
            }
            Event::Said { caller, message } => self.hear(caller, message),
            Event::Left { caller, end } => self.leave(caller, &end),
            Event::Written { job, outcome } => {
                if matches!(outcome, Outcome::Persisted { .. }) {
                    self.answer_cancellers(job);
                }
                self.written(job, outcome);
                self.answer_submitters(job);
            }
            Event::Asked { request, answer } => self.answer(request, answer),
            Event::Found { submission, found } => self.start_found(submission, found),
        }
    }

    fn register(&mut self, id: TaskManagerId, registration: Registration) {
        let worker = |(index, address): (u32, String)| OfferedWorker {
            id: WorkerId { task_manager: id.clone(), index },
            address,
        };
        let workers = (0u32..).zip(registration.workers).map(worker).collect();
        let now = self.host.elapsed();
        let commands = self.cluster.register(now, id.clone(), registration.slots, workers);
        self.execute(commands);
    }

    fn hear(&mut self, caller: u64, message: ToJobManager) {
        if !self.links.values().any(|link| link.caller == caller) {
            let message = told::said(&message);
            let cause = "its task manager's registration is over".to_owned();
            return self.host.tell(Fact::MessageFenced { message, cause });
        }
        let now = self.host.elapsed();
        let commands = match message {
            ToJobManager::Report(TaskReport { task, status, cause, fatal }) => {
                self.cluster.report(now, &Report { task, status, cause, fatal })
            }
            ToJobManager::Acknowledged { task, checkpoint, state, contents, times, .. } => self
                .cluster
                .acknowledge(now, Acknowledge { task, checkpoint, state, contents, times }),
            ToJobManager::Declined { task, checkpoint, cause } => {
                self.cluster.decline(now, &Decline { task, checkpoint, cause })
            }
            ToJobManager::SourceEnded { task } => self.cluster.source_ended(now, task),
            ToJobManager::RestoreFailed { task, checkpoint, damaged, cause } => {
                let failed = RestoreFailed { task, checkpoint, damaged, cause };
                self.cluster.restore_failed(now, &failed)
            }
        };
        self.execute(commands);
    }

    fn leave(&mut self, caller: u64, end: &SessionEnd) {
        // An older connection of a task manager that has registered anew means nothing.
        let found = self.links.iter().find(|(_, link)| link.caller == caller);
        let Some(id) = found.map(|(id, _)| id.clone()) else { return };
        self.links.remove(&id);
        self.board.borrow_mut().forget(&id.0);
        let now = self.host.elapsed();
        let fenced_until = match end {
            SessionEnd::Silent(_) => now + self.fence_margin,
            _ => now,
        };
        let commands = self.cluster.lose(now, &id, &end.to_string(), fenced_until);
        self.execute(commands);
    }

    fn answer(&mut self, request: Request, asker: Asker) {
        let answer = match request {
            Request::Submit { job, program, from } => {
                return self.submit(job, (program, None), (from, asker));
            }
            Request::SubmitDelivered { job, program, graph, from } => {
                return self.submit(job, (program, Some(graph)), (from, asker));
            }
            // Answered at the door.
            Request::HasArtifact { .. }
            | Request::PutArtifact { .. }
            | Request::GetArtifact { .. } => {
                let why = "binaries are not asked of the desk".to_owned();
                Answer::Refused(Refused::Malformed(why))
            }
            Request::Cancel { job } => return self.cancel(&job, asker),
            Request::Savepoint { trigger, job, target, ending } => {
                self.savepoint(&job, (trigger, target, ending))
            }
            Request::SavepointStatus { trigger } => self.savepoint_status(trigger),
            Request::Overview => self.tell_overview(),
            Request::Job { job } => self.tell_job(job),
            Request::Jobs => {
                let now = self.host.elapsed();
                Answer::Jobs(self.cluster.jobs().into_iter().map(|job| line(job, now)).collect())
            }
            Request::TaskManagers => {
                let lines = self.cluster.task_managers().into_iter();
                let line = |(id, slots, free): (TaskManagerId, _, _)| TaskManagerLine {
                    name: id.0,
                    slots,
                    free,
                };
                Answer::TaskManagers(lines.map(line).collect())
            }
        };
        // A client that is gone does not hear the answer; what it asked for is done.
        let _ = asker.send(answer);
    }

    pub(super) fn knows(&self, job: JobId, is: impl Fn(JobStatus) -> bool) -> bool {
        self.cluster.jobs().iter().any(|known| known.id == job && is(known.status))
    }

    fn cancel(&mut self, prefix: &str, asker: Asker) {
        match self.try_cancel(prefix) {
            // Told when it holds whoever leads: all that is being written now may belong to it.
            Ok(job) => match self.unwritten.get(&job) {
                Some(waits @ 1..) => {
                    self.cancellers.entry(job).or_default().push((*waits, asker));
                }
                // Whoever is gone does not hear the answer; what it asked for is done.
                _ => drop(asker.send(Answer::Cancelling(job))),
            },
            Err(why) => drop(asker.send(Answer::Refused(Refused::BadJob(why)))),
        }
    }

    fn try_cancel(&mut self, prefix: &str) -> Result<JobId, String> {
        let id = self.job_of(prefix)?;
        let commands = self.cluster.cancel(self.host.elapsed(), id).map_err(|refusal| refusal.0)?;
        self.execute(commands);
        Ok(id)
    }

    /// One more entry of a job's log stands.
    fn answer_cancellers(&mut self, job: JobId) {
        if let Some(unwritten) = self.unwritten.get_mut(&job) {
            *unwritten = unwritten.saturating_sub(1);
        }
        let waiting = self.cancellers.remove(&job).unwrap_or_default();
        for (waits, asker) in waiting {
            match waits.saturating_sub(1) {
                // As above.
                0 => drop(asker.send(Answer::Cancelling(job))),
                waits => self.cancellers.entry(job).or_default().push((waits, asker)),
            }
        }
    }
}

fn line(job: JobView, now: Duration) -> JobLine {
    let JobView { id, name, status, attempt, submitted, cause, .. } = job;
    JobLine { id, name, status, attempt, age: now.saturating_sub(submitted), cause }
}

//! Where everything that happens to a cluster arrives, one thing after the other.
//! Executes what `control` commands, in order, and decides nothing: it maps messages both ways.
//! Connections are [`super::door`]; the decisions are `slackwater_control::cluster`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use slackwater_control::cluster::{Cluster, Command, JobView};
use slackwater_control::job::Report;
use slackwater_control::slots::OfferedWorker;
use slackwater_core::fact::Fact;
use slackwater_core::graph::JobGraph;
use slackwater_core::id::{JobId, TaskManagerId, WorkerId};
use slackwater_core::program::Program;
use slackwater_dataflow::task::Programs;
use tokio::sync::mpsc;

use super::door::{Event, Term};
use super::leader::{Leader, Reign};
use super::longer;
use crate::deployment::{Deployment, Placed, TaskReport};
use crate::host::Host;
use crate::wire::message::{
    Answer, JobLine, Refused, Registration, Request, TaskManagerLine, ToJobManager, ToTaskManager,
};
use crate::wire::session::SessionEnd;

/// With nothing to wait for, the desk looks up this often.
const NOTHING_DUE: Duration = Duration::from_secs(3600);

struct Link {
    caller: u64,
    outgoing: mpsc::UnboundedSender<ToTaskManager>,
}

pub(super) struct Desk {
    host: Arc<dyn Host>,
    programs: Arc<dyn Programs>,
    cluster: Cluster,
    /// The connection of each task manager that is registered now.
    links: BTreeMap<TaskManagerId, Link>,
    /// After this span without a sign of life, a task manager's tasks have stopped for certain.
    fence_margin: Duration,
    reign: Reign,
}

impl Desk {
    pub fn new(leader: &Leader, term: &Term, reign: Reign) -> Self {
        let config = &leader.config;
        let timeout = config.heartbeat.timeout;
        Self {
            host: Arc::clone(&leader.host),
            programs: Arc::clone(&leader.programs),
            cluster: Cluster::new(term.epoch),
            links: BTreeMap::new(),
            fence_margin: config.fence_margin + longer(timeout).saturating_sub(timeout),
            reign,
        }
    }

    /// Serves until the term is over; says why it is.
    pub async fn run(
        mut self,
        mut events: mpsc::UnboundedReceiver<Event>,
        open: impl FnOnce(),
    ) -> String {
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
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Registered { caller, id, registration, outgoing } => {
                self.links.insert(id.clone(), Link { caller, outgoing });
                self.register(id, registration);
            }
            Event::Said { caller, message: ToJobManager::Report(report) } => {
                self.report(caller, report);
            }
            Event::Said { message, .. } => {
                let message = format!("word of a checkpoint from task {}", message.task());
                let cause = "this job manager takes no checkpoints".to_owned();
                self.host.tell(Fact::MessageFenced { message, cause });
            }
            Event::Left { caller, end } => self.leave(caller, &end),
            Event::Asked { request, answer } => {
                // A client that is gone does not hear the answer; what it asked for is done.
                let _ = answer.send(self.answer(request));
            }
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

    fn report(&mut self, caller: u64, report: TaskReport) {
        if !self.links.values().any(|link| link.caller == caller) {
            let message = format!("task {} {}", report.task, report.status);
            let cause = "its task manager's registration is over".to_owned();
            return self.host.tell(Fact::MessageFenced { message, cause });
        }
        let TaskReport { task, status, cause, fatal } = report;
        let report = Report { task, status, cause, fatal };
        let commands = self.cluster.report(self.host.elapsed(), &report);
        self.execute(commands);
    }

    fn leave(&mut self, caller: u64, end: &SessionEnd) {
        // An older connection of a task manager that has registered anew means nothing.
        let found = self.links.iter().find(|(_, link)| link.caller == caller);
        let Some(id) = found.map(|(id, _)| id.clone()) else { return };
        self.links.remove(&id);
        let now = self.host.elapsed();
        let fenced_until = match end {
            SessionEnd::Silent(_) => now + self.fence_margin,
            _ => now,
        };
        let commands = self.cluster.lose(now, &id, &end.to_string(), fenced_until);
        self.execute(commands);
    }

    fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::Submit { job, program } => self.submit(job, program),
            Request::Cancel { job } => self.cancel(&job),
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
        }
    }

    fn submit(&mut self, job: JobId, program: Program) -> Answer {
        let graph = match self.programs.plan(&program) {
            // Without a store there are no checkpoints.
            Ok(plan) => JobGraph { checkpoints: None, ..plan.graph },
            Err(error) => return Answer::Refused(Refused::BadProgram(error.to_string())),
        };
        match self.cluster.submit(self.host.elapsed(), job, program, graph) {
            Ok(commands) => {
                self.execute(commands);
                Answer::Submitted(job)
            }
            Err(refusal) => Answer::Refused(Refused::BadJob(refusal.0)),
        }
    }

    fn cancel(&mut self, prefix: &str) -> Answer {
        let ids = self.cluster.jobs().into_iter().map(|job| job.id);
        let matching: Vec<JobId> =
            ids.filter(|id| !prefix.is_empty() && id.to_string().starts_with(prefix)).collect();
        let refuse = |message| Answer::Refused(Refused::BadJob(message));
        let [id] = matching[..] else {
            return refuse(match matching.len() {
                0 => format!("no job has an id that begins with {prefix:?}"),
                count => {
                    format!("{count} jobs have ids that begin with {prefix:?}: say more digits")
                }
            });
        };
        match self.cluster.cancel(self.host.elapsed(), id) {
            Ok(commands) => {
                self.execute(commands);
                Answer::Cancelling(id)
            }
            Err(refusal) => refuse(refusal.0),
        }
    }

    fn execute(&mut self, commands: Vec<Command>) {
        let mut queue = VecDeque::from(commands);
        while let Some(command) = queue.pop_front() {
            queue.extend(self.obey(command));
        }
    }

    /// Carries out one command; gives what follows from its outcome.
    fn obey(&mut self, command: Command) -> Vec<Command> {
        let (epoch, now) = (self.cluster.epoch(), self.host.elapsed());
        match command {
            Command::Tell(fact) => self.host.tell(fact),
            Command::Persist { job, ticket, .. } => {
                return self.cluster.persisted(now, job, ticket);
            }
            Command::Complete { job, metadata, .. } => {
                let cause = "this job manager has no store";
                return self.cluster.metadata_failed(now, job, metadata.checkpoint, cause);
            }
            // Without a store nothing lies about.
            Command::Discard { .. } | Command::Sweep { .. } => {}
            deploy @ Command::Deploy { .. } => self.deploy(deploy),
            Command::Cancel { task_manager, job, attempt } => {
                self.send(&task_manager, ToTaskManager::Cancel { epoch, job, attempt });
            }
            Command::Trigger { task_manager, job, attempt, barrier, subtasks } => {
                let order = ToTaskManager::Trigger { epoch, job, attempt, barrier, subtasks };
                self.send(&task_manager, order);
            }
            Command::Notify { task_manager, job, attempt, checkpoint, last } => {
                let order = ToTaskManager::Completed { epoch, job, attempt, checkpoint, last };
                self.send(&task_manager, order);
            }
            Command::AbortCheckpoint { task_manager, job, attempt, checkpoint } => {
                let order = ToTaskManager::Aborted { epoch, job, attempt, checkpoint };
                self.send(&task_manager, order);
            }
        }
        Vec::new()
    }

    fn deploy(&self, command: Command) {
        let Command::Deploy {
            worker,
            job,
            attempt,
            program,
            checkpoints,
            restore,
            placement,
            subtasks,
        } = command
        else {
            return;
        };
        let placed = |place: slackwater_control::command::Placement| Placed {
            subtask: place.subtask,
            worker: place.worker,
            address: place.address,
        };
        let deployment = Box::new(Deployment {
            job,
            epoch: self.cluster.epoch(),
            attempt,
            program,
            placement: placement.into_iter().map(placed).collect(),
            subtasks,
            checkpoints,
            restore,
        });
        let message = ToTaskManager::Deploy { worker: worker.index, deployment };
        self.send(&worker.task_manager, message);
    }

    fn send(&self, to: &TaskManagerId, message: ToTaskManager) {
        if let Some(link) = self.links.get(to) {
            // A link that has just broken is about to say so, and its tasks are lost then.
            let _ = link.outgoing.send(message);
        }
    }
}

fn line(job: JobView, now: Duration) -> JobLine {
    let JobView { id, name, status, attempt, submitted, cause, .. } = job;
    JobLine { id, name, status, attempt, age: now.saturating_sub(submitted), cause }
}

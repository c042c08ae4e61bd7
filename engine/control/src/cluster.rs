//! The cluster as its job manager sees it: task managers, jobs, and what to do next.
//! Never executes: it answers each message with commands, in the order in which they must happen.
//! Jobs are [`crate::job`], slots are [`crate::slots`]; the executor is `runtime::jobmanager`.

use std::collections::BTreeMap;
use std::time::Duration;

use slackwater_core::fact::{Fact, JobStatus};
use slackwater_core::graph::JobGraph;
use slackwater_core::id::{Attempt, JobEpoch, JobId, Subtask, TaskManagerId, WorkerId};
use slackwater_core::program::Program;

use crate::job::{Job, Report, Wish};
use crate::slots::{OfferedWorker, Slot, SlotPool, subtasks_of_slot};

/// Where one subtask goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Which subtask.
    pub subtask: Subtask,
    /// On which worker.
    pub worker: WorkerId,
    /// The worker's exchange address.
    pub address: String,
}

/// What the job manager must do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// State a fact.
    Tell(Fact),
    /// Let a worker start these subtasks of an attempt.
    Deploy {
        /// The worker.
        worker: WorkerId,
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: Attempt,
        /// What it runs.
        program: Program,
        /// Where every subtask of the attempt runs.
        placement: Vec<Placement>,
        /// Which of them start on this worker.
        subtasks: Vec<Subtask>,
    },
    /// Let a task manager cancel every task of this attempt, and of older ones.
    Cancel {
        /// The task manager.
        task_manager: TaskManagerId,
        /// The job.
        job: JobId,
        /// Up to and with this attempt.
        attempt: Attempt,
    },
}

/// A job as `list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Its state.
    pub status: JobStatus,
    /// Its attempt.
    pub attempt: Attempt,
    /// When it was submitted, on the job manager's clock.
    pub submitted: Duration,
    /// Why it failed last; empty if it never did.
    pub cause: String,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

/// All jobs and task managers of one leadership term.
#[derive(Debug)]
pub struct Cluster {
    epoch: JobEpoch,
    pool: SlotPool,
    /// In the order of submission.
    jobs: Vec<Job>,
    facts: Vec<Fact>,
    commands: Vec<Command>,
}

impl Cluster {
    /// An empty cluster in the term `epoch`.
    pub fn new(epoch: JobEpoch) -> Self {
        Self {
            epoch,
            pool: SlotPool::default(),
            jobs: Vec::new(),
            facts: Vec::new(),
            commands: Vec::new(),
        }
    }

    /// Takes a new job. The same job id again changes nothing: a retried request has one effect.
    ///
    /// # Errors
    /// If the job id is taken by another program.
    pub fn submit(
        &mut self,
        now: Duration,
        id: JobId,
        program: Program,
        graph: JobGraph,
    ) -> Result<Vec<Command>, Refusal> {
        if let Some(known) = self.jobs.iter().find(|job| job.id == id) {
            let same = known.program == program;
            return if same {
                Ok(Vec::new())
            } else {
                Err(Refusal(format!("job {id} runs already")))
            };
        }
        let slots = graph.slots();
        self.facts.push(Fact::JobSubmitted { job: id, name: graph.name.clone(), slots });
        let mut job = Job::new(id, self.epoch, program, graph, now);
        job.schedule(now, &mut self.facts);
        self.jobs.push(job);
        Ok(self.advance(now))
    }

    /// Takes a task manager that registers. One of the same name that is still known is lost first:
    /// it was restarted faster than its loss was seen.
    pub fn register(
        &mut self,
        now: Duration,
        id: TaskManagerId,
        slots: u32,
        workers: Vec<OfferedWorker>,
    ) -> Vec<Command> {
        if self.pool.contains(&id) {
            self.drop_task_manager(now, &id, ("it registered anew", now));
        }
        self.facts.push(Fact::TaskManagerRegistered { task_manager: id.clone(), slots });
        self.pool.add(id, slots, workers);
        self.advance(now)
    }

    /// Takes the loss of a task manager. `fenced_until`: when its tasks have stopped for certain
    /// (semantics rule 24); `now` if it is known to be gone.
    pub fn lose(
        &mut self,
        now: Duration,
        id: &TaskManagerId,
        cause: &str,
        fenced_until: Duration,
    ) -> Vec<Command> {
        if self.pool.contains(id) {
            self.drop_task_manager(now, id, (cause, fenced_until));
        }
        self.advance(now)
    }

    /// Takes a report of a task.
    pub fn report(&mut self, now: Duration, report: &Report) -> Vec<Command> {
        let Some(index) = self.jobs.iter().position(|job| job.id == report.task.job) else {
            let message = format!("task {} {}", report.task, report.status);
            let cause = format!("unknown job {}", report.task.job);
            self.facts.push(Fact::MessageFenced { message, cause });
            return self.advance(now);
        };
        let wish = self.jobs[index].report(now, report, &mut self.facts);
        self.grant(index, wish);
        self.advance(now)
    }

    /// Cancels a job; one that has been cancelled already stays so.
    ///
    /// # Errors
    /// If the job is unknown, or has finished or failed.
    pub fn cancel(&mut self, now: Duration, id: JobId) -> Result<Vec<Command>, Refusal> {
        let Some(index) = self.jobs.iter().position(|job| job.id == id) else {
            return Err(Refusal(format!("no job {id}")));
        };
        let status = self.jobs[index].status();
        if matches!(status, JobStatus::Finished | JobStatus::Failed) {
            return Err(Refusal(format!("job {id} is {status} already")));
        }
        let wish = self.jobs[index].cancel(&mut self.facts);
        self.grant(index, wish);
        Ok(self.advance(now))
    }

    /// Lets time go by: restarts that are due, and whatever else can move.
    pub fn tick(&mut self, now: Duration) -> Vec<Command> {
        self.advance(now)
    }

    /// When [`Cluster::tick`] has something to do next, if nothing else happens.
    pub fn wakes_at(&self) -> Option<Duration> {
        self.jobs.iter().filter_map(Job::wakes_at).min()
    }

    /// The leadership term.
    pub fn epoch(&self) -> JobEpoch {
        self.epoch
    }

    /// The jobs, in the order of submission.
    pub fn jobs(&self) -> Vec<JobView> {
        let view = |job: &Job| JobView {
            id: job.id,
            name: job.graph.name.clone(),
            status: job.status(),
            attempt: job.attempt(),
            submitted: job.submitted,
            cause: job.cause().to_owned(),
        };
        self.jobs.iter().map(view).collect()
    }

    /// The task managers, each with all and free slots.
    pub fn task_managers(&self) -> Vec<(TaskManagerId, u32, u32)> {
        self.pool.overview().map(|(id, slots, free)| (id.clone(), slots, free)).collect()
    }

    fn drop_task_manager(&mut self, now: Duration, id: &TaskManagerId, why: (&str, Duration)) {
        let cause = format!("task manager {id} was lost: {}", why.0);
        self.facts
            .push(Fact::TaskManagerLost { task_manager: id.clone(), cause: why.0.to_owned() });
        self.pool.remove(id);
        for index in 0..self.jobs.len() {
            let wish = self.jobs[index].lose(now, id, (&cause, why.1), &mut self.facts);
            self.grant(index, wish);
        }
    }

    fn grant(&mut self, index: usize, wish: Wish) {
        let job = &self.jobs[index];
        match wish {
            Wish::Nothing => {}
            Wish::ReleaseSlots => self.pool.release(job.id, &mut self.facts),
            Wish::CancelTasks => {
                let (id, attempt) = (job.id, job.attempt());
                let hosts = job.hosts_of_live_tasks().into_iter();
                let cancel = |task_manager| Command::Cancel { task_manager, job: id, attempt };
                // Facts so far are told before the commands that follow from them.
                self.commands.extend(self.facts.drain(..).map(Command::Tell));
                self.commands.extend(hosts.map(cancel));
            }
        }
    }

    /// Moves every job that can move, in the order of submission.
    fn advance(&mut self, now: Duration) -> Vec<Command> {
        for index in 0..self.jobs.len() {
            let job = &mut self.jobs[index];
            if job.status() == JobStatus::Restarting {
                job.schedule(now, &mut self.facts);
            }
            if job.status() == JobStatus::Scheduling {
                self.place(index);
            }
        }
        self.commands.extend(self.facts.drain(..).map(Command::Tell));
        std::mem::take(&mut self.commands)
    }

    fn place(&mut self, index: usize) {
        let job = &mut self.jobs[index];
        let Some(slots) = self.pool.allocate(job.id, job.graph.slots(), &mut self.facts) else {
            return;
        };
        let placement = placement(&job.graph, &slots, &self.pool);
        let on = |place: &Placement| (place.subtask, place.worker.task_manager.clone());
        job.deploy(placement.iter().map(on).collect(), &mut self.facts);
        self.commands.extend(self.facts.drain(..).map(Command::Tell));
        let mut by_worker = BTreeMap::<WorkerId, Vec<Subtask>>::new();
        for place in &placement {
            by_worker.entry(place.worker.clone()).or_default().push(place.subtask);
        }
        self.commands.extend(by_worker.into_iter().map(|(worker, subtasks)| Command::Deploy {
            worker,
            job: job.id,
            attempt: job.attempt(),
            program: job.program.clone(),
            placement: placement.clone(),
            subtasks,
        }));
    }
}

fn placement(graph: &JobGraph, slots: &[Slot], pool: &SlotPool) -> Vec<Placement> {
    let mut placement = Vec::new();
    for (index, slot) in (0u32..).zip(slots) {
        let worker = pool.worker(slot);
        placement.extend(subtasks_of_slot(graph, index).map(|subtask| Placement {
            subtask,
            worker: worker.id.clone(),
            address: worker.address.clone(),
        }));
    }
    placement.sort_by_key(|place| place.subtask);
    placement
}

//! The cluster as its job manager sees it: task managers, jobs, and what to do next.
//! Never executes: it answers each message with commands, in the order in which they must happen.
//! Jobs are [`crate::job`], slots are [`crate::slots`]; the executor is `runtime::jobmanager`.

mod told;

use std::sync::Arc;
use std::time::Duration;

use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::fact::{Fact, JobStatus};
use slackwater_core::graph::JobGraph;
use slackwater_core::id::{CheckpointId, Execution, JobEpoch, JobId, TaskManagerId, TriggerId};
use slackwater_core::joblog::Start;
use slackwater_core::program::Program;
use slackwater_core::savepoint::{JOB_MANAGER, SavepointRequest, SavepointStatus, folder_name};

use crate::checkpoint::savepoints::Asked;
use crate::checkpoint::{Acknowledge, Decline, Plan};
use crate::command::{Outbox, Placement};
use crate::job::{Complete, Job, Report, RestoreFailed, Wish};
use crate::recovery::Recovered;
use crate::slots::{OfferedWorker, Slot, SlotPool, subtasks_of_slot};

pub use crate::command::Command;
pub use crate::view::{JobDetail, JobSummary, JobView, TaskManagerView};

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

/// What a new leader has found out about a job that it resumes.
#[derive(Debug)]
pub struct Findings {
    /// The job's shape, by its program.
    pub graph: JobGraph,
    /// The metadata of [`Recovered::candidates`], oldest first: each as read, or why it could not
    /// be. What may succeed later belongs in neither: the executor tries again first.
    pub complete: Complete,
    /// When the tasks of the earlier job manager have stopped for certain (semantics rule 24).
    pub fenced_until: Duration,
}

/// All jobs and task managers of one leadership term.
#[derive(Debug)]
pub struct Cluster {
    epoch: JobEpoch,
    pool: SlotPool,
    /// In the order of submission.
    jobs: Vec<Job>,
    /// How many savepoints were asked for that stay in the memory of the job manager.
    kept: u64,
    out: Outbox,
}

impl Cluster {
    /// An empty cluster in the term `epoch`.
    pub fn new(epoch: JobEpoch) -> Self {
        let (pool, jobs, out) = (SlotPool::default(), Vec::new(), Outbox::default());
        Self { epoch, pool, jobs, kept: 0, out }
    }

    /// Takes a new job, and with what it is to start: it is accepted once its submission is durable,
    /// and CREATED until then. The same job id again changes nothing: a retried request has one
    /// effect.
    ///
    /// # Errors
    /// If the job id is taken by another program.
    pub fn submit(
        &mut self,
        now: Duration,
        id: JobId,
        (program, from): (Program, Option<Start>),
        graph: JobGraph,
    ) -> Result<Vec<Command>, Refusal> {
        self.out.at(now);
        if let Some(index) = self.find(id) {
            let same = self.jobs[index].plan().program == program;
            return if same {
                Ok(Vec::new())
            } else {
                Err(Refusal(format!("job {id} runs already")))
            };
        }
        let plan = Arc::new(Plan { job: id, epoch: self.epoch, program, graph });
        self.jobs.push(Job::submitted(plan, from, now, &mut self.out));
        Ok(self.advance(now))
    }

    /// Takes a job over from an earlier job manager; one that is known already stays as it is.
    pub fn resume(&mut self, now: Duration, job: &Recovered, findings: Findings) -> Vec<Command> {
        self.out.at(now);
        if self.find(job.job).is_none() {
            let Findings { graph, complete, fenced_until } = findings;
            let (id, epoch, program) = (job.job, self.epoch, job.program.clone());
            let plan = Arc::new(Plan { job: id, epoch, program, graph });
            let times = (now, fenced_until);
            self.jobs.push(Job::resumed(plan, (job, complete), times, &mut self.out));
        }
        self.advance(now)
    }

    /// An entry of a job's log is durable.
    pub fn persisted(&mut self, now: Duration, job: JobId, ticket: u64) -> Vec<Command> {
        self.with(now, job, |job, out| job.persisted(ticket, out))
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
        self.out.at(now);
        if self.pool.contains(&id) {
            self.drop_task_manager(now, &id, ("it registered anew", now));
        }
        self.out.tell(Fact::TaskManagerRegistered { task_manager: id.clone(), slots });
        for job in &mut self.jobs {
            job.registered(now, &id, &mut self.out);
        }
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
        self.out.at(now);
        if self.pool.contains(id) {
            self.drop_task_manager(now, id, (cause, fenced_until));
        }
        self.advance(now)
    }

    /// Takes a report of a task.
    pub fn report(&mut self, now: Duration, report: &Report) -> Vec<Command> {
        let what = || format!("task {} {}", report.task, report.status);
        self.hear(now, report.task, what, |job, out| job.report(now, report, out))
    }

    /// Takes the part of a task in a checkpoint.
    pub fn acknowledge(&mut self, now: Duration, ack: Acknowledge) -> Vec<Command> {
        let (task, checkpoint) = (ack.task, ack.checkpoint);
        let what = || format!("acknowledgement of checkpoint {checkpoint} by task {task}");
        self.hear(now, task, what, |job, out| {
            job.acknowledge(now, ack, out);
            Wish::Nothing
        })
    }

    /// Takes a task's refusal to give its part of a checkpoint.
    pub fn decline(&mut self, now: Duration, said: &Decline) -> Vec<Command> {
        let what = || format!("refusal of checkpoint {} by task {}", said.checkpoint, said.task);
        self.hear(now, said.task, what, |job, out| {
            job.decline(now, said, out);
            Wish::Nothing
        })
    }

    /// Takes the word of a source that it has read everything.
    pub fn source_ended(&mut self, now: Duration, task: Execution) -> Vec<Command> {
        self.hear(
            now,
            task,
            || format!("end of source {task}"),
            |job, out| {
                job.source_ended(task, out);
                Wish::Nothing
            },
        )
    }

    /// Takes the word of a task that its part of a checkpoint cannot be taken up.
    pub fn restore_failed(&mut self, now: Duration, said: &RestoreFailed) -> Vec<Command> {
        let (task, checkpoint) = (said.task, said.checkpoint);
        let what = || format!("restore of checkpoint {checkpoint} by task {task} failed");
        self.hear(now, task, what, |job, out| job.restore_failed(now, said, out))
    }

    /// A [`Command::Complete`] is done: its entry is in the log.
    pub fn metadata_written(
        &mut self,
        now: Duration,
        job: JobId,
        checkpoint: CheckpointId,
    ) -> Vec<Command> {
        self.with(now, job, |job, out| {
            job.metadata_written(now, checkpoint, out);
            Wish::Nothing
        })
    }

    /// A [`Command::Complete`] failed: its entry is not in the log, and never will be.
    pub fn metadata_failed(
        &mut self,
        now: Duration,
        job: JobId,
        checkpoint: CheckpointId,
        cause: &str,
    ) -> Vec<Command> {
        self.with(now, job, |job, out| {
            job.metadata_failed(now, (checkpoint, cause), out);
            Wish::Nothing
        })
    }

    /// Cancels a job; one that has been cancelled already stays so.
    ///
    /// # Errors
    /// If the job is unknown, not accepted yet, or has finished or failed.
    pub fn cancel(&mut self, now: Duration, id: JobId) -> Result<Vec<Command>, Refusal> {
        let Some(index) = self.find(id) else {
            return Err(Refusal(format!("no job {id}")));
        };
        self.out.at(now);
        match self.jobs[index].cancel(now, &mut self.out) {
            Ok(wish) => {
                self.grant(index, wish);
                Ok(self.advance(now))
            }
            Err(JobStatus::Created) => {
                Err(Refusal(format!("job {id} is not accepted yet: try again")))
            }
            Err(status) => Err(Refusal(format!("job {id} is {status} already"))),
        }
    }

    /// Takes a request for a savepoint of a job; the same again changes nothing.
    ///
    /// # Errors
    /// If the job is unknown, or can give none: why.
    pub fn savepoint(
        &mut self,
        now: Duration,
        id: JobId,
        request: &SavepointRequest,
    ) -> Result<Vec<Command>, Refusal> {
        let Some(index) = self.find(id) else {
            return Err(Refusal(format!("no job {id}")));
        };
        let inline = request.is_inline();
        let SavepointRequest { trigger, ending, .. } = *request;
        if inline && ending.is_some() {
            return Err(Refusal(
                "a job that stops with a savepoint needs a folder for it, not the memory of the job \
                 manager: say which with --savepoint-path, or start job managers with --savepoints"
                    .into(),
            ));
        }
        let path = match inline {
            true => format!("{JOB_MANAGER}/{}", self.kept + 1),
            false => {
                format!("{}/{}", request.target.trim_end_matches('/'), folder_name(id, trigger))
            }
        };
        self.jobs[index].savepoint(Asked { trigger, path, inline, ending }).map_err(Refusal)?;
        self.kept += u64::from(inline);
        Ok(self.advance(now))
    }

    /// How far a savepoint is, and of which job; `None`: nobody has asked for it here.
    pub fn savepoint_status(&self, trigger: TriggerId) -> Option<(JobId, SavepointStatus)> {
        let of = |job: &Job| {
            let status = job.coordinator()?.savepoint_status(trigger)?;
            Some((job.plan().job, status))
        };
        self.jobs.iter().find_map(of)
    }

    /// The savepoint at a place in the memory of this job manager.
    pub fn kept_savepoint(&self, path: &str) -> Option<&CheckpointMetadata> {
        let coordinators = self.jobs.iter().filter_map(Job::coordinator);
        coordinators.into_iter().find_map(|coordinator| coordinator.savepoints().kept(path))
    }

    /// Lets time go by: restarts and checkpoints that are due, and whatever else can move.
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
        self.jobs.iter().map(Job::view).collect()
    }

    /// The task managers, each with all and free slots.
    pub fn task_managers(&self) -> Vec<(TaskManagerId, u32, u32)> {
        self.pool.overview().map(|(id, slots, free)| (id.clone(), slots, free)).collect()
    }

    fn find(&self, id: JobId) -> Option<usize> {
        self.jobs.iter().position(|job| job.plan().job == id)
    }

    /// Gives a job a message of a task; one for a job that nobody knows is told.
    fn hear(
        &mut self,
        now: Duration,
        task: Execution,
        what: impl Fn() -> String,
        take: impl FnOnce(&mut Job, &mut Outbox) -> Wish,
    ) -> Vec<Command> {
        if self.find(task.job).is_none() {
            let cause = format!("unknown job {}", task.job);
            self.out.tell(Fact::MessageFenced { message: what(), cause });
        }
        self.with(now, task.job, take)
    }

    fn with(
        &mut self,
        now: Duration,
        job: JobId,
        take: impl FnOnce(&mut Job, &mut Outbox) -> Wish,
    ) -> Vec<Command> {
        self.out.at(now);
        if let Some(index) = self.find(job) {
            let wish = take(&mut self.jobs[index], &mut self.out);
            self.grant(index, wish);
        }
        self.advance(now)
    }

    fn drop_task_manager(&mut self, now: Duration, id: &TaskManagerId, why: (&str, Duration)) {
        let cause = format!("task manager {id} was lost: {}", why.0);
        self.out.tell(Fact::TaskManagerLost { task_manager: id.clone(), cause: why.0.to_owned() });
        self.pool.remove(id);
        for index in 0..self.jobs.len() {
            let wish = self.jobs[index].lose(now, id, (&cause, why.1), &mut self.out);
            self.grant(index, wish);
        }
    }

    fn grant(&mut self, index: usize, wish: Wish) {
        if wish == Wish::ReleaseSlots {
            self.pool.release(self.jobs[index].plan().job, &mut self.out);
        }
    }

    /// Moves every job that can move, in the order of submission.
    fn advance(&mut self, now: Duration) -> Vec<Command> {
        self.out.at(now);
        for index in 0..self.jobs.len() {
            let wish = self.jobs[index].advance(now, &mut self.out);
            self.grant(index, wish);
            if self.jobs[index].wants_slots() {
                self.place(index);
            }
        }
        self.out.take()
    }

    fn place(&mut self, index: usize) {
        let job = &mut self.jobs[index];
        let (id, wanted) = (job.plan().job, job.plan().graph.slots());
        let Some(slots) = self.pool.allocate(id, wanted, &mut self.out) else { return };
        let placement = placement(&job.plan().graph, &slots, &self.pool);
        job.deploy(&placement, &mut self.out);
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

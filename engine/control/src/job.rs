//! One job: its states, their legal exits, its tasks and its restarts.
//! A dead attempt's messages are ignored, and told as facts. A wait for slots is no failure.
//! Who owns the slots and all jobs: [`crate::cluster`].

use std::collections::BTreeMap;
use std::time::Duration;

use slackwater_core::fact::{Fact, JobStatus, TaskStatus};
use slackwater_core::graph::{JobGraph, Restart};
use slackwater_core::id::{Attempt, Execution, JobEpoch, JobId, Subtask, TaskManagerId};
use slackwater_core::program::Program;

/// Every state and where it may lead.
pub const EXITS: &[(JobStatus, &[JobStatus])] = &[
    (JobStatus::Created, &[JobStatus::Scheduling]),
    (JobStatus::Scheduling, &[JobStatus::Deploying, JobStatus::Canceled]),
    (JobStatus::Deploying, &[JobStatus::Running, JobStatus::Failing, JobStatus::Cancelling]),
    (JobStatus::Running, &[JobStatus::Finished, JobStatus::Failing, JobStatus::Cancelling]),
    (JobStatus::Failing, &[JobStatus::Restarting, JobStatus::Failed, JobStatus::Cancelling]),
    (JobStatus::Restarting, &[JobStatus::Scheduling, JobStatus::Canceled]),
    (JobStatus::Cancelling, &[JobStatus::Canceled]),
    (JobStatus::Canceled, &[]),
    (JobStatus::Failed, &[]),
    (JobStatus::Finished, &[]),
];

fn may_go(from: JobStatus, to: JobStatus) -> bool {
    EXITS.iter().any(|(state, exits)| *state == from && exits.contains(&to))
}

/// What a task manager says of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which execution.
    pub task: Execution,
    /// Its new state.
    pub status: TaskStatus,
    /// Why it failed; empty otherwise.
    pub cause: String,
    /// Whether a restart would fail the same way.
    pub fatal: bool,
}

#[derive(Debug)]
struct Task {
    task_manager: TaskManagerId,
    status: TaskStatus,
}

/// What the machine wants done after a message.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nothing.
    Nothing,
    /// Cancel all tasks of the current attempt, wherever they run.
    CancelTasks,
    /// Every task is over: give the slots back.
    ReleaseSlots,
}

/// A job's state machine.
#[derive(Debug)]
pub struct Job {
    /// Its name for ever.
    pub id: JobId,
    /// The leadership term that runs it.
    pub epoch: JobEpoch,
    /// What it runs.
    pub program: Program,
    /// Its shape.
    pub graph: JobGraph,
    /// When it was submitted, on the job manager's clock.
    pub submitted: Duration,
    status: JobStatus,
    attempt: Attempt,
    failures: u32,
    fatal: bool,
    cause: String,
    /// In RESTARTING: not before this.
    not_before: Duration,
    tasks: BTreeMap<Subtask, Task>,
}

impl Job {
    /// A job that was just accepted.
    pub fn new(
        id: JobId,
        epoch: JobEpoch,
        program: Program,
        graph: JobGraph,
        now: Duration,
    ) -> Self {
        Self {
            id,
            epoch,
            program,
            graph,
            submitted: now,
            status: JobStatus::Created,
            attempt: Attempt(0),
            failures: 0,
            fatal: false,
            cause: String::new(),
            not_before: Duration::ZERO,
            tasks: BTreeMap::new(),
        }
    }

    /// Its state.
    pub fn status(&self) -> JobStatus {
        self.status
    }

    /// Its current attempt; 0 before the first deployment.
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Why it failed last; empty if it never did.
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// How many restarts it has used.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// When it wants to be asked again, if it waits for time to go by.
    pub fn wakes_at(&self) -> Option<Duration> {
        (self.status == JobStatus::Restarting).then_some(self.not_before)
    }

    /// The task managers that run tasks of the current attempt which are not over.
    pub fn hosts_of_live_tasks(&self) -> Vec<TaskManagerId> {
        let live = self.tasks.values().filter(|task| !is_over(task.status));
        let mut hosts: Vec<_> = live.map(|task| task.task_manager.clone()).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// Starts to wait for slots: after the submission, or when the restart delay is over.
    pub fn schedule(&mut self, now: Duration, facts: &mut Vec<Fact>) {
        let due = self.status == JobStatus::Restarting && now >= self.not_before;
        if due || self.status == JobStatus::Created {
            self.go(JobStatus::Scheduling, facts);
        }
    }

    /// Takes the next attempt with these tasks, each on its task manager.
    ///
    /// # Panics
    /// Unless the job is SCHEDULING.
    pub fn deploy(&mut self, tasks: Vec<(Subtask, TaskManagerId)>, facts: &mut Vec<Fact>) {
        self.attempt = self.attempt.next();
        let deploying = |task_manager| Task { task_manager, status: TaskStatus::Deploying };
        self.tasks = tasks.into_iter().map(|(task, on)| (task, deploying(on))).collect();
        self.go(JobStatus::Deploying, facts);
    }

    /// Takes a report of a task. One of another attempt or term changes nothing and is told.
    pub fn report(&mut self, now: Duration, report: &Report, facts: &mut Vec<Fact>) -> Wish {
        if let Some(cause) = self.refuses(&report.task) {
            let message = format!("task {} {}", report.task, report.status);
            facts.push(Fact::MessageFenced { message, cause });
            return Wish::Nothing;
        }
        let Some(task) = self.tasks.get_mut(&report.task.subtask) else { return Wish::Nothing };
        if is_over(task.status) {
            return Wish::Nothing;
        }
        task.status = report.status;
        let runs = matches!(self.status, JobStatus::Deploying | JobStatus::Running);
        match report.status {
            TaskStatus::Failed => self.fail(now, &report.cause, report.fatal, facts),
            // A job of which a part is gone would run for ever and never finish.
            TaskStatus::Canceled if runs => {
                let cause = format!("task {} was canceled and nobody asked for it", report.task);
                self.fail(now, &cause, report.fatal, facts)
            }
            _ => self.settle(facts),
        }
    }

    /// Takes the loss of a task manager: its tasks are over; one failure, however many they were.
    /// `fenced_until`: when they are over for certain, if the task manager may still live.
    pub fn lose(
        &mut self,
        now: Duration,
        task_manager: &TaskManagerId,
        (cause, fenced_until): (&str, Duration),
        facts: &mut Vec<Fact>,
    ) -> Wish {
        let mut lost = false;
        for task in self.tasks.values_mut() {
            if task.task_manager == *task_manager && !is_over(task.status) {
                task.status = TaskStatus::Failed;
                lost = true;
            }
        }
        if !lost {
            return Wish::Nothing;
        }
        let wish = self.fail(now, cause, false, facts);
        self.not_before = self.not_before.max(fenced_until);
        wish
    }

    /// Cancels the job. A job that has ended stays as it is.
    pub fn cancel(&mut self, facts: &mut Vec<Fact>) -> Wish {
        match self.status {
            JobStatus::Scheduling | JobStatus::Restarting => {
                self.go(JobStatus::Canceled, facts);
                Wish::ReleaseSlots
            }
            JobStatus::Deploying | JobStatus::Running | JobStatus::Failing => {
                self.go(JobStatus::Cancelling, facts);
                match self.settle(facts) {
                    Wish::Nothing => Wish::CancelTasks,
                    wish => wish,
                }
            }
            _ => Wish::Nothing,
        }
    }

    fn refuses(&self, task: &Execution) -> Option<String> {
        if task.epoch != self.epoch {
            return Some(format!("epoch {} is not {}", task.epoch, self.epoch));
        }
        if task.attempt != self.attempt {
            return Some(format!("attempt {} is not {}", task.attempt, self.attempt));
        }
        self.status.is_final().then(|| format!("the job is {}", self.status))
    }

    fn fail(&mut self, now: Duration, cause: &str, fatal: bool, facts: &mut Vec<Fact>) -> Wish {
        match self.status {
            JobStatus::Deploying | JobStatus::Running => {
                self.failures += 1;
                self.fatal = fatal;
                self.cause = cause.to_owned();
                self.not_before = now + self.delay();
                self.go(JobStatus::Failing, facts);
                match self.settle(facts) {
                    Wish::Nothing => Wish::CancelTasks,
                    wish => wish,
                }
            }
            JobStatus::Failing => {
                if fatal && !self.fatal {
                    // What ends the job is its cause, not what happened to be first.
                    self.fatal = true;
                    self.cause = cause.to_owned();
                }
                self.settle(facts)
            }
            _ => self.settle(facts),
        }
    }

    /// Moves on if the states of the tasks allow it.
    fn settle(&mut self, facts: &mut Vec<Fact>) -> Wish {
        let all = |over: fn(TaskStatus) -> bool| self.tasks.values().all(|task| over(task.status));
        let (up, over) = (all(|status| status != TaskStatus::Deploying), all(is_over));
        let finished = all(|status| status == TaskStatus::Finished);
        if self.status == JobStatus::Deploying && up {
            self.go(JobStatus::Running, facts);
        }
        match self.status {
            JobStatus::Running if finished => self.go(JobStatus::Finished, facts),
            JobStatus::Failing if over && self.may_restart() => {
                self.go(JobStatus::Restarting, facts);
            }
            JobStatus::Failing if over => self.go(JobStatus::Failed, facts),
            JobStatus::Cancelling if over => self.go(JobStatus::Canceled, facts),
            _ => return Wish::Nothing,
        }
        Wish::ReleaseSlots
    }

    fn may_restart(&self) -> bool {
        match self.graph.restart {
            Restart::None => false,
            Restart::FixedDelay { attempts, .. } => !self.fatal && self.failures <= attempts,
            Restart::Exponential { .. } | Restart::FailureRate { .. } => !self.fatal,
        }
    }

    fn delay(&self) -> Duration {
        match self.graph.restart {
            Restart::None => Duration::ZERO,
            Restart::Exponential { initial: delay, .. }
            | Restart::FixedDelay { delay, .. }
            | Restart::FailureRate { delay, .. } => delay,
        }
    }

    fn go(&mut self, to: JobStatus, facts: &mut Vec<Fact>) {
        let from = std::mem::replace(&mut self.status, to);
        assert!(may_go(from, to), "a job goes from {from} to one of its exits, not to {to}");
        let tells_why =
            matches!(to, JobStatus::Failing | JobStatus::Failed | JobStatus::Restarting);
        let cause = if tells_why { self.cause.clone() } else { String::new() };
        facts.push(Fact::JobStatusChanged { job: self.id, attempt: self.attempt, from, to, cause });
    }
}

fn is_over(status: TaskStatus) -> bool {
    matches!(status, TaskStatus::Finished | TaskStatus::Canceled | TaskStatus::Failed)
}

#[cfg(test)]
mod tests {
    use slackwater_core::graph::Vertex;
    use slackwater_core::id::VertexId;

    use super::*;

    /// A job with one restart, a second after the failure, and the facts that it told.
    struct Played {
        job: Job,
        now: Duration,
        facts: Vec<Fact>,
        wishes: Vec<Wish>,
    }

    impl Played {
        /// Words: `deploy` (task 0 on `a`, tasks 1 and 2 on `b`), `wait` (a second), `cancel`,
        /// `lose:a`, and `run:0`, `finish:0`, `cancelled:0`, `fail:0`, `fatal:0`; `old-…` says it of
        /// the attempt before.
        fn on(restart: Restart, script: &str) -> Self {
            let vertex =
                Vertex { id: VertexId(0), name: "v".into(), parallelism: 3, operators: Vec::new() };
            let (vertices, edges) = (vec![vertex], Vec::new());
            let graph = JobGraph {
                name: "job".into(),
                max_parallelism: 8,
                restart,
                checkpoints: None,
                vertices,
                edges,
            };
            let job = Job::new(JobId(1), JobEpoch(1), Program::named("job"), graph, Duration::ZERO);
            let (facts, wishes) = (Vec::new(), Vec::new());
            let mut played = Self { job, now: Duration::ZERO, facts, wishes };
            played.job.schedule(played.now, &mut played.facts);
            script.split_whitespace().for_each(|word| played.hears(word));
            played
        }

        fn hears(&mut self, word: &str) {
            let (verb, object) = word.split_once(':').unwrap_or((word, ""));
            let facts = &mut self.facts;
            let wish = match verb {
                "deploy" => {
                    let on = [(0, "a"), (1, "b"), (2, "b")];
                    let tasks = on.map(|(index, on)| (subtask(index), TaskManagerId(on.into())));
                    self.job.deploy(tasks.to_vec(), facts);
                    Wish::Nothing
                }
                "wait" => {
                    self.now += Duration::from_secs(1);
                    self.job.schedule(self.now, facts);
                    Wish::Nothing
                }
                "cancel" => self.job.cancel(facts),
                "lose" => {
                    let lost = TaskManagerId(object.into());
                    self.job.lose(self.now, &lost, ("lost", self.now), facts)
                }
                verb => {
                    let report = self.report(verb, object.parse().expect("a task"));
                    self.job.report(self.now, &report, &mut self.facts)
                }
            };
            self.wishes.push(wish);
        }

        fn report(&self, verb: &str, index: u32) -> Report {
            let (verb, back) = verb.strip_prefix("old-").map_or((verb, 0), |verb| (verb, 1));
            let attempt = Attempt(self.job.attempt().0 - back);
            let status = match verb {
                "run" => TaskStatus::Running,
                "finish" => TaskStatus::Finished,
                "cancelled" => TaskStatus::Canceled,
                "fail" | "fatal" => TaskStatus::Failed,
                other => panic!("no verb {other}"),
            };
            let task =
                Execution { job: JobId(1), epoch: JobEpoch(1), attempt, subtask: subtask(index) };
            Report { task, status, cause: format!("{verb}:{index}"), fatal: verb == "fatal" }
        }

        fn states(&self) -> String {
            let states = self.facts.iter().filter_map(|fact| match fact {
                Fact::JobStatusChanged { to, .. } => Some(to.to_string()),
                _ => None,
            });
            states.collect::<Vec<_>>().join(" ")
        }

        fn fenced(&self) -> usize {
            self.facts.iter().filter(|fact| matches!(fact, Fact::MessageFenced { .. })).count()
        }
    }

    fn subtask(index: u32) -> Subtask {
        Subtask { vertex: VertexId(0), index }
    }

    const ONCE: Restart = Restart::FixedDelay { attempts: 1, delay: Duration::from_secs(1) };
    const UP: &str = "deploy run:0 run:1 run:2";

    fn check(table: &[(Restart, &str, &str)]) {
        for (restart, script, expected) in table {
            let states = Played::on(*restart, &format!("{UP} {script}")).states();
            assert_eq!(
                states,
                format!("SCHEDULING DEPLOYING RUNNING {expected}").trim(),
                "{script}"
            );
        }
    }

    #[test]
    fn every_state_is_in_the_table_and_only_the_final_ones_have_no_exit() {
        let listed = |state: &JobStatus| EXITS.iter().filter(|(from, _)| from == state).count();
        for (state, exits) in EXITS {
            assert_eq!(listed(state), 1, "{state}");
            assert_eq!(exits.is_empty(), state.is_final(), "{state}");
            assert!(exits.iter().all(|exit| listed(exit) == 1 && exit != state), "{state}");
        }
        assert_eq!(EXITS.len(), 10);
    }

    #[test]
    fn a_job_ends_when_its_last_task_has() {
        check(&[
            (ONCE, "finish:0 finish:1", ""),
            (ONCE, "finish:0 finish:1 finish:2", "FINISHED"),
            (ONCE, "finish:0 cancel cancelled:1 finish:2", "CANCELLING CANCELED"),
            (ONCE, "cancel fail:0 lose:b", "CANCELLING CANCELED"),
        ]);
    }

    #[test]
    fn a_restart_waits_until_every_task_of_the_old_attempt_is_over_and_its_delay_is() {
        check(&[
            (ONCE, "fail:0 wait cancelled:1", "FAILING"),
            (ONCE, "fail:0 cancelled:1 cancelled:2", "FAILING RESTARTING"),
            (ONCE, "fail:0 cancelled:1 cancelled:2 wait", "FAILING RESTARTING SCHEDULING"),
            (ONCE, "fail:0 lose:b wait wait wait", "FAILING RESTARTING SCHEDULING"),
            (ONCE, "lose:b finish:0", "FAILING RESTARTING"),
            (ONCE, "fail:0 cancel cancelled:1 lose:b", "FAILING CANCELLING CANCELED"),
            (ONCE, "lose:a lose:b cancel", "FAILING RESTARTING CANCELED"),
        ]);
    }

    #[test]
    fn failures_are_counted_and_not_the_tasks_that_failed() {
        let again = "wait deploy run:0 run:1 run:2";
        let all = "fail:0 fail:1 fail:2";
        let mut played = Played::on(ONCE, &format!("{UP} {all} {again}"));
        assert_eq!((played.job.failures(), played.job.status()), (1, JobStatus::Running));
        all.split(' ').for_each(|word| played.hears(word));
        assert_eq!((played.job.failures(), played.job.status()), (2, JobStatus::Failed));
        assert_eq!(played.job.cause(), "fail:0");
        check(&[(Restart::None, all, "FAILING FAILED")]);
    }

    #[test]
    fn a_fatal_failure_ends_the_job_and_is_its_cause_whenever_it_comes() {
        for script in ["fatal:1 lose:a lose:b", "fail:0 fatal:1 lose:b"] {
            let played = Played::on(ONCE, &format!("{UP} {script}"));
            assert_eq!(played.job.status(), JobStatus::Failed, "{script}");
            assert_eq!(played.job.cause(), "fatal:1", "{script}");
        }
    }

    #[test]
    fn what_comes_from_the_dead_changes_nothing_and_is_told() {
        let second = format!("{UP} lose:a lose:b wait deploy");
        for late in ["old-run:0", "old-fail:1", "old-finish:2"] {
            let played = Played::on(ONCE, &format!("{second} {late}"));
            assert_eq!((played.job.status(), played.fenced()), (JobStatus::Deploying, 1), "{late}");
        }
        let over = Played::on(ONCE, &format!("{UP} finish:0 finish:1 finish:2 fail:0 lose:b"));
        assert_eq!((over.job.status(), over.fenced()), (JobStatus::Finished, 1), "no rerun");
    }

    #[test]
    fn slots_are_given_back_once_whatever_comes_after() {
        for script in ["fail:0 lose:b lose:a fail:0", "cancel lose:a lose:b cancel fail:1"] {
            let wishes = Played::on(ONCE, &format!("{UP} {script}")).wishes;
            let released = wishes.iter().filter(|wish| **wish == Wish::ReleaseSlots).count();
            assert_eq!(released, 1, "{script}: {wishes:?}");
        }
    }
}

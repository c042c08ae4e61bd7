//! The state machine of a job, in words and tables.
//! Nothing is executed: entries of the log are durable when the script says so, or at once.
//! Any order of events: `tests/any_order.rs`.

use slackwater_core::graph::{JobGraph, Restart, Vertex};
use slackwater_core::id::{JobEpoch, JobId, VertexId};
use slackwater_core::program::Program;

use super::*;

/// A job with one restart, a second after the failure, and the facts that it told.
struct Played {
    job: Job,
    now: Duration,
    facts: Vec<Fact>,
    wishes: Vec<Wish>,
    /// Entries of the log that are not durable yet.
    unwritten: Vec<u64>,
    /// Whether entries become durable by the word `durable` only.
    slow: bool,
    /// How many deployments and cancellations were commanded.
    commanded: (u32, u32),
}

impl Played {
    /// Words: `deploy` (task 0 on `a`, tasks 1 and 2 on `b`), `wait` (a second), `cancel`,
    /// `lose:a`, and `run:0`, `finish:0`, `cancelled:0`, `fail:0`, `fatal:0`; `old-…` says it of
    /// the attempt before. `slow`: from here on the log waits for `durable`.
    fn on(restart: Restart, script: &str) -> Self {
        let vertex =
            Vertex { id: VertexId(0), name: "v".into(), parallelism: 3, operators: Vec::new() };
        let (vertices, edges) = (vec![vertex], Vec::new());
        let graph = JobGraph {
            name: "job".into(),
            max_parallelism: 8,
            restart,
            checkpoints: None,
            latency_every: None,
            vertices,
            edges,
        };
        let (job, epoch, program) = (JobId(1), JobEpoch(1), Program::named("job"));
        let plan = Arc::new(Plan { job, epoch, program, graph });
        let mut out = Outbox::default();
        let mut played = Self {
            job: Job::submitted(plan, None, Duration::ZERO, &mut out),
            now: Duration::ZERO,
            facts: Vec::new(),
            wishes: Vec::new(),
            unwritten: Vec::new(),
            slow: false,
            commanded: (0, 0),
        };
        played.obeys(out);
        script.split_whitespace().for_each(|word| played.hears(word));
        played
    }

    fn hears(&mut self, word: &str) {
        let (verb, object) = word.split_once(':').unwrap_or((word, ""));
        let mut out = Outbox::default();
        let wish = match verb {
            "deploy" => {
                self.job.deploy(&["a", "b", "b"].map(Self::place_on()), &mut out);
                Wish::Nothing
            }
            "wait" => {
                self.now += Duration::from_secs(1);
                self.job.advance(self.now, &mut out)
            }
            "cancel" => self.job.cancel(self.now, &mut out).unwrap_or(Wish::Nothing),
            "lose" => {
                let lost = TaskManagerId(object.into());
                self.job.lose(self.now, &lost, ("lost", self.now), &mut out)
            }
            "slow" => {
                self.slow = true;
                Wish::Nothing
            }
            "durable" => {
                self.slow = false;
                Wish::Nothing
            }
            verb => {
                let report = self.report(verb, object.parse().expect("a task"));
                self.job.report(self.now, &report, &mut out)
            }
        };
        self.wishes.push(wish);
        self.obeys(out);
    }

    fn obeys(&mut self, mut out: Outbox) {
        for command in out.take() {
            match command {
                Command::Tell(fact) => self.facts.push(fact),
                Command::Persist { ticket, .. } => self.unwritten.push(ticket),
                Command::Deploy { .. } => self.commanded.0 += 1,
                Command::Cancel { .. } => self.commanded.1 += 1,
                other => panic!("a job without checkpoints commands {other:?}"),
            }
        }
        if !self.slow && !self.unwritten.is_empty() {
            let ticket = self.unwritten.remove(0);
            let mut out = Outbox::default();
            let wish = self.job.persisted(ticket, &mut out);
            self.wishes.push(wish);
            self.obeys(out);
        }
    }

    fn place_on() -> impl FnMut(&str) -> Placement {
        let mut index = 0..;
        move |on| Placement {
            subtask: subtask(index.next().expect("without end")),
            worker: WorkerId { task_manager: TaskManagerId(on.into()), index: 0 },
            address: format!("{on}:1"),
        }
    }

    fn report(&self, verb: &str, index: u32) -> Report {
        let (verb, back) = verb.strip_prefix("old-").map_or((verb, 0), |verb| (verb, 1));
        let attempt = Attempt(self.job.tasks.attempt.0 - back);
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
        assert_eq!(states, format!("SCHEDULING DEPLOYING RUNNING {expected}").trim(), "{script}");
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
    assert_eq!((played.job.budget.failures(), played.job.status()), (1, JobStatus::Running));
    all.split(' ').for_each(|word| played.hears(word));
    assert_eq!((played.job.budget.failures(), played.job.status()), (2, JobStatus::Failed));
    assert_eq!(played.job.cause, "fail:0");
    check(&[(Restart::None, all, "FAILING FAILED")]);
}

#[test]
fn a_fatal_failure_ends_the_job_and_is_its_cause_whenever_it_comes() {
    for script in ["fatal:1 lose:a lose:b", "fail:0 fatal:1 lose:b"] {
        let played = Played::on(ONCE, &format!("{UP} {script}"));
        assert_eq!(played.job.status(), JobStatus::Failed, "{script}");
        assert_eq!(played.job.cause, "fatal:1", "{script}");
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

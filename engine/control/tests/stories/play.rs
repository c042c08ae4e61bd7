//! A job of two sources and two sinks on two task managers, played by a script of words.
//! Decides nothing: it says to the cluster what the words say, and writes down what it commands.
//! The stories: [`crate::checkpoints`], [`crate::leaders`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use slackwater_control::checkpoint::{Acknowledge, Decline};
use slackwater_control::cluster::{Cluster, Command, Findings};
use slackwater_control::job::{Report, RestoreFailed};
use slackwater_control::recovery::Recovered;
use slackwater_control::slots::OfferedWorker;
use slackwater_control::tasks::is_over;
use slackwater_core::checkpoint::{
    CheckpointConfig, CheckpointMetadata, CheckpointTimes, Contents, StateHandle,
};
use slackwater_core::fact::{Fact, JobStatus, TaskStatus};
use slackwater_core::graph::{
    Edge, JobGraph, OperatorInfo, OperatorKind, Partition, Restart, TWO_PHASE, Vertex,
};
use slackwater_core::id::{
    Attempt, CheckpointId, Execution, JobEpoch, JobId, Subtask, TaskManagerId, TriggerId, VertexId,
    WorkerId,
};
use slackwater_core::joblog::LogEvent;
use slackwater_core::program::Program;
use slackwater_core::savepoint::{Ending, JOB_MANAGER, SavepointRequest, SavepointStatus};
use slackwater_core::schema::Fingerprint;

pub const JOB: JobId = JobId(1);

/// What the job is like.
pub struct Setting {
    pub checkpoints: Option<CheckpointConfig>,
    pub restart: Restart,
    pub two_phase: bool,
}

impl Default for Setting {
    /// Every second, 3 s of patience, none may fail; three restarts, one second later.
    fn default() -> Self {
        Self {
            checkpoints: Some(CheckpointConfig {
                timeout: Duration::from_secs(3),
                ..CheckpointConfig::every(Duration::from_secs(1))
            }),
            restart: Restart::fixed(3, Duration::from_secs(1)),
            two_phase: false,
        }
    }
}

impl Setting {
    pub fn with(mut self, change: impl FnOnce(&mut CheckpointConfig)) -> Self {
        change(self.checkpoints.as_mut().expect("checkpoints"));
        self
    }

    fn graph(&self) -> JobGraph {
        let sink = OperatorInfo {
            kind: OperatorKind::Sink,
            name: "sink".into(),
            uid: Some("sink".into()),
            note: if self.two_phase { TWO_PHASE } else { "at least once" }.to_owned(),
            states: Vec::new(),
            formerly: Vec::new(),
        };
        let vertex = |id, operators| Vertex {
            id: VertexId(id),
            name: format!("v{id}"),
            parallelism: 2,
            operators,
        };
        let edge = Edge {
            from: VertexId(0),
            port: 0,
            to: VertexId(1),
            input: 0,
            partition: Partition::Hash,
            schema: Fingerprint(0),
        };
        JobGraph {
            name: "job".into(),
            max_parallelism: 8,
            restart: self.restart,
            checkpoints: self.checkpoints.clone(),
            latency_every: None,
            vertices: vec![vertex(0, Vec::new()), vertex(1, vec![sink])],
            edges: vec![edge],
        }
    }
}

/// A cluster, and what it has said.
pub struct Play {
    pub cluster: Cluster,
    setting: Setting,
    pub now: Duration,
    pub said: Vec<String>,
    /// The log, which outlives job managers.
    pub log: Vec<(JobEpoch, LogEvent)>,
    /// The metadata that is being written, and how the entry reads that completes it.
    writing: Option<(CheckpointMetadata, LogEvent)>,
    /// What the last deployment said that two-phase sinks must spare.
    pub spared: Vec<CheckpointId>,
    /// Why a savepoint was refused last.
    pub refusal: String,
    /// The savepoint that is being written, and how the entry reads that completes it.
    saving: Option<LogEvent>,
    /// What lies in the folders of savepoints.
    pub saved: BTreeMap<CheckpointId, CheckpointMetadata>,
    /// What lies in the store.
    pub stored: BTreeMap<CheckpointId, CheckpointMetadata>,
    tasks: BTreeMap<Subtask, TaskStatus>,
    attempt: Attempt,
    newest: CheckpointId,
    unwritten: Vec<(JobId, u64, LogEvent)>,
    slow: bool,
    witness: Witness,
}

/// What must hold whatever is said: remembered from the commands and facts alone.
#[derive(Default)]
struct Witness {
    pending: Option<CheckpointId>,
    /// The tasks that lived when the pending one was triggered and have not said their part.
    missing: BTreeSet<Subtask>,
    /// Those that somebody was told of.
    complete: BTreeSet<CheckpointId>,
    /// The attempts that ended in a restart, under any leader.
    failed: BTreeSet<(JobEpoch, Attempt)>,
}

impl Play {
    /// Submits the job, registers `a` and `b`, and follows the script.
    pub fn of(setting: Setting, script: &str) -> Self {
        let mut play = Self {
            cluster: Cluster::new(JobEpoch(1)),
            setting,
            now: Duration::ZERO,
            said: Vec::new(),
            log: Vec::new(),
            writing: None,
            saving: None,
            refusal: String::new(),
            spared: Vec::new(),
            saved: BTreeMap::new(),
            stored: BTreeMap::new(),
            tasks: BTreeMap::new(),
            attempt: Attempt(0),
            newest: CheckpointId(0),
            unwritten: Vec::new(),
            slow: false,
            witness: Witness::default(),
        };
        let graph = play.setting.graph();
        let commands = play.cluster.submit(play.now, JOB, (Program::named("job"), None), graph);
        play.obeys(commands.expect("accepted"));
        play.follow("back:a back:b");
        play.said.clear();
        play.follow(script);
        play
    }

    pub fn follow(&mut self, script: &str) {
        for word in script.split_whitespace() {
            let (verb, object) = word.split_once(':').unwrap_or((word, ""));
            let commands = self.hear(verb, object);
            self.obeys(commands);
        }
    }

    /// What is being written, which its writer will not live to say.
    pub fn take_writing(&mut self) -> (JobEpoch, LogEvent, CheckpointMetadata) {
        let (metadata, event) = self.writing.take().expect("one is being written");
        (self.cluster.epoch(), event, metadata)
    }

    /// Whether the word makes sense now.
    pub fn can(&self, word: &str) -> bool {
        let restored = self.said.iter().any(|word| word.starts_with("restored"));
        match word.split_once(':').map_or(word, |(verb, _)| verb) {
            "written" | "unwritten" => self.writing.is_some(),
            "saved" | "unsaved" => self.saving.is_some(),
            "again" => self.writing.is_none() && self.saving.is_none(),
            "old-ack" => self.attempt.0 > 0,
            "cancel" => !self.status().is_final(),
            "damaged" | "flaky" => restored,
            _ => true,
        }
    }

    pub fn status(&self) -> JobStatus {
        self.cluster.jobs()[0].status
    }

    fn hear(&mut self, verb: &str, object: &str) -> Vec<Command> {
        let now = self.now;
        match verb {
            "up" => self.all(TaskStatus::Running),
            "over" => self.all(TaskStatus::Canceled),
            "wait" => {
                self.now += Duration::from_millis(object.parse().expect("milliseconds"));
                self.cluster.tick(self.now)
            }
            "acks" => {
                let all = ["s0", "s1", "k0", "k1"];
                all.iter().flat_map(|name| self.hear("ack", name)).collect()
            }
            "ack" | "old-ack" | "decline" => self.part(verb, object),
            "end" => self.cluster.source_ended(now, self.task(object)),
            "written" => {
                let (metadata, event) = self.writing.take().expect("one is being written");
                self.log.push((self.cluster.epoch(), event));
                let checkpoint = metadata.checkpoint;
                self.stored.insert(checkpoint, metadata);
                self.cluster.metadata_written(now, JOB, checkpoint)
            }
            "unwritten" => {
                let (metadata, _) = self.writing.take().expect("one is being written");
                self.cluster.metadata_failed(now, JOB, metadata.checkpoint, "full")
            }
            "again" => self.cluster.metadata_written(now, JOB, self.newest),
            "lose" => {
                self.tasks.retain(|subtask, _| host(*subtask) != object);
                self.cluster.lose(now, &TaskManagerId(object.into()), "killed", now)
            }
            "back" => self.back(object),
            "run" => self.report(object, TaskStatus::Running),
            "fail" => self.report(object, TaskStatus::Failed),
            "finish" => self.report(object, TaskStatus::Finished),
            "damaged" | "flaky" => {
                let (task, checkpoint) = (self.task(object), self.restored());
                let (damaged, cause) = (verb == "damaged", "a bit flipped".to_owned());
                self.cluster
                    .restore_failed(now, &RestoreFailed { task, checkpoint, damaged, cause })
            }
            "cancel" => self.cluster.cancel(now, JOB).expect("it may be cancelled"),
            "slow" => {
                self.slow = true;
                Vec::new()
            }
            "durable" => {
                self.slow = false;
                Vec::new()
            }
            "leader" => self.new_leader(object),
            _ => self.hear_of_savepoints(verb, object),
        }
    }

    fn hear_of_savepoints(&mut self, verb: &str, object: &str) -> Vec<Command> {
        let now = self.now;
        match verb {
            "save" | "stop" | "drain" | "keep" => self.ask(verb, object),
            "saved" => {
                let event = self.saving.take().expect("one is being written");
                let LogEvent::Saved { metadata, .. } = &event else { panic!("{event:?}") };
                let checkpoint = metadata.checkpoint;
                self.saved.insert(checkpoint, (**metadata).clone());
                self.log.push((self.cluster.epoch(), event));
                self.cluster.metadata_written(now, JOB, checkpoint)
            }
            "unsaved" => {
                let event = self.saving.take().expect("one is being written");
                let LogEvent::Saved { metadata, .. } = event else { panic!("{event:?}") };
                self.cluster.metadata_failed(now, JOB, metadata.checkpoint, "full")
            }
            other => panic!("no verb {other}"),
        }
    }

    /// A person asks for savepoint number `object`.
    fn ask(&mut self, verb: &str, object: &str) -> Vec<Command> {
        let ending = match verb {
            "stop" => Some(Ending::Stop),
            "drain" => Some(Ending::Drain),
            _ => None,
        };
        let trigger = TriggerId(object.parse().expect("a number"));
        let target = if verb == "keep" { JOB_MANAGER } else { "file:///savepoints" }.to_owned();
        let request = SavepointRequest { trigger, target, ending };
        match self.cluster.savepoint(self.now, JOB, &request) {
            Ok(commands) => commands,
            Err(refusal) => {
                self.said.push(format!("refused:{object}"));
                self.refusal = refusal.0;
                Vec::new()
            }
        }
    }

    /// How far savepoint `number` is, for a person.
    pub fn savepoint(&self, number: u128) -> String {
        match self.cluster.savepoint_status(TriggerId(number)) {
            None => "unknown".to_owned(),
            Some((_, SavepointStatus::InProgress)) => "in progress".to_owned(),
            Some((_, SavepointStatus::Completed { path, .. })) => path,
            Some((_, SavepointStatus::Failed { cause })) => format!("failed: {cause}"),
        }
    }

    /// A task manager registers.
    fn back(&mut self, object: &str) -> Vec<Command> {
        let id = TaskManagerId(object.into());
        if self.cluster.task_managers().iter().any(|(known, ..)| *known == id) {
            // It was restarted faster than anybody saw.
            self.tasks.retain(|subtask, _| host(*subtask) != object);
        }
        let worker = WorkerId { task_manager: id.clone(), index: 0 };
        let offered = OfferedWorker { id: worker, address: format!("{object}:1") };
        self.cluster.register(self.now, id, 1, vec![offered])
    }

    /// Another job manager takes over; the metadata of these checkpoints is damaged.
    fn new_leader(&mut self, damaged: &str) -> Vec<Command> {
        let epoch = self.cluster.epoch().next();
        self.cluster = Cluster::new(epoch);
        (self.writing, self.saving, self.unwritten) = (None, None, Vec::new());
        self.tasks.clear();
        self.witness.pending = None;
        self.log.push((epoch, LogEvent::Claimed));
        let log = self.log.iter().map(|(epoch, event)| (*epoch, event));
        let recovered = Recovered::from_log(JOB, log).expect("accepted");
        let graph = self.setting.graph();
        let retained = graph.checkpoints.as_ref().map_or(1, |config| config.retained);
        let damaged: Vec<u64> = damaged.split(',').flat_map(str::parse).collect();
        let read = |checkpoint: CheckpointId| match self.stored.get(&checkpoint) {
            Some(metadata) if !damaged.contains(&checkpoint.0) => Ok(metadata.clone()),
            Some(_) => Err("a bit flipped".to_owned()),
            None => Err("it is missing".to_owned()),
        };
        let candidates = recovered.candidates(retained).iter();
        let complete = candidates.map(|c| (c.checkpoint, read(c.checkpoint))).collect();
        let fenced_until = self.now + Duration::from_secs(10);
        let findings = Findings { graph, complete, fenced_until };
        self.cluster.resume(self.now, &recovered, findings)
    }

    fn part(&mut self, verb: &str, object: &str) -> Vec<Command> {
        let (name, id) = object.split_once('@').unwrap_or((object, ""));
        let checkpoint = id.parse().map_or(self.newest, CheckpointId);
        let mut task = self.task(name);
        if verb == "decline" {
            let cause = "the disk is full".to_owned();
            return self.cluster.decline(self.now, &Decline { task, checkpoint, cause });
        }
        task.attempt.0 -= u32::from(verb == "old-ack");
        if task.attempt == self.attempt && self.witness.pending == Some(checkpoint) {
            self.witness.missing.remove(&task.subtask);
        }
        let state = StateHandle::Inline(vec![7; 10]);
        let times = CheckpointTimes { bytes: 10, ..CheckpointTimes::default() };
        self.cluster.acknowledge(
            self.now,
            Acknowledge { task, checkpoint, state, contents: Contents::default(), times },
        )
    }

    fn all(&mut self, status: TaskStatus) -> Vec<Command> {
        let live = self.tasks.iter().filter(|(_, status)| !is_over(**status));
        let live: Vec<_> = live.map(|(subtask, _)| name(*subtask)).collect();
        live.iter().flat_map(|name| self.report(name, status)).collect()
    }

    fn report(&mut self, name: &str, status: TaskStatus) -> Vec<Command> {
        let task = self.task(name);
        if let Some(known) = self.tasks.get_mut(&task.subtask)
            && !is_over(*known)
        {
            *known = status;
        }
        let cause = format!("{name} said {status}");
        self.cluster.report(self.now, &Report { task, status, cause, fatal: false })
    }

    fn task(&self, name: &str) -> Execution {
        let (vertex, index) = name.split_at(1);
        let vertex = VertexId(u32::from(vertex == "k"));
        let subtask = Subtask { vertex, index: index.parse().expect("an index") };
        Execution { job: JOB, epoch: self.cluster.epoch(), attempt: self.attempt, subtask }
    }

    fn restored(&self) -> CheckpointId {
        let mut restored = self.said.iter().rev().filter_map(|word| word.strip_prefix("restored:"));
        CheckpointId(restored.next().expect("restored").parse().expect("a number"))
    }

    fn obeys(&mut self, commands: Vec<Command>) {
        let mut triggered = BTreeSet::new();
        for command in commands {
            match command {
                Command::Tell(fact) => self.hears(&fact),
                Command::Persist { job, ticket, event } => {
                    self.unwritten.push((job, ticket, event));
                }
                Command::Deploy { attempt, restore, subtasks, spared, .. } => {
                    if self.attempt != attempt {
                        let over = self.tasks.values().all(|status| is_over(*status));
                        assert!(over && attempt > self.attempt, "one attempt lives at a time");
                        let taken_up = restore.as_ref().filter(|point| !point.is_beginning());
                        self.begins_with(taken_up.map(|point| point.checkpoint));
                        (self.attempt, self.tasks) = (attempt, BTreeMap::new());
                        self.said.extend(restore.is_none().then(|| "start".to_owned()));
                        let halted = restore.as_ref().is_some_and(|point| point.halted);
                        self.said.extend(halted.then(|| "halted".to_owned()));
                        self.spared = spared;
                    }
                    self.tasks.extend(subtasks.iter().map(|s| (*s, TaskStatus::Deploying)));
                }
                Command::Cancel { .. } => {}
                Command::Trigger { barrier, subtasks, .. } => {
                    assert_eq!(barrier.checkpoint, self.newest, "told before it is commanded");
                    triggered.extend(subtasks);
                }
                Command::Complete { metadata, event, .. } => {
                    assert_eq!(self.witness.missing, BTreeSet::new(), "every part is in");
                    assert_eq!(self.witness.pending, Some(metadata.checkpoint));
                    self.said.push(format!("write:{}", metadata.checkpoint));
                    self.writing = Some((*metadata, event));
                }
                Command::Notify { task_manager, checkpoint, .. } => {
                    let durable = self.stored.contains_key(&checkpoint);
                    assert!(durable || self.saved.contains_key(&checkpoint), "told when durable");
                    self.said.push(format!("tell:{task_manager}"))
                }
                Command::AbortCheckpoint { .. } => {}
                Command::Discard { checkpoints, .. } => {
                    checkpoints.iter().for_each(|checkpoint| drop(self.stored.remove(checkpoint)));
                    self.said.push(format!("discard:{}", list(&checkpoints)));
                }
                Command::Sweep { keep, below, .. } => {
                    self.stored.retain(|id, _| *id >= below || keep.contains(id));
                    self.said.push(format!("sweep-but:{}", list(&keep)));
                }
                of_savepoint => self.saves(of_savepoint),
            }
        }
        assert!(triggered.iter().all(|subtask| subtask.vertex == VertexId(0)), "sources only");
        while !self.slow && !self.unwritten.is_empty() {
            let (job, ticket, event) = self.unwritten.remove(0);
            self.log.push((self.cluster.epoch(), event));
            let commands = self.cluster.persisted(self.now, job, ticket);
            self.obeys(commands);
        }
    }

    fn saves(&mut self, command: Command) {
        match command {
            Command::Save { trigger, path, metadata, ids_below, .. } => {
                assert_eq!(self.witness.missing, BTreeSet::new(), "every part is in");
                assert_eq!(self.witness.pending, Some(metadata.checkpoint));
                self.said.push(format!("save:{}", metadata.checkpoint));
                self.saving = Some(LogEvent::Saved { trigger, path, metadata, ids_below });
            }
            Command::Publish { metadata, .. } => {
                let checkpoint = metadata.checkpoint;
                self.saved.entry(checkpoint).or_insert(*metadata);
                self.said.push(format!("publish:{checkpoint}"));
            }
            Command::Unsave { paths, .. } => {
                self.said.push(format!("unsave:{}", paths.len()));
            }
            other => panic!("{other:?}"),
        }
    }

    /// An attempt begins with the newest checkpoint that anybody was told of, and it is there.
    fn begins_with(&self, restore: Option<CheckpointId>) {
        let unreadable = |id: &&CheckpointId| !self.said.contains(&format!("unreadable:{id}"));
        let newest = self.witness.complete.iter().rfind(unreadable);
        assert!(restore >= newest.copied(), "{restore:?} is older than {newest:?}");
        let is_there = |id| self.stored.contains_key(&id) || self.saved.contains_key(&id);
        assert!(restore.is_none_or(is_there), "{restore:?} is deleted");
    }

    fn witnesses(&mut self, fact: &Fact) {
        let witness = &mut self.witness;
        match fact {
            Fact::SavepointCompleted { checkpoint, .. } => {
                assert_eq!(witness.pending.take(), Some(*checkpoint), "it was pending");
                assert!(self.saved.contains_key(checkpoint), "it is durable");
            }
            Fact::SavepointFailed { checkpoint, .. } if *checkpoint > CheckpointId(0) => {
                assert_eq!(witness.pending.take(), Some(*checkpoint), "it was pending");
            }
            Fact::CheckpointTriggered { checkpoint, .. }
            | Fact::SavepointTriggered { checkpoint, .. } => {
                let before = witness.pending.replace(*checkpoint);
                assert_eq!(before, None, "one is pending at a time");
                let live = self.tasks.iter().filter(|(_, status)| !is_over(**status));
                witness.missing = live.map(|(subtask, _)| *subtask).collect();
            }
            Fact::CheckpointCompleted { checkpoint, .. } => {
                assert_eq!(witness.pending.take(), Some(*checkpoint), "it was pending");
                assert!(self.stored.contains_key(checkpoint), "it is durable");
                witness.complete.insert(*checkpoint);
            }
            Fact::CheckpointAborted { checkpoint, .. } => {
                assert_eq!(witness.pending.take(), Some(*checkpoint), "it was pending");
                assert!(!self.stored.contains_key(checkpoint), "what is complete is not aborted");
            }
            Fact::RestartCounted { attempt, .. } => {
                let failed = (self.cluster.epoch(), *attempt);
                assert!(witness.failed.insert(failed), "a failure is counted once per attempt");
            }
            _ => {}
        }
    }

    fn hears(&mut self, fact: &Fact) {
        self.witnesses(fact);
        let last = |last: &bool| if *last { "-last" } else { "" };
        let word = match fact {
            Fact::CheckpointTriggered { checkpoint, last: l, .. } => {
                assert!(*checkpoint > self.newest, "ids grow");
                self.newest = *checkpoint;
                format!("trigger{}:{checkpoint}", last(l))
            }
            Fact::SavepointTriggered { checkpoint, ending, .. } => {
                assert!(*checkpoint > self.newest, "ids grow");
                self.newest = *checkpoint;
                let ending = ending.map_or(String::new(), |ending| format!("-{ending}"));
                format!("savepoint{ending}:{checkpoint}")
            }
            Fact::SavepointCompleted { checkpoint, .. } => format!("saved:{checkpoint}"),
            Fact::SavepointFailed { checkpoint, .. } => format!("failed:{checkpoint}"),
            Fact::CheckpointAckReceived { .. } => "+".to_owned(),
            Fact::CheckpointDeclined { checkpoint, .. } => format!("declined:{checkpoint}"),
            Fact::CheckpointCompleted { checkpoint, bytes, .. } => {
                assert_eq!(*bytes, self.stored[checkpoint].bytes(), "every part is counted");
                format!("complete:{checkpoint}")
            }
            Fact::CheckpointNotified { checkpoint, last: l, .. } => {
                format!("notify{}:{checkpoint}", last(l))
            }
            Fact::CheckpointAborted { checkpoint, .. } => format!("abort:{checkpoint}"),
            Fact::CheckpointSubsumed { checkpoint, .. } => format!("subsumed:{checkpoint}"),
            Fact::CheckpointUnreadable { checkpoint, .. } => format!("unreadable:{checkpoint}"),
            Fact::JobRestored { checkpoint, .. } => format!("restored:{checkpoint}"),
            Fact::RestartCounted { restarts, .. } => format!("restart:{restarts}"),
            Fact::JobResumed { attempt, .. } => format!("resumed:{attempt}"),
            Fact::MessageFenced { .. } => "fenced".to_owned(),
            Fact::JobStatusChanged { to, .. } if to.is_final() => to.to_string(),
            _ => return,
        };
        self.said.push(word);
    }
}

/// Plays each script; what was said must be this.
pub fn check(setting: impl Fn() -> Setting, table: &[(&str, &str)]) {
    for (script, expected) in table {
        let said = Play::of(setting(), script).said.join(" ");
        assert_eq!(said, *expected, "{script}");
    }
}

fn host(subtask: Subtask) -> &'static str {
    ["a", "b"][subtask.index as usize]
}

fn name(subtask: Subtask) -> String {
    format!("{}{}", ["s", "k"][subtask.vertex.0 as usize], subtask.index)
}

fn list(checkpoints: &[CheckpointId]) -> String {
    checkpoints.iter().map(CheckpointId::to_string).collect::<Vec<_>>().join(",")
}

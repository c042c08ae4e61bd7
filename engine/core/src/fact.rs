//! Every observable event of the engine and of its world, one enum, stated once.
//! If it is not a fact, nobody may assert it. Facts carry no wall time and no address: who said it
//! and when is added by whoever listens (the journal of `slackwater-sim`, a log, a dashboard).

mod shown;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::element::LatencyMarker;
use crate::graph::Uid;
use crate::id::{
    Attempt, ChannelId, CheckpointId, Execution, JobEpoch, JobId, TaskManagerId, TriggerId,
};
use crate::message::MessageKind;
use crate::point::Point;
use crate::savepoint::Ending;
use crate::time::EventTime;

use shown::Shown;

/// How much a listener wants to be told; each level includes the ones before it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Nothing: nobody listens.
    Off,
    /// Jobs, tasks, nodes: a few facts a second.
    Control,
    /// Batches, frames, watermarks, firings: some facts per batch.
    Flow,
    /// The records themselves, encoded: what oracles need.
    Records,
}

/// The states of a job.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum JobStatus {
    Created,
    Scheduling,
    Deploying,
    Running,
    Failing,
    Restarting,
    Cancelling,
    Canceled,
    Failed,
    Finished,
}

impl JobStatus {
    /// Whether the job has ended for good.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Canceled | Self::Failed | Self::Finished)
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}").to_uppercase())
    }
}

/// The states of a task, as its task manager tells them.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum TaskStatus {
    Deploying,
    Running,
    Finished,
    Canceled,
    Failed,
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}").to_uppercase())
    }
}

/// How a node went down.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Down {
    /// kill -9: the process is gone, its machine and page cache stay; peers see the connection end.
    Kill,
    /// The machine is gone, with everything that was not synced.
    PowerLoss,
    /// SIGSTOP: alive, silent, and later awake with old ideas.
    Pause,
    /// The process ended by itself; its machine stays.
    Exit,
}

macro_rules! facts {
    ($($(#[doc = $doc:literal])+ $variant:ident = $probe:literal { $($(#[$fdoc:meta])* $field:ident: $type:ty),* $(,)? })*) => {
        /// Something that happened. Each variant has one probe name, by which triggers, traces,
        /// timelines and expectations speak of it.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[allow(missing_docs)]
        pub enum Fact {
            $($(#[doc = $doc])+ $variant { $($(#[$fdoc])* $field: $type),* },)*
        }

        impl Fact {
            /// The name by which the harness speaks of this kind of fact.
            pub fn probe(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $probe,)* }
            }
        }

        /// Every probe with one sentence, in the order of the enum.
        pub const PROBES: &[(&str, &str)] = &[$(($probe, concat!($($doc),+)),)*];

        /// The fields of a probe, each with its type; none for a name that is no probe.
        pub fn fields_of(probe: &str) -> &'static [(&'static str, &'static str)] {
            match probe {
                $($probe => &[$((stringify!($field), stringify!($type))),*],)*
                _ => &[],
            }
        }

        impl fmt::Display for Fact {
            /// `probe field=value …`: one line, no addresses, stable.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant { $($field),* } => {
                        f.write_str($probe)?;
                        $(write!(f, concat!(" ", stringify!($field), "={}"), Shown($field))?;)*
                        Ok(())
                    })*
                }
            }
        }
    };
}

facts! {
    /// A job manager opened its doors.
    JobManagerStarted = "job_manager.started" { epoch: JobEpoch }
    /// A job manager took the lease of leadership for this term.
    LeaderElected = "leader.elected" { epoch: JobEpoch }
    /// A job manager stands by: another holds the lease.
    LeaderStandby = "leader.standby" { leader: String, epoch: JobEpoch }
    /// A leader renewed its lease (told at detail Flow).
    LeaderRenewed = "leader.renewed" { epoch: JobEpoch }
    /// A leader leads no longer, and does nothing more.
    LeaderLost = "leader.lost" { epoch: JobEpoch, cause: String }
    /// A job was accepted.
    JobSubmitted = "job.submitted" { job: JobId, name: String, slots: u32 }
    /// A request about a job was refused.
    JobRefused = "job.refused" { job: JobId, cause: String }
    /// A job changed its state.
    JobStatusChanged = "job.status" { job: JobId, attempt: Attempt, from: JobStatus, to: JobStatus, cause: String }
    /// A task manager registered.
    TaskManagerRegistered = "task_manager.registered" { task_manager: TaskManagerId, slots: u32 }
    /// A task manager is taken for lost.
    TaskManagerLost = "task_manager.lost" { task_manager: TaskManagerId, cause: String }
    /// A handshake was refused.
    HandshakeRefused = "handshake.refused" { peer: String, cause: String }
    /// A task manager gave up on its job manager and stopped its tasks.
    JobManagerLost = "job_manager.lost" { task_manager: TaskManagerId, cause: String }
    /// A slot was given to a job.
    SlotAllocated = "slot.allocated" { job: JobId, task_manager: TaskManagerId, slot: u32 }
    /// A slot was freed.
    SlotFreed = "slot.freed" { job: JobId, task_manager: TaskManagerId, slot: u32 }
    /// A task changed its state.
    TaskStatusChanged = "task.status" { task: Execution, to: TaskStatus, cause: String }
    /// A job manager or task manager is about to send a message; `checkpoint` is 0 where it is about none.
    MessageSent = "message.sent" { message: MessageKind, peer: String, job: JobId, attempt: Attempt, checkpoint: CheckpointId }
    /// A message has arrived, and is about to be acted upon; `checkpoint` is 0 where it is about none.
    MessageReceived = "message.received" { message: MessageKind, peer: String, job: JobId, attempt: Attempt, checkpoint: CheckpointId }
    /// A message of another attempt, epoch or dead leader arrived and changed nothing.
    MessageFenced = "fenced.message" { message: String, cause: String }

    /// The coordinator let a barrier start at the sources.
    CheckpointTriggered = "checkpoint.triggered" { job: JobId, attempt: Attempt, checkpoint: CheckpointId, last: bool }
    /// A task's part of a pending checkpoint was acknowledged, and counts.
    CheckpointAckReceived = "checkpoint.ack.received" { job: JobId, attempt: Attempt, checkpoint: CheckpointId, task: Execution, bytes: u64 }
    /// A task could not write its part of a pending checkpoint.
    CheckpointDeclined = "checkpoint.declined" { job: JobId, attempt: Attempt, checkpoint: CheckpointId, task: Execution, cause: String }
    /// A checkpoint's completion is durable: its parts, its metadata, and the entry in the job's log.
    CheckpointCompleted = "checkpoint.completed" { job: JobId, attempt: Attempt, checkpoint: CheckpointId, duration: Duration, bytes: u64 }
    /// A pending checkpoint will never complete.
    CheckpointAborted = "checkpoint.aborted" { job: JobId, attempt: Attempt, checkpoint: CheckpointId, cause: String }
    /// The tasks are being told that a checkpoint is complete.
    CheckpointNotified = "checkpoint.notified" { job: JobId, attempt: Attempt, checkpoint: CheckpointId, last: bool }
    /// A complete checkpoint is no longer needed, and will be deleted.
    CheckpointSubsumed = "checkpoint.subsumed" { job: JobId, attempt: Attempt, checkpoint: CheckpointId }
    /// A complete checkpoint cannot be read: recovery never uses it again.
    CheckpointUnreadable = "checkpoint.unreadable" { job: JobId, attempt: Attempt, checkpoint: CheckpointId, cause: String }
    /// The coordinator let the barrier of a savepoint start at the sources; `ending`: how the job is to end with it.
    SavepointTriggered = "savepoint.triggered" { job: JobId, attempt: Attempt, checkpoint: CheckpointId, trigger: TriggerId, ending: Option<Ending> }
    /// A savepoint is complete, and lies in its folder.
    SavepointCompleted = "savepoint.completed" { job: JobId, attempt: Attempt, checkpoint: CheckpointId, path: String, bytes: u64 }
    /// A savepoint was not taken, and never will be; the checkpoint is 0 if none was triggered for it.
    SavepointFailed = "savepoint.failed" { job: JobId, attempt: Attempt, checkpoint: CheckpointId, trigger: TriggerId, cause: String }
    /// An attempt is deployed with the state of a checkpoint.
    JobRestored = "job.restored" { job: JobId, attempt: Attempt, checkpoint: CheckpointId }
    /// A new leader took the job over, as the leader before left it.
    JobResumed = "job.resumed" { job: JobId, attempt: Attempt }
    /// A failure was counted, and the job will start again; `restarts` so far.
    RestartCounted = "job.restart_counted" { job: JobId, attempt: Attempt, restarts: u32 }

    /// A source let a barrier pass behind its last batch.
    BarrierInjected = "checkpoint.barrier.injected" { task: Execution, checkpoint: CheckpointId }
    /// A channel of a task delivered a barrier.
    BarrierReceived = "checkpoint.barrier.received" { task: Execution, channel: u32, checkpoint: CheckpointId }
    /// Every channel of a task has delivered the barrier; `held` packets waited behind it.
    BarrierAligned = "checkpoint.barrier.aligned" { task: Execution, checkpoint: CheckpointId, channels: u32, held: u64, took: Duration }
    /// A task kept its state as the barrier passed; the stream stood still for so long.
    SnapshotTaken = "checkpoint.snapshot.taken" { task: Execution, checkpoint: CheckpointId, stall: Duration }
    /// A task's part of a checkpoint is durable.
    StateWritten = "checkpoint.state.written" { task: Execution, checkpoint: CheckpointId, bytes: u64 }
    /// A task said that its part of a checkpoint is durable.
    CheckpointAckSent = "checkpoint.ack.sent" { task: Execution, checkpoint: CheckpointId }
    /// A task took up its part of a checkpoint.
    StateRestored = "checkpoint.restored" { task: Execution, checkpoint: CheckpointId, bytes: u64 }
    /// A two-phase sink's rows lie outside, complete and invisible, until the checkpoint completes.
    SinkPrepared = "sink.prepared" { task: Execution, uid: Uid, checkpoint: CheckpointId, rows: u64 }
    /// A two-phase sink made visible what a complete checkpoint lists.
    SinkCommitted = "sink.committed" { task: Execution, uid: Uid, checkpoint: CheckpointId, transactions: u32 }

    /// A source emitted a batch; `records` is its encoding if anyone wants records.
    SourceEmitted = "source.emitted" { task: Execution, uid: Uid, split: u32, offset: u64, rows: u32, records: Records }
    /// A source has nothing to read and declared itself idle.
    SourceIdle = "source.idle" { task: Execution, uid: Uid }
    /// A source speaks again.
    SourceActive = "source.active" { task: Execution, uid: Uid }
    /// A source has reached what it reads from.
    SourceConnected = "source.connected" { task: Execution, uid: Uid, address: String }
    /// A source cannot reach what it reads from, for the `tries`-th time in a row, or no longer; it will try again.
    SourceDisconnected = "source.disconnected" { task: Execution, uid: Uid, tries: u32, cause: String }
    /// A source stopped reading because a channel has no credit.
    SourceBlocked = "source.blocked" { task: Execution, channel: ChannelId }
    /// A bounded source has read everything.
    SourceFinished = "source.finished" { task: Execution, uid: Uid }

    /// A task's input gate opened over this many channels.
    GateOpened = "gate.opened" { task: Execution, channels: u32 }
    /// A channel of a gate brought a watermark.
    ChannelWatermark = "watermark.channel" { task: Execution, channel: u32, watermark: EventTime }
    /// A channel of a gate is idle or finished and left out of the minimum, or is back.
    ChannelSilent = "watermark.channel_silent" { task: Execution, channel: u32, silent: bool }
    /// A task's watermark advanced: the minimum over its active channels.
    WatermarkAdvanced = "watermark.advanced" { task: Execution, watermark: EventTime }
    /// A task's gate became idle, or active again.
    GateIdle = "watermark.idle" { task: Execution, idle: bool }
    /// A task took a batch from a channel.
    BatchReceived = "batch.received" { task: Execution, channel: u32, rows: u32 }

    /// A record entered a window (told at detail Records only).
    RecordWindowed = "record.windowed" { task: Execution, uid: Uid, time: EventTime, start: EventTime, end: EventTime }
    /// A window fired: rows left, made of records that were in no firing before.
    WindowFired = "window.fired" { task: Execution, uid: Uid, start: EventTime, end: EventTime, rows: u32, records: u64 }
    /// Records were late, counted, and went to the late stream.
    RecordLate = "record.late" { task: Execution, uid: Uid, rows: u32, watermark: EventTime }
    /// What an operator still held in open windows when its task ended.
    WindowsOpen = "window.open" { task: Execution, uid: Uid, records: u64 }
    /// Records could not be read and were skipped by request; `cause` is that of one of them.
    RecordSkipped = "record.skipped" { task: Execution, uid: Uid, rows: u64, cause: String }
    /// A latency marker arrived at the end of its way, `millis` after it was sent.
    LatencyMeasured = "latency.measured" { task: Execution, marker: LatencyMarker, millis: i64 }

    /// A frame of the exchange left for another worker.
    FrameSent = "frame.sent" { task: Execution, channel: ChannelId, rows: u32, bytes: u32 }
    /// A frame of the exchange arrived from another worker.
    FrameReceived = "frame.received" { channel: ChannelId, rows: u32, bytes: u32 }
    /// A writer found no credit on a channel and waits.
    CreditExhausted = "credit.exhausted" { task: Execution, channel: ChannelId }

    /// A sink handed its rows to the outside and has the answer.
    SinkFlushed = "sink.flushed" { task: Execution, uid: Uid, rows: u32 }
    /// The series database made a point visible; `overwrote` if one stood there, `differs` if with
    /// another value; `transaction` is empty if it was in none.
    PointWritten = "series.written" { point: Point, writer: String, overwrote: bool, differs: bool, transaction: String }
    /// The series database took points that nobody sees yet.
    TransactionStaged = "transaction.staged" { id: String, writer: String, rows: u64 }
    /// A transaction is complete and durable, and nobody sees it; the checkpoint is that whose barrier ended it.
    TransactionPrepared = "transaction.prepared" { id: String, writer: String, checkpoint: CheckpointId, rows: u64 }
    /// A transaction was committed, and is seen; `again`: it was already, and nothing changed.
    TransactionCommitted = "transaction.committed" { id: String, writer: String, checkpoint: CheckpointId, rows: u64, again: bool }
    /// A transaction is gone, and nobody has seen it.
    TransactionAborted = "transaction.aborted" { id: String, writer: String, rows: u64 }
    /// A dead attempt asked for a step of a transaction, and was refused.
    TransactionFenced = "transaction.fenced" { id: String, writer: String, cause: String }
    /// The partitioned log took a record.
    LogAppended = "log.appended" { topic: String, partition: u32, offset: u64 }

    /// An object was put into the store; `created`: on condition that it was not there. `content` is what lies there, if anyone wants records.
    StorePut = "store.put" { path: String, bytes: u64, created: bool, content: Records }
    /// An object of the store was read.
    StoreGot = "store.get" { path: String, bytes: u64 }
    /// A folder of the store was listed.
    StoreListed = "store.listed" { folder: String, objects: u64 }
    /// An object of the store was deleted.
    StoreDeleted = "store.deleted" { path: String }
    /// The store refused an operation, or found its condition not met.
    StoreRefused = "store.refused" { path: String, cause: String }
    /// A fault damaged an object of the store.
    StoreDamaged = "store.damaged" { path: String, how: String }

    /// What a task counted over its life, told when it ends.
    TaskCounted = "task.counted" { task: Execution, records_in: u64, records_out: u64, late: u64 }

    /// A fault of the scenario begins, or the scenario's sweep; its deeds are told beside it.
    FaultBegan = "fault.began" { fault: String }
    /// A fault of the scenario is over: what it took away is back.
    FaultEnded = "fault.ended" { fault: String }
    /// Something befell the world: a deed that is not told as the end or the start of a node.
    FaultDone = "fault.done" { deed: String }
    /// A person at the client types a line of the scenario.
    StepBegan = "step.began" { step: String, line: String }
    /// A person's line has been answered: with which exit code, and what was printed.
    StepDone = "step.done" { step: String, code: u32, said: String }
    /// Whatever was wrong with the world is mended, but for the nodes that stay dead.
    WorldCalm = "world.calm" { dead: String }
    /// A node of the world started.
    NodeStarted = "node.started" { node: String, incarnation: u32 }
    /// A node of the world went down.
    NodeDown = "node.down" { node: String, how: Down }
    /// A paused node goes on.
    NodeResumed = "node.resumed" { node: String }
    /// A script on the client node has come to its end.
    ScriptEnded = "script.ended" { script: String }
    /// A task of the process panicked.
    Panicked = "panic" { task: String, message: String }
}

/// An encoded batch that a fact may carry; shown by length and checksum, not by its bytes.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records(pub Vec<u8>);

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}B:{:016x}", self.0.len(), xxhash_rust::xxh3::xxh3_64(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_one_line_that_starts_with_its_probe() {
        let fact = Fact::JobSubmitted { job: JobId(1), name: "two\nlines".into(), slots: 2 };
        let line = fact.to_string();
        assert_eq!(line, format!("job.submitted job={} name=\"two\\nlines\" slots=2", JobId(1)));
        assert_eq!(fact.probe(), "job.submitted");
    }

    #[test]
    fn probe_names_are_unique() {
        let mut names: Vec<_> = PROBES.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), PROBES.len());
    }
}

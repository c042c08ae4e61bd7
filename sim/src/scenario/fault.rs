//! `[[fault]]` and `[sweep]` of a scenario file: when, what, on whom.
//! Only the shape is here: whether a fault has the keys that its deed needs is asked in
//! [`super::befall`]. The rest of the file is [`super::format`]'s.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use serde_spanned::Spanned;

use super::format::Role;
use super::schema::{Message, Probe};
use super::values::{Pick, Setting, Span, Spans};

/// `[[fault]]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultPart {
    /// By which reports speak of it.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// When it happens.
    #[schemars(with = "When")]
    pub when: Spanned<When>,
    /// What happens.
    #[serde(rename = "do")]
    #[schemars(with = "Deed")]
    pub deed: Spanned<Deed>,
    /// On whom; the store has no node.
    #[serde(default)]
    #[schemars(with = "Option<Target>")]
    pub on: Option<Spanned<Target>>,
    /// After a crash or a loss of power: how long until the node starts again; never unless given.
    #[serde(default)]
    #[schemars(with = "Option<Spans>")]
    pub down: Option<Spanned<Spans>>,
    /// What a crash leaves of what was written last; everything unless given.
    #[serde(default)]
    #[schemars(with = "Option<DiskFate>")]
    pub disk: Option<Spanned<DiskFate>>,
    /// Of a partition: whether nothing arrives either way, or only nothing at `on.peer`.
    #[serde(default)]
    #[schemars(with = "Option<Ways>")]
    pub ways: Option<Spanned<Ways>>,
    /// For a deed that can be undone: how long it lasts; for good unless given.
    #[serde(default, rename = "for")]
    #[schemars(with = "Option<Spans>")]
    pub lasts: Option<Spanned<Spans>>,
    /// For a deed that can be undone: what ends it.
    #[serde(default)]
    #[schemars(with = "Option<When>")]
    pub until: Option<Spanned<When>>,
    /// By how much a node, a store or a clock is off: `"2s"`, `"-2s"` for a clock that is set back.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub by: Option<Spanned<String>>,
    /// By how many parts per million a clock runs fast.
    #[serde(default)]
    #[schemars(with = "Option<i32>")]
    pub ppm: Option<Spanned<i32>>,
    /// Whether it is a mistake of the harness if nothing comes of it; it is unless given. What came by
    /// chance may strike a node that is down already.
    #[serde(default)]
    pub must_fire: Option<bool>,
    /// Which object of the store: `state`, `metadata`, `log_entry`, or a path with `*` in it.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub object: Option<Spanned<String>>,
}

/// When a fault happens: exactly one of `at`, `event_time`, `event`, `message`, `inside`, `after`;
/// a `chance` has become times by now.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// Virtual time since every job was RUNNING for the first time.
    #[serde(default)]
    pub at: Option<Spans>,
    /// The probe name of a fact: the deed comes at the very step.
    #[serde(default)]
    #[schemars(with = "Option<Probe>")]
    pub event: Option<Spanned<String>>,
    /// Fields that the fact must show.
    #[serde(default, rename = "where")]
    pub fields: BTreeMap<String, Setting>,
    /// The which of such facts, from 1.
    #[serde(default)]
    pub nth: Option<u64>,
    /// How long after the fact.
    #[serde(default)]
    pub delay: Option<Spans>,
    /// When every task with windows has this watermark, counted from the beginning of the world.
    #[serde(default)]
    pub event_time: Option<Spans>,
    /// The kind of a message between job manager and task manager: when it is about to be sent.
    #[serde(default)]
    #[schemars(with = "Option<Message>")]
    pub message: Option<Spanned<String>>,
    /// Before a step between two facts, by their probe names; a run without the fault is played first
    /// to see which steps there are.
    #[serde(default)]
    #[schemars(with = "Option<(Probe, Probe)>")]
    pub inside: Option<Spanned<(String, String)>>,
    /// Which step of `inside`: each as likely, or how far into the window, from 0 to 1.
    #[serde(default)]
    pub pick: Option<Place>,
    /// When the fault or the step of this name comes.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub after: Option<Spanned<String>>,
}

/// Which step of a window.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Each as likely.
    Uniform,
    /// So far into it, in parts per million.
    At(u32),
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Choice;
        impl Visitor<'_> for Choice {
            type Value = Place;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"uniform\", or how far into the window, from 0 to 1")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Place, E> {
                match text {
                    "uniform" => Ok(Place::Uniform),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_f64<E: de::Error>(self, place: f64) -> Result<Place, E> {
                match (0.0..=1.0).contains(&place) {
                    true => Ok(Place::At((place * 1e6).round() as u32)),
                    false => Err(E::invalid_value(de::Unexpected::Float(place), &self)),
                }
            }

            fn visit_i64<E: de::Error>(self, place: i64) -> Result<Place, E> {
                self.visit_f64(place as f64)
            }
        }
        deserializer.deserialize_any(Choice)
    }
}

/// Which nodes of a role.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Whose {
    /// Those that had to do with a checkpoint, `"checkpoint 3"`, or have told this probe.
    pub touched_by: String,
}

/// What becomes of a node's writes when it crashes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiskFate {
    /// The process is gone, and the machine stays.
    Keep,
    /// The machine is gone, with what was not synced: a loss of power.
    LoseUnsynced,
    /// That, and its newest put is cut in half.
    TornLastWrite,
}

/// Which ways a partition cuts.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ways {
    /// Both.
    Both,
    /// From `on` to `on.peer`.
    OneWay,
}

/// What a fault does.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// kill -9.
    Crash,
    /// The machine goes dark.
    PowerLoss,
    /// SIGSTOP.
    Pause,
    /// Nothing arrives between two nodes, either way, until it is over; then everything does.
    Partition,
    /// Nothing arrives that `on` sends to `on.peer`; also called `hold`.
    #[serde(alias = "hold")]
    PartitionOneWay,
    /// Every connection between two nodes is reset, in the middle of a frame if one is under way.
    Reset,
    /// Their connections are gone for `on`, and `on.peer` does not know.
    HalfOpen,
    /// A node answers later, by `by`.
    Slow,
    /// Everything between two nodes takes longer, by `by`.
    Delay,
    /// A wall clock jumps, by `by`.
    ClockStep,
    /// A clock runs fast or slow, by `ppm`.
    ClockDrift,
    /// The store answers later, by `by`.
    StoreSlow,
    /// The store refuses everything: to `on`, or to all.
    StoreRefuse,
    /// The store has no space left.
    StoreFull,
    /// The newest put of `on` is cut in half.
    StoreTear,
    /// One bit of an object is flipped.
    StoreFlip,
    /// An object is deleted.
    StoreDelete,
    /// An object is replaced by another job's.
    StoreForeign,
    /// A second person lists the jobs.
    List,
    /// A second person cancels the job and submits it anew.
    #[serde(rename = "cancel+resubmit")]
    CancelResubmit,
    /// The same, and the cancellation is typed twice.
    #[serde(rename = "cancel+cancel+resubmit")]
    CancelTwiceResubmit,
    /// A second person submits another such job and cancels that one again.
    #[serde(rename = "submit+cancel")]
    SubmitCancel,
    /// A second person takes a savepoint of the job.
    Savepoint,
    /// A second person stops the job with a savepoint and starts it from there.
    #[serde(rename = "stop+resume")]
    StopResume,
    /// A second person takes a savepoint, cancels the job and starts it from there.
    #[serde(rename = "savepoint+cancel+resume")]
    SavepointCancelResume,
}

impl Deed {
    /// Whether it is something that a person types.
    pub fn is_a_persons(self) -> bool {
        use Deed::*;
        let asks = matches!(self, List | Savepoint);
        let ends = matches!(self, CancelResubmit | CancelTwiceResubmit | SubmitCancel);
        asks || ends || matches!(self, StopResume | SavepointCancelResume)
    }
}

/// `on = { role = "task_manager", pick = 0 }`, for a link with a `peer`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The kind of node.
    pub role: Role,
    /// Which of them; the first unless given.
    #[serde(default)]
    #[schemars(with = "Option<Pick>")]
    pub pick: Option<Spanned<Pick>>,
    /// Only those of whom this is true.
    #[serde(default, rename = "where")]
    pub whose: Option<Whose>,
    /// The other end of a link.
    #[serde(default)]
    pub peer: Option<Peer>,
}

/// The other end of a link.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// The kind of node.
    pub role: Role,
    /// Which of them; the first unless given.
    #[serde(default)]
    #[schemars(with = "Option<Pick>")]
    pub pick: Option<Spanned<Pick>>,
    /// Only those of whom this is true.
    #[serde(default, rename = "where")]
    pub whose: Option<Whose>,
}

/// `[sweep]`: the scenario is played once for every instant and victim, which is killed there.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SweepPart {
    /// Every step between two facts, by their probe names.
    #[serde(default)]
    #[schemars(with = "Option<(Probe, Probe)>")]
    pub window: Option<Spanned<(String, String)>>,
    /// The checkpoint that both facts must be of.
    #[serde(default)]
    pub checkpoint: Option<u64>,
    /// So many instants of time, evenly spread over `between`.
    #[serde(default)]
    #[schemars(with = "Option<u32>")]
    pub times: Option<Spanned<u32>>,
    /// From when to when, since every job was RUNNING.
    #[serde(default)]
    pub between: Option<(Span, Span)>,
    /// Nodes by name.
    #[schemars(with = "Vec<String>")]
    pub victims: Vec<Spanned<String>>,
    /// How long until the victim starts again; never unless given.
    #[serde(default)]
    pub down: Option<Span>,
    /// In a test, where time is dear: only each so many-th instant. All unless given.
    #[serde(default)]
    pub thin: Option<u32>,
}

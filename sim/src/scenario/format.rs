//! The scenario file, `format = 1`: every key there is, and nothing else is read.
//! Only the shape is here: whether names mean something is asked in [`super::resolve`].
//! Values that need reading are in [`super::values`]; spans of the text are kept for diagnostics.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_spanned::Spanned;

use super::calm::CalmPart;
use super::fault::{FaultPart, SweepPart};
use super::found::Found;
use super::obligation::SometimesPart;
pub use super::role::Role;
use super::step::{StepPart, Submit};
use super::values::{Arg, Seeds, SeedsPart, Setting, Share, Span, Spans};

/// A scenario file, or one cell of its matrix.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// 1.
    #[schemars(with = "u32")]
    pub format: Spanned<u32>,
    /// What is claimed, in a sentence.
    pub title: String,
    /// What happens, for a reader.
    #[serde(default)]
    pub story: String,
    /// `nightly` leaves the file out of ordinary checks.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Seeds, end and limit.
    pub run: RunPart,
    /// The nodes and what is between them.
    #[serde(default)]
    pub cluster: Cluster,
    /// `[job]`, or `[[job]]` for several on one cluster; none if steps or a script submit them.
    #[serde(default)]
    pub job: Jobs,
    /// The name of a script that a test has written, which does the submitting then.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub script: Option<Spanned<String>>,
    /// What a person types.
    #[serde(default)]
    pub step: Vec<StepPart>,
    /// What befalls the world.
    #[serde(default)]
    pub fault: Vec<FaultPart>,
    /// Whom to kill at every instant.
    #[serde(default)]
    #[schemars(with = "Option<SweepPart>")]
    pub sweep: Option<Spanned<SweepPart>>,
    /// From when on the world is healed.
    #[serde(default)]
    pub calm: Option<CalmPart>,
    /// What must come of it.
    pub expect: Vec<Expect>,
    /// What must come up in some of the runs.
    #[serde(default)]
    pub sometimes: Vec<SometimesPart>,
    /// How a failure is made small.
    #[serde(default)]
    pub shrink: ShrinkPart,
    /// Where a file of a failure comes from.
    #[serde(default)]
    pub found: Option<Found>,
    /// What the report shows beside verdicts.
    #[serde(default)]
    pub report: ReportPart,
}

/// `[run]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunPart {
    /// `"0..16"`, a list, `"fresh"` or `"corpus"`.
    pub seeds: SeedsPart,
    /// The seeds of a test, where time is dear; all that a check plays of fresh ones or a corpus.
    #[serde(default)]
    pub pinned: Option<Seeds>,
    /// How much a search may spend on the file unless it is told.
    #[serde(default)]
    pub budget: Option<Budget>,
    /// `"finished"`, `{ event_time = "60s" }` or `{ time = "60s" }`.
    pub stop: Stop,
    /// Reached, it is a failure, never a pass.
    pub limit: Limit,
    /// How long the world goes on when the end has come: time to tidy up in.
    pub rest: Option<Span>,
    /// Whether a job may end as FAILED: that is no failure of the story then.
    #[serde(default)]
    pub jobs_may_fail: bool,
    /// Which seeds are run twice: `"all"` or `"1/8"`; the first one always is.
    #[serde(default)]
    pub determinism: Option<Share>,
}

impl RunPart {
    /// The seeds that are played unless others are asked for.
    pub fn listed(&self) -> &[u64] {
        match (&self.seeds, &self.pinned) {
            (SeedsPart::Listed(seeds), _) => &seeds.0,
            (_, pinned) => pinned.as_ref().map_or(&[0], |pinned| &pinned.0),
        }
    }

    /// The seeds of a test.
    pub fn pinned(&self) -> &[u64] {
        self.pinned.as_ref().map_or_else(|| self.listed(), |pinned| &pinned.0)
    }
}

/// `budget = { wall = "20m", cores = 2 }`.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Wall time.
    #[serde(default)]
    pub wall: Option<Span>,
    /// Cores at once; all unless given.
    #[serde(default)]
    pub cores: Option<u32>,
}

/// When a run is over.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Every job has reached a final state.
    Finished,
    /// Every task that holds windows has this watermark, counted from the beginning of the world.
    EventTime(Span),
    /// This much virtual time has gone by.
    Time(Span),
}

/// `limit = { sim = "180s", steps = 5_000_000 }`.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Virtual time.
    pub sim: Span,
    /// Polls of tasks, segments that arrive, operations of the store.
    #[serde(default)]
    pub steps: Option<u64>,
}

/// `[cluster]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// How many job managers, of which one leads; 1 unless given.
    #[schemars(with = "Option<u32>")]
    pub job_managers: Option<Spanned<u32>>,
    /// How many task managers; 1 unless given.
    #[schemars(with = "Option<u32>")]
    pub task_managers: Option<Spanned<u32>>,
    /// Slots of each; 1 unless given.
    #[schemars(with = "Option<u32>")]
    pub slots: Option<Spanned<u32>>,
    /// Workers of each; 1 unless given.
    #[schemars(with = "Option<u32>")]
    pub workers: Option<Spanned<u32>>,
    /// Delays of every link.
    pub net: Net,
    /// The clocks of the task managers.
    pub clock: Clock,
    /// How far time moves in one step; 10 ms unless given.
    pub tick: Option<Span>,
    /// Credits of a channel: how many batches may be under way.
    #[schemars(with = "Option<u32>")]
    pub credits: Option<Spanned<u32>>,
    /// Whether there is a partitioned log beside the database.
    pub log: bool,
    /// Whether the database speaks as InfluxDB does: jobs write to `http://db:8086/NAME` then.
    pub influx: bool,
    /// Whether there is a control server, which steps can speak to.
    pub control: bool,
    /// The chance that a task lets another go first: explores interleavings.
    pub shuffle: Option<f64>,
}

/// `net = { delay = "1ms..10ms", shape = "uniform" }`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Net {
    /// From the shortest to the longest; 1 to 30 ms unless given.
    pub delay: Option<Spans>,
    /// How delays are spread between the two.
    pub shape: Shape,
    /// What overtakes what; there is one answer, and a file may say it.
    pub reorder: Option<Reorder>,
}

/// What overtakes what on the way.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reorder {
    /// A connection overtakes another; within one, order is kept. So does TCP.
    Channels,
}

/// How delays are spread.
#[derive(Copy, Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Each as likely.
    #[default]
    Uniform,
    /// Mostly short.
    Exp,
}
/// `clock = { offset = "250ms", drift = 500 }`.
#[derive(Copy, Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Clock {
    /// How far the wall clocks are ahead; a range is drawn for each task manager.
    pub offset: Option<Spans>,
    /// How much too fast they run, in parts per million.
    pub drift: Option<i32>,
}

/// One `[job]`, or several `[[job]]`.
#[derive(Clone, Debug, Default)]
pub struct Jobs(pub Vec<Job>);

/// A job to be submitted.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Its program in the catalogue.
    #[schemars(with = "String")]
    pub program: Spanned<String>,
    /// Its version; `v1` unless given.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub version: Option<Spanned<String>>,
    /// Its parameters.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Setting>")]
    pub set: BTreeMap<Spanned<String>, Spanned<Setting>>,
    /// Who submits it.
    #[serde(default)]
    pub submit: Submit,
}

impl<'de> Deserialize<'de> for Jobs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Jobs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a job ([job]) or several ([[job]])")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Jobs, A::Error> {
                let job = Job::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Jobs(vec![job]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Jobs, A::Error> {
                let mut jobs = Vec::new();
                while let Some(job) = list.next_element()? {
                    jobs.push(job);
                }
                Ok(Jobs(jobs))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

/// Whether an expectation must hold.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Must {
    /// It holds.
    #[default]
    Hold,
    /// It is broken: the oracle's own test.
    Break,
    /// It is looked at, and both are right.
    Either,
    /// It holds if there is anything to look at: for what is asked of every pipeline.
    IfSeen,
}

/// `[[expect]]`: a check, its polarity, and whatever keys the check has.
#[derive(Clone, Debug)]
pub struct Expect {
    /// The check's name.
    pub check: Spanned<String>,
    /// Its polarity.
    pub must: Must,
    /// Its other keys.
    pub args: BTreeMap<Spanned<String>, Spanned<Arg>>,
}

impl<'de> Deserialize<'de> for Expect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Expect;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an expectation: check = …, and the keys of that check")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Expect, A::Error> {
                let (mut check, mut must, mut args) = (None, Must::Hold, BTreeMap::new());
                while let Some(key) = map.next_key::<Spanned<String>>()? {
                    match key.get_ref().as_str() {
                        "check" => check = Some(map.next_value()?),
                        "must" => must = map.next_value()?,
                        _ => {
                            args.insert(key, map.next_value()?);
                        }
                    }
                }
                let check = check.ok_or_else(|| de::Error::missing_field("check"))?;
                Ok(Expect { check, must, args })
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// `[shrink]`: how a failure of this file is made small.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShrinkPart {
    /// Wall time.
    pub budget: Option<Span>,
    /// What is tried, in this order.
    pub order: Vec<Simplify>,
    /// What of the failure has to stay.
    pub same: Option<Same>,
}

/// A way to make a failing run smaller.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Simplify {
    DropFaults,
    DropSteps,
    FewerNodes,
    ShorterRun,
    SmallerWorkload,
    PlainerValues,
}

/// What a smaller run must have of the first.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Same {
    /// The same check breaks, at the same probe.
    Verdict,
}

/// `[report]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReportPart {
    /// Which pictures it has.
    pub show: Vec<Picture>,
}

/// A picture of a report.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Picture {
    /// `sensors` and `summedSensors` of `pressure`, as sparklines.
    Waves,
    /// Event order, arrival order, and the window that each element entered (walkthrough §4).
    Order,
}

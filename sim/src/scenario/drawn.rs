//! Faults with everything drawn: when, what, whom, until when, and how reports speak of them.
//! Nothing is drawn here and nothing is done. Drawn in [`super::schedule`], done by the world, or by
//! [`super::director`] where only the run can tell when or whom.

use std::fmt;
use std::time::Duration;

use slackwater_core::fact::{Down, Fact};

use super::format::Role;
use super::values::Pick;
use crate::check::is_called;
use crate::fault::Fault;
use crate::journal::Entry;

/// A fault with everything drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Its name in the file.
    pub name: String,
    /// When it happens.
    pub moment: Moment,
    /// What happens, in order.
    pub begin: Vec<Fault>,
    /// What ends it, so long after it began; `None`: it lasts.
    pub end: Option<(Duration, Vec<Fault>)>,
    /// What else ends it.
    pub until: Option<Moment>,
    /// Who is spoken of in the deeds, where only the run can tell who that is.
    pub whom: Vec<Whom>,
}

/// Somebody whom only the run can tell: by whom the deeds call him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whom {
    /// The name that stands for him in the deeds.
    pub called: String,
    /// The kind of node.
    pub role: Role,
    /// Only those that had to do with this: `checkpoint 3`, or a probe that they have told.
    pub touched_by: Option<String>,
    /// Which of several.
    pub pick: Pick,
}

/// When a fault happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// At this virtual time since the world began.
    At(Duration),
    /// Before this step of the world.
    Step(u64),
    /// At a fact, or so long after it.
    Fact {
        /// Its probe name.
        probe: String,
        /// What it must show.
        fields: Vec<(String, String)>,
        /// The which, from 1.
        nth: u64,
        /// How long after it.
        delay: Duration,
    },
    /// When every task with windows has this watermark, since the beginning of the world.
    EventTime {
        /// The event time.
        at: Duration,
        /// How long after it.
        delay: Duration,
    },
    /// When another fault begins, or a step of a person has been answered.
    After {
        /// Its name.
        name: String,
        /// How long after it.
        delay: Duration,
    },
    /// Before a step between two facts; a run without the fault tells which steps there are.
    Inside {
        /// The probe name of the first fact.
        from: String,
        /// Of the last one.
        to: String,
        /// What both must show.
        fields: Vec<(String, String)>,
        /// How far into the window, in parts per million.
        place: u32,
        /// Which step that is, once it is known.
        step: Option<u64>,
        /// The first step of the window and how many there are, once they are known.
        steps: Option<(u64, u64)>,
    },
}

impl Moment {
    /// The step that it waits for, if it waits for one.
    pub fn step(&self) -> Option<u64> {
        match self {
            Self::Step(step) => Some(*step),
            Self::Inside { step, .. } => *step,
            _ => None,
        }
    }

    /// How long it is after what it waits for.
    pub fn delay(&self) -> Duration {
        match self {
            Self::At(_) | Self::Step(_) | Self::Inside { .. } => Duration::ZERO,
            Self::Fact { delay, .. }
            | Self::EventTime { delay, .. }
            | Self::After { delay, .. } => *delay,
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => write!(f, "{:.3} s", at.as_secs_f64())?,
            Self::Step(step) => write!(f, "step {step}")?,
            Self::Fact { probe, fields, nth, .. } => {
                write!(f, "at {probe}")?;
                fields.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))?;
                if *nth > 1 {
                    write!(f, " (number {nth})")?;
                }
            }
            Self::EventTime { at, .. } => write!(f, "event time {:.3} s", at.as_secs_f64())?,
            Self::After { name, .. } => write!(f, "after {name}")?,
            Self::Inside { from, to, fields, place, .. } => {
                write!(f, "between {from} and {to}")?;
                fields.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))?;
                write!(f, " (at {:.1} %)", f64::from(*place) / 1e4)?;
            }
        }
        match self.delay() {
            Duration::ZERO => Ok(()),
            delay => write!(f, " + {:.3} s", delay.as_secs_f64()),
        }
    }
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, moment, end, until, .. } = self;
        write!(f, "{moment}")?;
        write!(f, " {name}: {}", self.main().map_or(String::new(), words))?;
        match (until, end) {
            _ if self.began().is_none() => Ok(()),
            (Some(until), _) => {
                write!(f, ", until {}", until.to_string().trim_start_matches("at "))
            }
            (None, Some((after, _))) => write!(f, ", away for {:.3} s", after.as_secs_f64()),
            (None, None) => f.write_str(", for good"),
        }
    }
}

/// A deed in the words of a scenario file.
fn words(fault: &Fault) -> String {
    match fault {
        Fault::Kill { node } => format!("crash {node}"),
        other => other.to_string(),
    }
}

impl Drawn {
    /// A deed of an instant, done once, to those who are named in it.
    pub(super) fn once(name: String, moment: Moment, deed: Fault) -> Self {
        Self { name, moment, begin: vec![deed], end: None, until: None, whom: Vec::new() }
    }

    /// What tells that it begins, unless its deed tells it by itself.
    pub(super) fn began(&self) -> Option<Fault> {
        let told = matches!(self.main(), Some(Fault::Type { .. } | Fault::Calm { .. }));
        (!told).then(|| Fault::Began { name: self.name.clone() })
    }

    /// Whether it is the fault of this name, or one of those that came of it by chance.
    pub fn is_called(&self, name: &str) -> bool {
        is_called(&self.name, name)
    }

    /// The deed by which it is spoken of: that which ends a node, else the first.
    pub(super) fn main(&self) -> Option<&Fault> {
        let ends = |fault: &&Fault| matches!(fault, Fault::Kill { .. } | Fault::PowerLoss { .. });
        self.begin.iter().find(ends).or(self.begin.first())
    }

    /// Whether the run has to be asked when or whom: then the director does it.
    pub fn is_directed(&self) -> bool {
        let known = matches!(self.moment, Moment::At(_) | Moment::Step(_) | Moment::Fact { .. });
        !known || self.until.is_some() || !self.whom.is_empty()
    }

    /// Whether a fact shows that it was done.
    pub fn is_shown_by(&self, entry: &Entry) -> bool {
        match (self.main(), &entry.fact) {
            (Some(Fault::Type { step, .. }), fact) => {
                return matches!(fact, Fact::StepBegan { step: began, .. } if began == step);
            }
            (Some(Fault::Calm { .. }), fact) => return matches!(fact, Fact::WorldCalm { .. }),
            _ => {}
        }
        if self.is_directed() {
            let Fact::FaultBegan { fault } = &entry.fact else { return false };
            return *fault == self.name;
        }
        if let Moment::At(at) = self.moment
            && entry.time < at
        {
            return false;
        }
        let down = |node: &str, how: Down| matches!(&entry.fact, Fact::NodeDown { node: n, how: h } if n == node && *h == how);
        match self.main() {
            Some(Fault::Kill { node }) => down(node, Down::Kill),
            Some(Fault::PowerLoss { node }) => down(node, Down::PowerLoss),
            Some(Fault::Pause { node }) => down(node, Down::Pause),
            Some(other) => {
                matches!(&entry.fact, Fact::FaultDone { deed } if *deed == other.to_string())
            }
            None => true,
        }
    }
}

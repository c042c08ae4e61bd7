//! From which moment a check measures: a fault, its end, an event, the calm.
//! Judges nothing; it waits for one fact after another and says when the last of them has come.
//! Written in scenarios as `from = "return"` or `from = { event = "…", after = "FAULT" }`.

use std::collections::BTreeMap;
use std::fmt;

use slackwater_core::fact::Fact;

use crate::journal::Entry;
use crate::scenario::values::Arg;
use crate::world::{Cue, Mark, fact};

/// A moment by its name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Since {
    /// The last fault that took something away.
    Fault,
    /// The last return of a node.
    Return,
    /// The end of the fault of this name.
    Healed(String),
    /// The begin of the calm.
    Calm,
    /// An event, perhaps the first after a fault or a step.
    Event {
        /// Its probe name.
        probe: String,
        /// What it shows.
        fields: Vec<(String, String)>,
        /// The fault or step.
        after: Option<String>,
    },
}

/// What is expected instead.
const EXPECTED: &str = "\"fault\", \"return\", { healed = FAULT }, { calm = true } or \
                        { event = PROBE, where = { … }, after = FAULT }";

impl Since {
    /// Reads a moment.
    ///
    /// # Errors
    /// What is expected.
    pub(super) fn read(arg: &Arg) -> Result<Self, String> {
        let read = match arg {
            Arg::Text(text) if text == "fault" => Some(Self::Fault),
            Arg::Text(text) if text == "return" => Some(Self::Return),
            Arg::Table(table) => Self::of_table(table),
            _ => None,
        };
        read.ok_or_else(|| EXPECTED.to_owned())
    }

    fn of_table(table: &BTreeMap<String, Arg>) -> Option<Self> {
        let text = |key: &str| match table.get(key) {
            Some(Arg::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let keys: Vec<&str> = table.keys().map(String::as_str).collect();
        match keys[..] {
            ["healed"] => Some(Self::Healed(text("healed")?)),
            ["calm"] => (table["calm"] == Arg::Truth(true)).then_some(Self::Calm),
            _ if keys.iter().all(|key| ["after", "event", "where"].contains(key)) => {
                let fields = match table.get("where") {
                    Some(Arg::Table(fields)) => fields.iter().map(field).collect::<Option<_>>()?,
                    Some(_) => return None,
                    None => Vec::new(),
                };
                Some(Self::Event { probe: text("event")?, fields, after: text("after") })
            }
            _ => None,
        }
    }

    /// The fault or step that it speaks of.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Healed(name) => Some(name),
            Self::Event { after, .. } => after.as_deref(),
            _ => None,
        }
    }

    /// The event that it speaks of.
    pub(crate) fn probe(&self) -> Option<&str> {
        if let Self::Event { probe, .. } = self { Some(probe) } else { None }
    }

    /// The fields of the event that it speaks of.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        let fields = match self {
            Self::Event { fields, .. } => &fields[..],
            _ => &[],
        };
        fields.iter().map(|(field, _)| field.as_str())
    }

    /// What must be seen, one after the other; nothing for what every fault brings anew.
    fn marks(&self) -> Vec<Mark> {
        match self {
            Self::Fault | Self::Return => Vec::new(),
            Self::Healed(name) => vec![told(name.clone(), true)],
            Self::Calm => vec![Box::new(|entry| entry.fact.probe() == "world.calm")],
            Self::Event { probe, fields, after } => {
                let after = after.iter().map(|name| told(name.clone(), false));
                let event = match fact(probe, fields, 1) {
                    Cue::Fact(mark) => Some(mark),
                    Cue::Step(_) => None,
                };
                after.chain(event).collect()
            }
        }
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault => f.write_str("the fault"),
            Self::Return => f.write_str("the return"),
            Self::Healed(name) => write!(f, "the end of {name}"),
            Self::Calm => f.write_str("the calm"),
            Self::Event { probe, after: None, .. } => write!(f, "{probe}"),
            Self::Event { probe, after: Some(name), .. } => write!(f, "{probe} after {name}"),
        }
    }
}

fn field((key, value): (&String, &Arg)) -> Option<(String, String)> {
    let value = match value {
        Arg::Text(text) => text.clone(),
        Arg::Number(number) => number.to_string(),
        Arg::Truth(truth) => truth.to_string(),
        _ => return None,
    };
    Some((key.clone(), value))
}

/// That a fault of this name began, or is over; a step is told by its own facts.
fn told(name: String, over: bool) -> Mark {
    Box::new(move |entry| match &entry.fact {
        Fact::FaultBegan { fault } => !over && is_called(fault, &name),
        // A step is over when it has been answered, and nothing comes after it before that.
        Fact::StepDone { step, .. } => is_called(step, &name),
        Fact::FaultEnded { fault } => over && is_called(fault, &name),
        _ => false,
    })
}

/// Whether a fault has this name, or came of it: `crash-3` of `crash`, `swizzle-3-1` of `swizzle`.
pub(crate) fn is_called(fault: &str, name: &str) -> bool {
    let Some(rest) = fault.strip_prefix(name) else { return false };
    let mut numbers = rest.split('-');
    numbers.next() == Some("") && numbers.all(|number| number.parse::<u32>().is_ok())
}

/// Waits for a moment.
pub(super) struct Moment {
    marks: Vec<Mark>,
    next: usize,
}

impl Moment {
    pub(super) fn of(since: &Since) -> Self {
        Self { marks: since.marks(), next: 0 }
    }

    /// Whether it has come.
    pub(super) fn has_come(&self) -> bool {
        self.next == self.marks.len()
    }

    /// Looks at the next fact: whether the moment is now.
    pub(super) fn is_now(&mut self, entry: &Entry) -> bool {
        let Some(mark) = self.marks.get_mut(self.next) else { return false };
        self.next += usize::from(mark(entry));
        self.next == self.marks.len()
    }
}

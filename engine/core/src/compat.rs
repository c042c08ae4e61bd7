//! Whether a program can take up a checkpoint or a savepoint: what of it is kept, made anew, lost.
//! Reads what both say of themselves, and never a byte of state: types are compared by their text.
//! Who declares is the stream API of `slackwater-dataflow`; who refuses, the job manager and `plan`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::checkpoint::{CheckpointMetadata, Contents};
use crate::graph::{JobGraph, OperatorInfo, OperatorKind, StateInfo, Uid};
use crate::savepoint::{Ending, StartFrom};
use crate::schema::Schema;

/// What becomes of one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fate")]
pub enum Fate {
    /// It is taken up as it is.
    Kept {
        /// What its operator was called, if it has been renamed.
        formerly: Option<Uid>,
    },
    /// It is of another type, and becomes this one's by a declared migration.
    Migrated {
        /// The type of its entries.
        from: String,
        /// The type that they become.
        to: String,
    },
    /// It is of another type, and nothing was declared.
    Changed {
        /// The type of its entries.
        from: String,
        /// The type that is expected.
        to: String,
        /// What differs, field by field.
        differs: Vec<String>,
    },
    /// Two operators have left it, which one has taken the names of: whose it is to be is not known.
    Twofold {
        /// Who has left it.
        of: Vec<Uid>,
    },
    /// The checkpoint has none: the operator starts empty.
    New,
    /// No operator takes it up.
    Lost,
    /// The checkpoint does not say what it holds of the operator, which is there: format 1.
    Unknown,
}

/// One state of an operator, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The operator, by its name of today.
    pub uid: Uid,
    /// The state's name; empty if it is not known.
    pub state: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub fate: Fate,
    /// How many keys or items the checkpoint holds.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A checkpoint beside a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// State by state: the program's in the order of its operators, then what is lost.
    pub lines: Vec<Line>,
    /// The number of key groups in the checkpoint and in the program, if they differ.
    pub max_parallelism: Option<(u16, u16)>,
    /// Whether event time has come to its end in it.
    pub drained: bool,
    /// What a person should know, though nothing forbids it.
    pub warnings: Vec<String>,
}

/// Compares what a checkpoint holds with what a program wants.
pub fn compare(metadata: &CheckpointMetadata, graph: &JobGraph) -> Comparison {
    let mut contents = Contents::default();
    metadata.vertices.iter().for_each(|vertex| contents.add(&vertex.contents));
    let mut taken = Taken { metadata, contents: &contents, left: left(metadata, &contents) };
    let operators = graph.vertices.iter().flat_map(|vertex| &vertex.operators);
    let mut lines: Vec<Line> = operators.clone().flat_map(|own| taken.by(own)).collect();
    let lost = |((uid, state), (entries, bytes)): (_, _)| Line {
        uid,
        state,
        fate: Fate::Lost,
        entries,
        bytes,
    };
    lines.extend(std::mem::take(&mut taken.left).into_iter().map(lost));
    let (then, now) = (metadata.max_parallelism, graph.max_parallelism);
    Comparison {
        warnings: warnings(operators, &lines, &contents),
        lines,
        max_parallelism: (then != now).then_some((then, now)),
        drained: metadata.ending == Some(Ending::Drain),
    }
}

/// States by operator and name, with their keys and bytes.
type States = BTreeMap<(Uid, String), (u64, u64)>;

/// All that a checkpoint holds, by operator and state.
fn left(metadata: &CheckpointMetadata, contents: &Contents) -> States {
    let mut left = States::new();
    if *contents == Contents::default() {
        // Format 1 names the operators of a vertex, whether they hold anything or not.
        let uids =
            metadata.vertices.iter().filter(|vertex| vertex.subtasks.iter().any(|s| s.bytes() > 0));
        left.extend(uids.flat_map(|v| &v.uids).map(|uid| ((uid.clone(), String::new()), (0, 0))));
    }
    for state in &contents.states {
        let known = left.entry((state.uid.clone(), state.state.clone())).or_default();
        *known = (known.0 + state.entries, known.1 + state.bytes);
    }
    left
}

/// What operators take up, one after the other.
struct Taken<'a> {
    metadata: &'a CheckpointMetadata,
    contents: &'a Contents,
    left: States,
}

impl Taken<'_> {
    fn by(&mut self, operator: &OperatorInfo) -> Vec<Line> {
        let Some(uid) = &operator.uid else { return Vec::new() };
        let names: Vec<&Uid> = std::iter::once(uid).chain(&operator.formerly).collect();
        if *self.contents == Contents::default() && !operator.states.is_empty() {
            let there =
                names.iter().any(|n| self.left.remove(&((*n).clone(), String::new())).is_some());
            let known = there || self.metadata.vertices.iter().any(|v| v.uids.contains(uid));
            let fate = if known { Fate::Unknown } else { Fate::New };
            return vec![Line {
                uid: uid.clone(),
                state: String::new(),
                fate,
                entries: 0,
                bytes: 0,
            }];
        }
        for name in &names {
            // An operator that keeps nothing leaves nothing either.
            self.left.remove(&((*name).clone(), String::new()));
        }
        operator.states.iter().map(|state| self.state(&names, state)).collect()
    }

    fn state(&mut self, names: &[&Uid], wanted: &StateInfo) -> Line {
        let (mut fate, mut entries, mut bytes) = (Fate::New, 0, 0);
        let mut holders = Vec::new();
        for name in names {
            let is_it =
                |s: &&crate::checkpoint::StateSummary| s.uid == **name && s.state == wanted.name;
            for held in self.contents.states.iter().filter(is_it) {
                self.left.remove(&(held.uid.clone(), held.state.clone()));
                (entries, bytes) = (entries + held.entries, bytes + held.bytes);
                let of = fate_of(&held.schema, wanted);
                let renamed = (held.uid != *names[0]).then(|| held.uid.clone());
                fate = match of {
                    Fate::Kept { .. } => Fate::Kept { formerly: renamed },
                    other => other,
                };
                if !holders.contains(&held.uid) {
                    holders.push(held.uid.clone());
                }
            }
        }
        if holders.len() > 1 {
            fate = Fate::Twofold { of: holders };
        }
        let (uid, state) = (names[0].clone(), wanted.name.clone());
        Line { uid, state, fate, entries, bytes }
    }
}

fn fate_of(found: &str, wanted: &StateInfo) -> Fate {
    let (from, to) = (found.to_owned(), wanted.schema.clone());
    if found == wanted.schema {
        return Fate::Kept { formerly: None };
    }
    if wanted.migrates.iter().any(|migrates| migrates == found) {
        return Fate::Migrated { from, to };
    }
    let differs = Schema::of_text(found).differences(&Schema::of_text(&*wanted.schema));
    Fate::Changed { from, to, differs }
}

/// Semantics rule 5: a source that is new behind an old watermark may find everything late.
fn warnings<'a>(
    operators: impl Iterator<Item = &'a OperatorInfo>,
    lines: &[Line],
    contents: &Contents,
) -> Vec<String> {
    let is_new = |uid: &Uid| {
        let mut own = lines.iter().filter(|line| line.uid == *uid).peekable();
        own.peek().is_some() && own.all(|line| line.fate == Fate::New)
    };
    let Some(watermark) = contents.watermarks.iter().map(|(_, at)| *at).max() else {
        return Vec::new();
    };
    let sources = operators.filter(|operator| operator.kind == OperatorKind::Source);
    let new = sources.filter_map(|source| source.uid.as_ref()).filter(|uid| is_new(uid));
    new.map(|uid| {
        format!(
            "source {:?} is new, and begins behind a watermark of {watermark}: what it brings of \
             before is late",
            uid.0
        )
    })
    .collect()
}

impl Comparison {
    /// Whether a job may start like this.
    ///
    /// # Errors
    /// Every reason why not.
    pub fn verdict(&self, from: &StartFrom) -> Result<(), Vec<String>> {
        let mut reasons = Vec::new();
        if let Some((then, now)) = self.max_parallelism {
            reasons.push(format!(
                "its state is parted into {then} key groups, and the job's into {now}: that is fixed \
                 for the life of the state, so keep max_parallelism at {then}"
            ));
        }
        if self.drained && !from.reset_watermarks {
            reasons.push(
                "the job was drained: event time has come to its end in it, and everything would be \
                 late; --reset-watermarks lets it begin anew"
                    .into(),
            );
        }
        for Line { uid, state, fate, entries, .. } in &self.lines {
            match fate {
                Fate::Changed { from, to, differs } => reasons.push(format!(
                    "state {state:?} of operator {:?} was written as {from}, expected {to}: {}; \
                     declare a migration from the old type: .migrate(|old: …| …)",
                    uid.0,
                    differs.join(", ")
                )),
                Fate::Twofold { of } => reasons.push(format!(
                    "operator {:?} would take up state {state:?} of {}: state of two operators does \
                     not become one, so leave out the .was(…) that is not meant",
                    uid.0,
                    of.iter().map(|uid| format!("{:?}", uid.0)).collect::<Vec<_>>().join(" and of ")
                )),
                Fate::Lost if !from.allow_non_restored => reasons.push(format!(
                    "no operator takes up state {state:?} of {:?} ({}): give one that uid, or \
                     .was({:?}), or leave it behind with --allow-non-restored-state",
                    uid.0, counted(*entries), uid.0
                )),
                _ => {}
            }
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    /// Whether any state would be lost or cannot be read.
    pub fn loses(&self) -> bool {
        let lost = |line: &Line| {
            matches!(line.fate, Fate::Lost | Fate::Changed { .. } | Fate::Twofold { .. })
        };
        self.lines.iter().any(lost) || self.max_parallelism.is_some()
    }
}

impl fmt::Display for Comparison {
    /// One line for each state, in columns, and what else there is to know.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |line: &Line| match line.state.as_str() {
            "" => line.uid.0.clone(),
            state => format!("{}.{state}", line.uid.0),
        };
        let wide = self.lines.iter().map(|line| name(line).chars().count()).max().unwrap_or(0);
        for line in &self.lines {
            let Line { fate, entries, bytes, .. } = line;
            match fate {
                Fate::New | Fate::Unknown => write!(f, "{fate:<9} {}", name(line))?,
                _ => {
                    let name = name(line);
                    let entries = counted(*entries);
                    write!(f, "{fate:<9} {name:<wide$}  {entries}, {bytes} bytes")?;
                }
            }
            match fate {
                Fate::Kept { formerly: Some(old) } => write!(f, ", was {:?}", old.0)?,
                Fate::Migrated { from, to } => write!(f, "\n          {from} -> {to}")?,
                Fate::Changed { differs, .. } => {
                    differs.iter().try_for_each(|line| write!(f, "\n          {line}"))?;
                }
                _ => {}
            }
            f.write_str("\n")?;
        }
        if let Some((then, now)) = self.max_parallelism {
            writeln!(f, "changed   max parallelism: {then} -> {now}")?;
        }
        if self.drained {
            writeln!(f, "drained   event time has come to its end: needs --reset-watermarks")?;
        }
        self.warnings.iter().try_for_each(|warning| writeln!(f, "warning: {warning}"))
    }
}

fn counted(entries: u64) -> String {
    format!("{entries} {}", if entries == 1 { "entry" } else { "entries" })
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kept { .. } => "kept",
            Self::Migrated { .. } => "migrated",
            Self::Changed { .. } => "changed",
            Self::Twofold { .. } => "twofold",
            Self::New => "new",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests;

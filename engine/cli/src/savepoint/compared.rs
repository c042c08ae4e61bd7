//! Two savepoints beside each other: what was added, removed and changed, operator by operator.
//! Compares what both say of themselves; which of them is newer, and whether a job could start from
//! either, is not asked here. What one of them holds is [`super::shown`]; whether a program can take
//! one up, `slackwater-core`'s `compat`.

use std::collections::BTreeMap;

use serde::Serialize;
use slackwater_core::schema::Schema;
use slackwater_core::time::{EventTime, ProcessingTime};

use super::shown::{Operator, Shown, Split, State};
use crate::told::{event_time, moment};

/// What became of something from the first savepoint to the second.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is in the second only.
    Added,
    /// It is in the first only.
    Removed,
    /// It is in both, and differs.
    Changed,
    /// It is in both, and equal.
    Same,
}

impl Change {
    fn of<T: PartialEq>(from: Option<&T>, to: Option<&T>) -> Self {
        match (from, to) {
            (None, Some(_)) => Self::Added,
            (Some(_), None) => Self::Removed,
            (from, to) if from == to => Self::Same,
            _ => Self::Changed,
        }
    }

    fn sign(self) -> char {
        match self {
            Self::Added => '+',
            Self::Removed => '-',
            Self::Changed => '~',
            Self::Same => '=',
        }
    }
}

/// A value in both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved<T> {
    /// In the first; `null` if it has none.
    pub from: Option<T>,
    /// In the second.
    pub to: Option<T>,
}

impl<T: PartialEq> Moved<T> {
    fn new(from: Option<T>, to: Option<T>) -> Self {
        Self { from, to }
    }

    fn is_same(&self) -> bool {
        self.from == self.to
    }
}

/// Two savepoints beside each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Their folders.
    pub path: Moved<String>,
    /// Whose they are.
    pub job: Moved<String>,
    /// Name and version of what ran.
    pub program: Moved<String>,
    /// The settings that differ, by name.
    pub settings: BTreeMap<String, Moved<String>>,
    /// When they were taken, in milliseconds since 1970.
    pub completed_ms: Moved<i64>,
    /// Their numbers of key groups.
    pub max_parallelism: Moved<u16>,
    /// Their bytes of state.
    pub bytes: Moved<u64>,
    /// Operator by operator: those of the second in its order, then those that it lacks.
    pub operators: Vec<OperatorCompared>,
}

/// An operator in both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperatorCompared {
    /// Its uid.
    pub uid: String,
    /// What became of it.
    pub change: Change,
    /// How many subtasks it had.
    pub parallelism: Moved<u32>,
    /// State by state.
    pub states: Vec<StateCompared>,
    /// Split by split.
    pub splits: Vec<SplitCompared>,
    /// Its watermark, in milliseconds.
    pub watermark_ms: Moved<i64>,
}

/// A state in both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StateCompared {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub change: Change,
    /// The type of its entries.
    pub schema: Moved<String>,
    /// How the types differ, field by field.
    pub differs: Vec<String>,
    /// How many keys or items.
    pub entries: Moved<u64>,
    /// Their bytes.
    pub bytes: Moved<u64>,
}

/// A split in both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitCompared {
    /// Its number.
    pub split: u32,
    /// What became of it.
    pub change: Change,
    /// The position of its next record.
    pub offset: Moved<u64>,
}

/// Compares what two savepoints hold.
pub fn compare(from: &Shown, to: &Shown) -> Compared {
    let both = |value: fn(&Shown) -> String| Moved::new(Some(value(from)), Some(value(to)));
    Compared {
        path: both(|shown| shown.path.clone()),
        job: both(|shown| shown.job.clone()),
        program: both(|shown| shown.program.title()),
        settings: settings(from, to),
        completed_ms: Moved::new(Some(from.completed_ms), Some(to.completed_ms)),
        max_parallelism: Moved::new(Some(from.max_parallelism), Some(to.max_parallelism)),
        bytes: Moved::new(Some(from.bytes), Some(to.bytes)),
        operators: paired(&from.operators, &to.operators, |operator| operator.uid.clone())
            .map(|(uid, from, to)| operator(uid, from, to))
            .collect(),
    }
}

fn settings(from: &Shown, to: &Shown) -> BTreeMap<String, Moved<String>> {
    let (from, to) = (&from.program.settings, &to.program.settings);
    let moved = |name: &String| Moved::new(from.get(name).cloned(), to.get(name).cloned());
    let names = from.keys().chain(to.keys());
    let all = names.map(|name| (name.clone(), moved(name)));
    all.filter(|(_, moved)| !moved.is_same()).collect()
}

/// What is called alike in both, with its name: in the order of the second, then what only the first
/// has.
fn paired<'a, T, N: PartialEq + Clone>(
    from: &'a [T],
    to: &'a [T],
    name: impl Fn(&T) -> N + Copy + 'a,
) -> impl Iterator<Item = (N, Option<&'a T>, Option<&'a T>)> {
    let in_both = to
        .iter()
        .map(move |one| (name(one), from.iter().find(|other| name(other) == name(one)), Some(one)));
    let gone = from.iter().filter(move |one| to.iter().all(|other| name(other) != name(one)));
    in_both.chain(gone.map(move |one| (name(one), Some(one), None)))
}

fn operator(uid: String, from: Option<&Operator>, to: Option<&Operator>) -> OperatorCompared {
    let states_of = |of: Option<&'_ Operator>| of.map_or(Vec::new(), |of| of.states.clone());
    let splits_of = |of: Option<&'_ Operator>| of.map_or(Vec::new(), |of| of.splits.clone());
    let states = paired(&states_of(from), &states_of(to), |state: &State| state.name.clone())
        .map(|(name, from, to)| state(name, from, to))
        .collect();
    let splits = paired(&splits_of(from), &splits_of(to), |split: &Split| split.split)
        .map(|(split, from, to)| SplitCompared {
            split,
            change: Change::of(from, to),
            offset: Moved::new(from.map(|at| at.offset), to.map(|at| at.offset)),
        })
        .collect();
    let watermark = |of: Option<&Operator>| of.and_then(|of| of.watermark_ms);
    OperatorCompared {
        uid,
        change: Change::of(from, to),
        parallelism: Moved::new(from.map(|o| o.parallelism), to.map(|o| o.parallelism)),
        states,
        splits,
        watermark_ms: Moved::new(watermark(from), watermark(to)),
    }
}

fn state(name: String, from: Option<&State>, to: Option<&State>) -> StateCompared {
    let differs = match (from, to) {
        (Some(from), Some(to)) if from.schema != to.schema => {
            let of = |state: &State| Schema::of_text(state.schema.as_str());
            of(from).differences(&of(to))
        }
        _ => Vec::new(),
    };
    let number = |of: fn(&State) -> u64| Moved::new(from.map(of), to.map(of));
    StateCompared {
        name,
        change: Change::of(from, to),
        schema: Moved::new(from.map(|s| s.schema.clone()), to.map(|s| s.schema.clone())),
        differs,
        entries: number(|state| state.entries),
        bytes: number(|state| state.bytes),
    }
}

impl Compared {
    /// The same for a person: what is equal is left out.
    pub fn text(&self) -> Vec<String> {
        let mut lines = vec![
            format!("from  {}", self.path.from.as_deref().unwrap_or_default()),
            format!("to    {}", self.path.to.as_deref().unwrap_or_default()),
            String::new(),
        ];
        lines.extend(words("job", &self.job));
        lines.extend(words("program", &self.program));
        for (name, moved) in &self.settings {
            let value = |value: &Option<String>| value.clone().unwrap_or("unset".into());
            lines.push(format!("~ {name}: {} -> {}", value(&moved.from), value(&moved.to)));
        }
        let at = |millis: i64| moment(ProcessingTime::from_millis(millis));
        if let Moved { from: Some(from), to: Some(to) } = self.completed_ms {
            lines.push(format!("~ taken: {} -> {} ({:+} ms)", at(from), at(to), to - from));
        }
        lines.extend(number("key groups", &self.max_parallelism.map(u64::from)));
        lines.extend(number("bytes of state", &self.bytes));
        let (same, other): (Vec<_>, Vec<_>) =
            self.operators.iter().partition(|operator| operator.change == Change::Same);
        lines.extend(other.iter().flat_map(|operator| operator.text()));
        if !same.is_empty() {
            let names: Vec<_> = same.iter().map(|operator| operator.uid.as_str()).collect();
            lines.push(format!("= {}", names.join(", ")));
        }
        lines
    }
}

impl OperatorCompared {
    fn text(&self) -> Vec<String> {
        let mut lines = vec![format!("{} operator {:?}", self.change.sign(), self.uid)];
        let is_there_twice = self.change == Change::Changed;
        if is_there_twice {
            lines.extend(number("subtasks", &self.parallelism.map(u64::from)).map(indented));
        }
        for state in self.states.iter().filter(|state| state.change != Change::Same) {
            lines.extend(state.text());
        }
        for split in self.splits.iter().filter(|split| split.change != Change::Same) {
            let what = format!("split {}: offset", split.split);
            lines.extend(number(&what, &split.offset).map(indented));
        }
        if !self.watermark_ms.is_same() {
            let at = |at: Option<i64>| match at {
                Some(millis) => event_time(EventTime::from_millis(millis)),
                None => "none".to_owned(),
            };
            let Moved { from, to } = self.watermark_ms;
            let by = match (from, to) {
                (Some(from), Some(to)) => format!(" ({:+} ms)", i128::from(to) - i128::from(from)),
                _ => String::new(),
            };
            lines.push(format!("  ~ watermark: {} -> {}{by}", at(from), at(to)));
        }
        lines
    }
}

impl StateCompared {
    fn text(&self) -> Vec<String> {
        let sign = self.change.sign();
        let size = |entries: Option<u64>, bytes: Option<u64>| {
            let entries = match entries.unwrap_or(0) {
                1 => "1 entry".to_owned(),
                more => format!("{more} entries"),
            };
            format!("{entries}, {} bytes", bytes.unwrap_or(0))
        };
        let mut lines = match self.change {
            Change::Added | Change::Same => {
                vec![format!(
                    "  {sign} state {:?}: {}",
                    self.name,
                    size(self.entries.to, self.bytes.to)
                )]
            }
            Change::Removed => vec![format!(
                "  {sign} state {:?}: {}",
                self.name,
                size(self.entries.from, self.bytes.from)
            )],
            Change::Changed => vec![format!(
                "  {sign} state {:?}: {}; {}",
                self.name,
                counted("entries", &self.entries),
                counted("bytes", &self.bytes)
            )],
        };
        lines.extend(self.differs.iter().map(|line| format!("      {line}")));
        lines
    }
}

impl<T> Moved<T> {
    fn map<U>(&self, with: impl Fn(T) -> U + Copy) -> Moved<U>
    where
        T: Copy,
    {
        Moved { from: self.from.map(with), to: self.to.map(with) }
    }
}

/// `entries 3 -> 5 (+2)`, or `entries 3` if they are equal.
fn counted(what: &str, moved: &Moved<u64>) -> String {
    let (from, to) = (moved.from.unwrap_or(0), moved.to.unwrap_or(0));
    match from == to {
        true => format!("{what} {from}"),
        false => format!("{what} {from} -> {to} ({:+})", i128::from(to) - i128::from(from)),
    }
}

/// The line of a number that differs.
fn number(what: &str, moved: &Moved<u64>) -> Option<String> {
    let sign = match (moved.from, moved.to) {
        (None, _) => '+',
        (_, None) => '-',
        _ => '~',
    };
    let told = match (moved.from, moved.to) {
        (Some(one), None) | (None, Some(one)) => format!("{what} {one}"),
        _ => counted(what, moved),
    };
    (!moved.is_same()).then(|| format!("{sign} {told}"))
}

/// The line of a word that differs.
fn words(what: &str, moved: &Moved<String>) -> Option<String> {
    let (from, to) = (moved.from.as_deref()?, moved.to.as_deref()?);
    (from != to).then(|| format!("~ {what}: {from} -> {to}"))
}

fn indented(line: String) -> String {
    format!("  {line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str, schema: &str, entries: u64) -> State {
        State {
            name: name.into(),
            schema: schema.into(),
            fingerprint: String::new(),
            keyed: true,
            entries,
            bytes: entries * 10,
        }
    }

    fn operator(uid: &str, parallelism: u32, states: Vec<State>) -> Operator {
        let (uid, splits) = (uid.to_owned(), Vec::new());
        Operator { uid, parallelism, finished: 0, states, splits, watermark_ms: None }
    }

    /// What becomes of an operator, as a person reads it.
    fn told(from: Operator, to: Operator) -> Vec<String> {
        super::operator("saw".into(), Some(&from), Some(&to)).text()
    }

    #[test]
    fn what_changed_is_told_state_by_state_and_field_by_field() {
        let from = vec![state("scan", "Saw {step: u32}", 4), state("old", "u8", 1)];
        let to = vec![state("scan", "Saw {step: u64, turns: u64}", 6), state("new", "u8", 2)];
        assert_eq!(
            told(operator("saw", 1, from), operator("saw", 4, to)),
            [
                "~ operator \"saw\"",
                "  ~ subtasks 1 -> 4 (+3)",
                "  ~ state \"scan\": entries 4 -> 6 (+2); bytes 40 -> 60 (+20)",
                "      field step was u32 and is u64 now",
                "      field turns: u64 is not in it",
                "  + state \"new\": 2 entries, 20 bytes",
                "  - state \"old\": 1 entry, 10 bytes",
            ]
        );
    }

    #[test]
    fn a_split_that_moved_and_a_watermark_that_came_are_told() {
        let split = |offset| Split { split: 3, offset, greatest_ms: None };
        let at = |offset, watermark_ms| Operator {
            splits: vec![split(offset)],
            watermark_ms,
            ..operator("saw", 1, Vec::new())
        };
        assert_eq!(
            told(at(7, None), at(5, Some(1_000))),
            [
                "~ operator \"saw\"",
                "  ~ split 3: offset 7 -> 5 (-2)",
                "  ~ watermark: none -> 1000"
            ]
        );
        assert_eq!(
            told(at(7, Some(400)), at(7, Some(1_000))).last().map(String::as_str),
            Some("  ~ watermark: 400 -> 1000 (+600 ms)")
        );
    }
}

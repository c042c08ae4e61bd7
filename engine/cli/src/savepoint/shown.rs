//! A savepoint as it is shown: what it holds by name, where it comes from, and whether it is whole.
//! Says what the savepoint says of itself and what its folder holds; no byte of state is decoded.
//! The fields are those of `--json`: names stay, new ones may come. Two beside each other:
//! [`super::compared`].

use serde::Serialize;
use slackwater_core::checkpoint::{CheckpointKind, CheckpointMetadata, Contents, VertexState};
use slackwater_core::graph::Uid;
use slackwater_core::savepoint::Ending;
use slackwater_core::schema::Schema;
use slackwater_core::time::{EventTime, ProcessingTime};
use slackwater_runtime::store::savepoint::{Completion, Found};

use crate::told::{ProgramTold, columns, event_time, many, moment};

/// A savepoint, or a checkpoint that was kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// Its folder.
    pub path: String,
    /// `savepoint` or `checkpoint`.
    pub kind: CheckpointKind,
    /// How it is known to be complete: `sealed` (a savepoint), `logged` (its job's log says so),
    /// `not_logged` (the log does not) or `no_log` (there is none beside it).
    pub complete: &'static str,
    /// The names that it has.
    pub tags: Vec<String>,
    /// Whose it is.
    pub job: String,
    /// Its number, of all checkpoints of the job.
    pub checkpoint: u64,
    /// The attempt that it is of.
    pub attempt: u32,
    /// The leadership term in which it was taken.
    pub epoch: u64,
    /// What ran.
    pub program: ProgramTold,
    /// When it was asked for, in milliseconds since 1970.
    pub triggered_ms: i64,
    /// When its last part was in.
    pub completed_ms: i64,
    /// How the job ended with it, `stop` or `drain`, if it did.
    pub ending: Option<Ending>,
    /// Whether every source was at its end.
    pub last: bool,
    /// The number of key groups.
    pub max_parallelism: u16,
    /// The format that it is written in.
    pub format: u16,
    /// The bytes of state of all its parts.
    pub bytes: u64,
    /// How many state files it names.
    pub files: u64,
    /// Whether every file has been read and its checksum compared; else only length and being there.
    pub verified: bool,
    /// What is wrong with its files, file by file.
    pub damaged: Vec<String>,
    /// What it holds, operator by operator.
    pub operators: Vec<Operator>,
}

/// An operator in a savepoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Operator {
    /// Its uid.
    pub uid: String,
    /// How many subtasks it had.
    pub parallelism: u32,
    /// How many of them had finished.
    pub finished: u32,
    /// What it holds, by name.
    pub states: Vec<State>,
    /// How far it had read, if it is a source.
    pub splits: Vec<Split>,
    /// The least watermark that its parts had seen, in milliseconds; none if they had seen none.
    pub watermark_ms: Option<i64>,
}

/// A state of an operator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct State {
    /// Its name.
    pub name: String,
    /// The type of its entries.
    pub schema: String,
    /// What the type is compared by.
    pub fingerprint: String,
    /// Whether it is held by key; else by item.
    pub keyed: bool,
    /// How many keys or items.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A split of a source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Split {
    /// Its number.
    pub split: u32,
    /// The position of its next record.
    pub offset: u64,
    /// The greatest timestamp that it had brought, in milliseconds.
    pub greatest_ms: Option<i64>,
}

impl Shown {
    /// What was found, with its names and what is wrong with its files.
    pub fn new(found: &Found, tags: Vec<String>, damaged: Vec<String>, verified: bool) -> Self {
        let metadata = &found.metadata;
        Self {
            path: found.folder.clone(),
            kind: metadata.kind,
            complete: match found.completion {
                Completion::Sealed => "sealed",
                Completion::Logged => "logged",
                Completion::NotLogged => "not_logged",
                Completion::NoLog => "no_log",
            },
            tags,
            job: metadata.job.to_string(),
            checkpoint: metadata.checkpoint.0,
            attempt: metadata.attempt.0,
            epoch: metadata.epoch.0,
            program: (&metadata.program).into(),
            triggered_ms: metadata.triggered.as_millis(),
            completed_ms: metadata.completed.as_millis(),
            ending: metadata.ending,
            last: metadata.last,
            max_parallelism: metadata.max_parallelism,
            format: metadata.format,
            bytes: metadata.bytes(),
            files: metadata.files().count() as u64,
            verified,
            damaged,
            operators: operators(metadata),
        }
    }

    /// The same for a person.
    pub fn text(&self) -> Vec<String> {
        let mut lines = columns(&self.facts(), &[]);
        let states = self
            .operators
            .iter()
            .flat_map(|operator| operator.states.iter().map(move |state| state.row(&operator.uid)));
        let states: Vec<_> = states.collect();
        if !states.is_empty() {
            let head = ["operator", "state", "held by", "entries", "bytes", "fingerprint", "type"];
            lines.push(String::new());
            let rows: Vec<_> = std::iter::once(words(head)).chain(states).collect();
            lines.extend(columns(&rows, &[3, 4]));
        }
        let more: Vec<_> = self.operators.iter().map(Operator::row).collect();
        lines.push(String::new());
        let head = words(["operator", "subtasks", "watermark", "read up to"]);
        let rows: Vec<_> = std::iter::once(head).chain(more).collect();
        lines.extend(columns(&rows, &[1]));
        lines.extend(self.damaged.iter().map(|damage| format!("damaged: {damage}")));
        lines
    }

    fn facts(&self) -> Vec<Vec<String>> {
        let took = self.completed_ms.saturating_sub(self.triggered_ms);
        let taken = moment(ProcessingTime::from_millis(self.completed_ms));
        let mut rows = vec![
            [self.kind.to_string(), self.path.clone()],
            ["job".into(), self.job.clone()],
            ["program".into(), self.program.title()],
            ["settings".into(), self.program.settings()],
            ["taken".into(), format!("{taken}, in {took} ms")],
            ["checkpoint".into(), self.number()],
            ["the job".into(), self.ended().to_owned()],
            ["key groups".into(), format!("{} (max parallelism)", self.max_parallelism)],
            ["format".into(), self.format.to_string()],
            ["size".into(), self.size()],
        ];
        if self.kind == CheckpointKind::Checkpoint {
            rows.push(["complete".into(), self.completion().to_owned()]);
        }
        if self.format == 1 {
            rows.push(["holds".into(), "format 1 does not say what its operators hold".into()]);
        }
        if !self.tags.is_empty() {
            rows.insert(1, ["tags".into(), self.tags.join(", ")]);
        }
        rows.into_iter().map(Vec::from).collect()
    }

    fn number(&self) -> String {
        let Self { checkpoint, attempt, epoch, .. } = self;
        format!("{checkpoint}, of attempt {attempt} in term {epoch}")
    }

    fn ended(&self) -> &'static str {
        match self.ending {
            None if self.last => "was at the end of its input",
            None => "went on",
            Some(Ending::Stop) => "was stopped with it: no window fired",
            Some(Ending::Drain) => "was drained: every window has fired; needs --reset-watermarks",
        }
    }

    fn size(&self) -> String {
        let files = many(self.files, "file");
        let whole = match (self.damaged.len(), self.verified) {
            (0, true) => "every checksum is right".to_owned(),
            (0, false) => "all there (--verify reads them)".to_owned(),
            (damaged, _) => format!("{damaged} of them damaged"),
        };
        format!("{} bytes of state in {files}, {whole}", self.bytes)
    }

    fn completion(&self) -> &'static str {
        match self.complete {
            "logged" => "yes: the log of its job says so",
            "not_logged" => "no: the log of its job says nothing of it; it cannot be started from",
            _ => "nobody can say: no log of its job lies beside it",
        }
    }
}

impl State {
    fn row(&self, uid: &str) -> Vec<String> {
        let by = if self.keyed { "key" } else { "item" };
        let numbers = [self.entries, self.bytes].map(|number| number.to_string());
        let [entries, bytes] = numbers;
        let (uid, name) = (uid.to_owned(), self.name.clone());
        vec![uid, name, by.into(), entries, bytes, self.fingerprint.clone(), self.schema.clone()]
    }
}

impl Operator {
    fn row(&self) -> Vec<String> {
        let splits =
            self.splits.iter().map(|Split { split, offset, .. }| format!("{split}: {offset}"));
        let subtasks = match self.finished {
            0 => self.parallelism.to_string(),
            finished => format!("{}, {finished} at their end", self.parallelism),
        };
        let watermark = self.watermark_ms.map(|at| event_time(EventTime::from_millis(at)));
        let read = splits.collect::<Vec<_>>().join(", ");
        vec![self.uid.clone(), subtasks, watermark.unwrap_or_default(), read]
    }
}

/// What each operator holds, in the order of the graph.
fn operators(metadata: &CheckpointMetadata) -> Vec<Operator> {
    let mut contents = Contents::default();
    metadata.vertices.iter().for_each(|vertex| contents.add(&vertex.contents));
    let of = |vertex: &VertexState, uid: &Uid| Operator {
        uid: uid.0.clone(),
        parallelism: vertex.parallelism,
        finished: metadata.finished.iter().filter(|done| done.vertex == vertex.vertex).count()
            as u32,
        states: states(&contents, uid),
        splits: splits(&contents, uid),
        watermark_ms: watermark(&contents, uid).map(EventTime::as_millis),
    };
    let vertices = metadata.vertices.iter();
    vertices.flat_map(|vertex| vertex.uids.iter().map(move |uid| of(vertex, uid))).collect()
}

fn states(contents: &Contents, uid: &Uid) -> Vec<State> {
    let ours = contents.states.iter().filter(|state| state.uid == *uid);
    let shown = ours.map(|state| State {
        name: state.state.clone(),
        schema: state.schema.clone(),
        fingerprint: Schema::of_text(state.schema.as_str()).fingerprint().to_string(),
        keyed: state.keyed,
        entries: state.entries,
        bytes: state.bytes,
    });
    shown.collect()
}

fn splits(contents: &Contents, uid: &Uid) -> Vec<Split> {
    let ours = contents.positions.iter().filter(|at| at.uid == *uid);
    let shown = ours.map(|at| Split {
        split: at.split,
        offset: at.offset,
        greatest_ms: at.greatest.map(EventTime::as_millis),
    });
    shown.collect()
}

fn watermark(contents: &Contents, uid: &Uid) -> Option<EventTime> {
    contents.watermarks.iter().find(|(of, _)| of == uid).map(|(_, at)| *at)
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

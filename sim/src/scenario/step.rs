//! `[[step]]`: what a person types at the client, when, and what must be answered.
//! Types nothing: the typing is [`crate::world::person`]'s and the verbs are the engine's. A `run`
//! begins with version and settings of the `[job]` of the same program; the step's own go over them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_spanned::Spanned;
use slackwater_cli::Verb;
use slackwater_core::program::Program;
use slackwater_dataflow::task::Programs;

use super::diagnostic::{File, Mistake, suggest};
use super::drawn::{Drawn, Moment};
use super::fault::When;
use super::format::Document;
use super::schedule;
use super::values::Setting;
use crate::check::Value;
use crate::fault::Fault;
use crate::world::person::{self, Line};

/// `[[step]]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepPart {
    /// By which triggers and reports speak of it.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// What is typed behind the name of the binary.
    #[schemars(with = "String")]
    pub run: Spanned<String>,
    /// When, at the earliest; once the step before has been answered unless given.
    #[serde(default)]
    #[schemars(with = "Option<When>")]
    pub when: Option<Spanned<When>>,
    /// What the answer must contain.
    #[serde(default)]
    #[schemars(with = "OneOrMore")]
    pub says: Says,
    /// Whether the command must fail, whatever its exit code.
    #[serde(default)]
    pub fails: bool,
    /// The exit code that the command must have, or those of which it must have one; 0 unless given.
    #[serde(default)]
    pub exit: Option<Exit>,
    /// What is printed becomes this word, with a `$` before it.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub keep: Option<Spanned<String>>,
    /// Whom it is said to instead of the command line.
    #[serde(default)]
    #[schemars(with = "Option<To>")]
    pub to: Option<Spanned<To>>,
    /// Of a `run`: what the job is called, and which version and settings it has.
    #[serde(default)]
    pub job: Option<StepJob>,
}

/// `to = "control"`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum To {
    /// The control server: whoever listens to it is told the line.
    Control,
}

/// `exit = 8`, or `exit = [0, 8]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "an exit code, or a list of them")]
pub enum Exit {
    /// This one.
    One(u8),
    /// One of these.
    Of(Vec<u8>),
}

impl Exit {
    /// Whether a command may end with this code.
    pub(super) fn allows(&self, code: u32) -> bool {
        match self {
            Self::One(one) => u32::from(*one) == code,
            Self::Of(codes) => codes.iter().any(|one| u32::from(*one) == code),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(one) => write!(f, "exit code {one}"),
            Self::Of(codes) => {
                let codes: Vec<String> = codes.iter().map(u8::to_string).collect();
                write!(f, "exit code {}", codes.join(" or "))
            }
        }
    }
}

/// When a job is submitted.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Submit {
    /// When the world begins.
    #[default]
    Start,
    /// A step does it; here is only said what it runs with.
    Step,
}

/// `job = { as = "fork", version = "v2", set = { wave = 100 } }`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepJob {
    /// Its id becomes this word; `$job` unless given.
    #[serde(default, rename = "as")]
    #[schemars(with = "Option<String>")]
    pub called: Option<Spanned<String>>,
    /// Its version.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub version: Option<Spanned<String>>,
    /// Its parameters.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Setting>")]
    pub set: BTreeMap<Spanned<String>, Spanned<Setting>>,
    /// That it must fail, with this in the cause.
    #[serde(default)]
    pub fails: Option<String>,
}

/// `says = "RUNNING"`, or a list.
#[derive(Clone, Debug, Default)]
pub struct Says(pub Vec<String>);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "what must be printed: text, or a list of texts")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl<'de> Deserialize<'de> for Says {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match OneOrMore::deserialize(deserializer)? {
            OneOrMore::One(text) => Self(vec![text]),
            OneOrMore::More(texts) => Self(texts),
        })
    }
}

/// Steps whose names and programs are known.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    /// What is typed, in order.
    pub(super) lines: Vec<Line>,
    /// What the runs among them submit.
    pub(super) programs: Vec<Program>,
}

/// Looks whether the steps of a document can be typed, and plans what they run.
pub(super) fn check(
    file: &File,
    document: &Document,
    programs: &Arc<dyn Programs>,
) -> Result<Steps, Mistake> {
    let (mut steps, mut words) = (Steps::default(), jobs_by_word(document));
    let mut names = BTreeSet::new();
    for part in &document.step {
        if !names.insert(part.name.get_ref()) {
            let message = format!("two steps are called {:?}", part.name.get_ref());
            return Err(Mistake::new(file, part.name.span(), message));
        }
        if let Some(when) = &part.when {
            super::when::check(file, document, when)?;
        }
        let line = line_of(document, part);
        for word in part.run.get_ref().split(' ').filter_map(|word| word.strip_prefix('$')) {
            if !words.contains_key(word) {
                let message = format!("nobody has told what ${word} is by then");
                let help = suggest(word, words.keys().map(String::as_str));
                return Err(Mistake::new(file, part.run.span(), message).help(Some(help)));
            }
        }
        if let Some(to) = part.to.as_ref().filter(|_| !document.cluster.control) {
            let message = "the cluster has no control server: add `control = true` to [cluster]";
            return Err(Mistake::new(file, to.span(), message));
        }
        if let Some(verb) = verb(file, part)? {
            let run = runs(file, part, person::given(verb, line.with.as_ref()), programs)?;
            if !run.is_empty() {
                words.insert(line.job.clone(), String::new());
            }
            steps.programs.extend(run);
        }
        words.extend(line.keep.clone().map(|word| (word, String::new())));
        steps.lines.push(line);
    }
    Ok(steps)
}

/// The jobs that the file submits by itself, by the words that stand for them: `job` is the first.
pub(super) fn jobs_by_word(document: &Document) -> BTreeMap<String, String> {
    let mut words = BTreeMap::new();
    let submitted = document.job.0.iter().filter(|job| job.submit == Submit::Start);
    for (index, job) in submitted.enumerate() {
        let label = schedule::label(index, job.program.get_ref());
        words.entry("job".to_owned()).or_insert_with(|| label.clone());
        words.entry(job.program.get_ref().clone()).or_insert(label);
    }
    words
}

fn line_of(document: &Document, part: &StepPart) -> Line {
    let (typed, own) = (part.run.get_ref(), part.job.as_ref());
    let text = |text: &Spanned<String>| text.get_ref().clone();
    let called = own.and_then(|own| own.called.as_ref()).map(text);
    Line {
        step: text(&part.name),
        text: typed.clone(),
        to_control: part.to.is_some(),
        with: with(document, typed, own),
        keep: part.keep.as_ref().map(text),
        job: called.unwrap_or_else(|| "job".to_owned()),
    }
}

/// Version and settings of what is run: those of the `[job]` of the program, and over them its own.
pub(super) fn with(
    document: &Document,
    typed: &str,
    own: Option<&StepJob>,
) -> Option<(String, Vec<(String, String)>)> {
    let name = |word: &str| word.split_once('@').map_or(word.len(), |(name, _)| name.len());
    let is_run =
        |program: &str| typed.split_whitespace().any(|word| &word[..name(word)] == program);
    let base = document.job.0.iter().find(|job| is_run(job.program.get_ref()));
    let versions =
        [own.and_then(|own| own.version.as_ref()), base.and_then(|b| b.version.as_ref())];
    let version = versions.into_iter().flatten().next();
    let sets = base.map(|base| &base.set).into_iter().chain(own.map(|own| &own.set)).flatten();
    let set: BTreeMap<String, String> =
        sets.map(|(name, value)| (name.get_ref().clone(), value.get_ref().0.clone())).collect();
    let version = version.map_or("v1", |version| version.get_ref());
    Some((version.to_owned(), set.into_iter().collect()))
}

/// What is typed, read as the binary reads it; nothing if it is a mistake that the step expects.
fn verb(file: &File, part: &StepPart) -> Result<Option<Verb>, Mistake> {
    if part.to.is_some() {
        return Ok(None);
    }
    let (typed, span) = (part.run.get_ref(), part.run.span());
    let mistake = |message: String| Err(Mistake::new(file, span.clone(), message));
    match slackwater_cli::typed(&typed.replace('$', "")) {
        Ok(Verb::Run(args)) if args.local => {
            mistake("a step runs on the cluster: leave out --local".to_owned())
        }
        Ok(verb) if verb.runs_nothing_here() => Ok(Some(verb)),
        Ok(_) => mistake(
            "a step asks a cluster or a store: `run`, `list`, `cancel`, `savepoint`, `plan`…"
                .to_owned(),
        ),
        Err(_) if part.fails || part.exit.as_ref().is_some_and(|exit| !exit.allows(0)) => Ok(None),
        Err(failure) => mistake(failure.message.lines().next().unwrap_or_default().to_owned()),
    }
}

/// The steps that an expectation names, each by its name or by what it calls its job; `job` is the
/// first job of the file.
pub(super) fn named(
    file: &File,
    document: &Document,
    (value, span): (Value, Range<usize>),
) -> Result<Value, Mistake> {
    let step = |name: String| {
        let calls = |part: &&StepPart| {
            let called = part.job.as_ref().and_then(|job| job.called.as_ref());
            called.is_some_and(|called| *called.get_ref() == name)
        };
        let is_step = |part: &&StepPart| *part.name.get_ref() == name;
        let steps = &document.step;
        let found = steps.iter().find(is_step).or_else(|| steps.iter().rfind(calls));
        if let Some(part) = found {
            return Ok(part.name.get_ref().clone());
        }
        if name == "job" && !document.job.0.is_empty() {
            return Ok(name);
        }
        let help = suggest(&name, steps.iter().map(|part| part.name.get_ref().as_str()));
        let message = format!("there is no step {name:?}");
        Err(Mistake::new(file, span.clone(), message).help(Some(help)))
    };
    match value {
        Value::Text(name) => step(name).map(Value::Text),
        Value::Steps(names) => {
            names.into_iter().map(step).collect::<Result<_, _>>().map(Value::Steps)
        }
        other => Ok(other),
    }
}

/// The programs that a verb submits, each planned once.
fn runs(
    file: &File,
    part: &StepPart,
    verb: Verb,
    programs: &Arc<dyn Programs>,
) -> Result<Vec<Program>, Mistake> {
    let wrong = |why: String| Mistake::new(file, part.run.span(), why);
    let Verb::Run(mut args) = verb else { return Ok(Vec::new()) };
    // A path is a binary that brings the jobs behind it along.
    args.jobs.retain(|job| !job.contains('/'));
    let run = args.programs().map_err(|failure| wrong(failure.message))?;
    let must_fail = part.fails || part.exit.as_ref().is_some_and(|exit| !exit.allows(0));
    for program in run.iter().filter(|_| !must_fail) {
        programs.plan(program).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(if must_fail { Vec::new() } else { run })
}

/// The steps of a cell, each at its moment.
pub(super) fn draw(document: &Document, seed: u64, running: Duration) -> Vec<Drawn> {
    let mut before = None::<String>;
    let steps = document.step.iter().map(|part| {
        let name = part.name.get_ref().clone();
        let moment = match (&part.when, before.replace(name.clone())) {
            (Some(when), _) => schedule::moment(when.get_ref(), &name, seed, running),
            (None, Some(name)) => Moment::After { name, delay: Duration::ZERO },
            (None, None) => Moment::At(running),
        };
        let line = part.run.get_ref().clone();
        Drawn::once(name.clone(), moment, Fault::Type { step: name, line })
    });
    steps.collect()
}

#[cfg(test)]
mod tests;

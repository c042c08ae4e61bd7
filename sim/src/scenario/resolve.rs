//! From text to a scenario that can be played: every name is known, every bound can be met.
//! Plays nothing; a mistake is told with its place in the file and the nearest known name.
//! The shape is in [`super::format`]; programs are asked through `Programs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_spanned::Spanned;
use slackwater_core::program::Program;
use slackwater_dataflow::task::{PlanError, Programs};

use super::befall;
use super::diagnostic::{File, Mistake, suggest};
use super::format::{Document, Expect, Job, Must};
use super::matrix::{self, RawCell};
use super::obligation;
use super::values::Arg;
use crate::check::{self, Args, Bound, Check};
use crate::world::cluster::JOB_MANAGERS_MAX;

/// A scenario: a file, with one cell per combination of its matrix.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file's name without folder and ending.
    pub name: String,
    /// The file as it was named.
    pub path: String,
    /// At least one.
    pub cells: Vec<Cell>,
}

/// One cell of a scenario.
#[derive(Clone, Debug)]
pub struct Cell {
    /// `axis=value …`; empty if there is no matrix.
    pub name: String,
    /// The document with the cell's values in it.
    pub document: Document,
    /// What is to be submitted, in order.
    pub programs: Vec<Program>,
    /// What must come of it, in the order of the file.
    pub expectations: Vec<Expectation>,
}

/// An expectation whose names are known.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// What is looked at.
    pub check: &'static Check,
    /// How it must turn out.
    pub must: Must,
    /// With which keys.
    pub args: Args,
    /// Within which bounds its measures must lie.
    pub bounds: Vec<Bound>,
}

impl Scenario {
    /// Reads a scenario from the text of a file.
    ///
    /// # Errors
    /// The first mistake.
    pub fn read(path: &str, text: &str, programs: &Arc<dyn Programs>) -> Result<Self, Mistake> {
        let file = File { path, text };
        let cells = matrix::cells(&file)?;
        let cells = cells.into_iter().map(|cell| resolve(&file, cell, programs));
        let cells = cells.collect::<Result<_, _>>()?;
        let name = path.rsplit('/').next().unwrap_or(path);
        let name = name.strip_suffix(".toml").unwrap_or(name).to_owned();
        Ok(Self { name, path: path.to_owned(), cells })
    }

    /// Whether the file carries this tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.cells.iter().any(|cell| cell.document.tags.iter().any(|own| own == tag))
    }

    /// Whether it is played at every instant of a window.
    pub fn is_sweep(&self) -> bool {
        self.cells.iter().any(|cell| cell.document.sweep.is_some())
    }

    /// What is claimed, in a sentence.
    pub fn title(&self) -> &str {
        self.cells.first().map_or("", |cell| cell.document.title.as_str())
    }
}

fn resolve(
    file: &File<'_>,
    raw: RawCell<'_>,
    programs: &Arc<dyn Programs>,
) -> Result<Cell, Mistake> {
    let read = toml::de::Deserializer::from(raw.table);
    let document = Document::deserialize(read).map_err(|error| file.of_toml(&error))?;
    if *document.format.get_ref() != 1 {
        let message = format!("format {} is not known here, 1 is", document.format.get_ref());
        return Err(Mistake::new(file, document.format.span(), message));
    }
    if document.expect.is_empty() {
        return Err(Mistake::new(file, 0..0, "a scenario expects something: add [[expect]]"));
    }
    for part in
        [&document.cluster.job_managers, &document.cluster.task_managers, &document.cluster.slots]
            .into_iter()
            .flatten()
    {
        if *part.get_ref() == 0 {
            return Err(Mistake::new(file, part.span(), "at least 1 is needed"));
        }
    }
    if let Some(number) = &document.cluster.job_managers
        && *number.get_ref() > JOB_MANAGERS_MAX
    {
        let message = format!("at most {JOB_MANAGERS_MAX} job managers");
        return Err(Mistake::new(file, number.span(), message));
    }
    let jobs = document.job.0.iter().map(|job| program(file, job, programs));
    let programs = jobs.collect::<Result<_, _>>()?;
    document.fault.iter().try_for_each(|part| befall::check(file, &document, part))?;
    obligation::check(file, &document)?;
    if let Some(sweep) = &document.sweep {
        befall::check_sweep(file, &document, sweep)?;
    }
    let expectations = document.expect.iter().map(|expect| expectation(file, expect));
    let expectations = expectations.collect::<Result<_, _>>()?;
    Ok(Cell { name: raw.name, document, programs, expectations })
}

/// The program of a job, planned once so that its names and values are known to be good.
fn program(file: &File<'_>, job: &Job, programs: &Arc<dyn Programs>) -> Result<Program, Mistake> {
    let settings = job.set.iter();
    let settings =
        settings.map(|(name, value)| (name.get_ref().clone(), value.get_ref().0.clone()));
    let name = job.program.get_ref().clone();
    let version = job.version.as_ref().map_or("v1", |version| version.get_ref().as_str());
    let program = Program { name, version: version.to_owned(), settings: settings.collect() };
    match programs.plan(&program) {
        Ok(_) => Ok(program),
        Err(error) => Err(unplanned(file, job, &error)),
    }
}

fn unplanned(file: &File<'_>, job: &Job, error: &PlanError) -> Mistake {
    match error {
        PlanError::UnknownProgram { name, known } => {
            let spans = [Some(&job.program), job.version.as_ref()].into_iter().flatten();
            let spans: Vec<_> = spans.map(Spanned::span).collect();
            let span = if name.contains('@') { spans.last() } else { spans.first() };
            let help = suggest(name, known.iter().map(String::as_str));
            let span = span.cloned().unwrap_or(0..0);
            Mistake::new(file, span, format!("unknown program {name:?}")).help(Some(help))
        }
        PlanError::BadParameter { name, message } => {
            let set = job.set.iter().find(|(key, _)| key.get_ref() == name);
            let span = set.map_or_else(
                || job.program.span(),
                |(key, value)| {
                    if message.starts_with("unknown") { key.span() } else { value.span() }
                },
            );
            let (message, help) = match message.split_once(": ").filter(|(m, _)| *m == "unknown") {
                Some((_, known)) => ("unknown".to_owned(), Some(known.to_owned())),
                None => match message.split_once(", did you") {
                    Some((unknown, rest)) => (unknown.to_owned(), Some(format!("did you{rest}"))),
                    None => (message.clone(), None),
                },
            };
            Mistake::new(file, span, format!("setting {name:?}: {message}")).help(help)
        }
        PlanError::BadGraph { message } => {
            Mistake::new(file, job.program.span(), format!("the job cannot be built: {message}"))
        }
    }
}

fn expectation(file: &File<'_>, expect: &Expect) -> Result<Expectation, Mistake> {
    let name = expect.check.get_ref();
    let Some(check) = check::CHECKS.iter().find(|check| check.name == name) else {
        let help = suggest(name, check::CHECKS.iter().map(|check| check.name));
        let message = format!("unknown check {name:?}");
        return Err(Mistake::new(file, expect.check.span(), message).help(Some(help)));
    };
    let (mut args, mut bounds) = (BTreeMap::new(), Vec::new());
    for (key, value) in &expect.args {
        let (word, span) = (key.get_ref(), value.span());
        let wrong =
            |what: &str| Mistake::new(file, span.clone(), format!("`{word}` of {name} is {what}"));
        let measure = check.measures.iter().find(|known| *known == word);
        let own = check.keys.iter().find(|(known, _)| known == word);
        match (measure, own, value.get_ref()) {
            (Some(&measure), _, Arg::Bounds { at_least, at_most }) => {
                bounds.push(Bound { measure, at_least: *at_least, at_most: *at_most });
            }
            (Some(_), ..) => {
                return Err(wrong("a measure: write { at_least = …, at_most = … }"));
            }
            (_, Some((own, kind)), Arg::Text(_) | Arg::Number(_)) => {
                let value = kind.read(value.get_ref()).map_err(|why| wrong(&why))?;
                args.insert(*own, value);
            }
            (_, Some(_), Arg::Bounds { .. }) => return Err(wrong("one value, without bounds")),
            (None, None, _) => {
                let keys = check.keys.iter().map(|(own, _)| *own);
                let known = keys.chain(check.measures.iter().copied());
                let help = suggest(word, known.chain(["must"]));
                let message = format!("the check {name} has no key `{word}`");
                return Err(Mistake::new(file, key.span(), message).help(Some(help)));
            }
        }
    }
    Ok(Expectation { check, must: expect.must, args: Args::new(args), bounds })
}

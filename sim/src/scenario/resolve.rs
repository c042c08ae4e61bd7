//! From text to a scenario that can be played: every name is known, every bound can be met.
//! Plays nothing; a mistake is told with its place in the file and the nearest known name.
//! The shape is in [`super::format`]; programs are asked through `Programs`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_spanned::Spanned;
use slackwater_core::program::Program;
use slackwater_dataflow::task::{PlanError, Programs};

use super::diagnostic::{File, Mistake, suggest};
use super::draw::{self, Luck};
use super::format::{Document, Expect, Job, Must};
use super::matrix::{self, RawCell};
use super::obligation;
use super::player::Turn;
use super::step::{self, Steps, Submit};
use super::tree::{self, Table};
use super::values::Arg;
use super::{base, befall, calm, known};
use crate::check::{self, Args, Bound, Check};
use crate::world::cluster::JOB_MANAGERS_MAX;

/// A scenario: a file, with one cell per combination of its matrix.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file's name without folder and ending.
    pub name: String,
    /// The file as it was named.
    pub path: String,
    /// At least one. What is drawn for each seed stands here with its first alternative: the cell
    /// of a turn is [`Scenario::cell`]'s.
    pub cells: Vec<Cell>,
    /// The test that says what stands here, if it is no file that anybody can play by its name.
    pub test: Option<String>,
    origin: Arc<Origin>,
}

/// One cell of a scenario.
#[derive(Clone, Debug)]
pub struct Cell {
    /// `axis=value …`; empty if there is no matrix.
    pub name: String,
    /// The document with the cell's values in it.
    pub document: Document,
    /// What is submitted when the world begins, in order.
    pub programs: Vec<Program>,
    /// What a person types.
    pub steps: Steps,
    /// How many slots all jobs take at once; known only where a calm asks for it.
    pub slots: u32,
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

/// What a scenario was read from.
struct Origin {
    file: File,
    cells: Vec<RawCell>,
    programs: Arc<dyn Programs>,
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").field("cells", &self.cells.len()).finish_non_exhaustive()
    }
}

impl Scenario {
    /// Reads a scenario from the text of a file; what it is based on lies beside it.
    ///
    /// # Errors
    /// The first mistake: also one in what no seed has drawn yet.
    pub fn read(path: &str, text: &str, programs: &Arc<dyn Programs>) -> Result<Self, Mistake> {
        let (file, document) = base::load(path, text)?;
        let raw = matrix::cells(&file, document)?;
        let mut cells = Vec::new();
        for cell in &raw {
            for alternative in 0..draw::alternatives(cell.table.get_ref()) {
                let mut luck = Luck::of_alternative(alternative);
                let table = draw::settle(&file, &mut luck, cell.table.clone())?;
                let read = resolve((&file, cell), table, programs, true)?;
                if alternative == 0 {
                    cells.push(read);
                }
            }
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        let name = name.strip_suffix(".toml").unwrap_or(name).to_owned();
        let origin = Arc::new(Origin { file, cells: raw, programs: Arc::clone(programs) });
        Ok(Self { name, path: path.to_owned(), cells, test: None, origin })
    }

    /// The document of one turn, in which nothing is left to draw: no base, no matrix, no swarm, no
    /// range, and one seed. Played under the same seed it gives the same run.
    ///
    /// # Errors
    /// If what the seed has drawn cannot be played, or nothing that it draws meets `require`.
    pub fn settled(&self, turn: Turn) -> Result<toml::Table, Mistake> {
        let mut table = self.drawn(turn)?;
        // Of one run nothing can be asked that only many can show.
        table.get_mut().remove("sometimes");
        tree::read(&table).map_err(|error| self.origin.file.of_toml(&error))
    }

    /// The settled cell of one turn.
    ///
    /// # Errors
    /// As [`Scenario::settled`].
    pub fn cell(&self, turn: Turn) -> Result<Cell, Mistake> {
        let Origin { file, cells, programs } = &*self.origin;
        resolve((file, &cells[turn.cell]), self.drawn(turn)?, programs, false)
    }

    fn drawn(&self, turn: Turn) -> Result<Spanned<Table>, Mistake> {
        let table = self.origin.cells[turn.cell].table.clone();
        draw::settle(&self.origin.file, &mut Luck::of_seed(turn.seed), table)
    }

    /// The command that plays one run of it again.
    pub fn replay(&self, cell: &str, seed: u64, instant: Option<usize>) -> String {
        let instant = |word: &str| instant.map_or_else(String::new, |n| format!("{word}{n}"));
        match &self.test {
            Some(test) => {
                let instant = instant(" SLACKWATER_INSTANT=");
                format!("SLACKWATER_SEED={seed}{instant} cargo test {test}")
            }
            None => {
                let (path, instant) = (&self.path, instant(" --instant "));
                let cell =
                    if cell.is_empty() { String::new() } else { format!(" --cell {cell:?}") };
                format!("slackwater replay {path} --seed {seed}{cell}{instant}")
            }
        }
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

/// Reads the shape of a settled document, and looks whether its names mean something. Programs are
/// planned only if that is asked for: of a file that was read they are known to be good.
fn resolve(
    (file, raw): (&File, &RawCell),
    table: Spanned<Table>,
    programs: &Arc<dyn Programs>,
    plans: bool,
) -> Result<Cell, Mistake> {
    let names = &raw.named()[..];
    let document: Document = tree::read(&table).map_err(|error| file.of_toml(&error))?;
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
    let (submitted, steps, slots) = jobs(file, &document, programs, plans)?;
    document.fault.iter().try_for_each(|part| befall::check(file, &document, part))?;
    obligation::check(file, &document, names)?;
    if let Some(sweep) = &document.sweep {
        befall::check_sweep(file, &document, sweep)?;
    }
    let expectations =
        document.expect.iter().map(|expect| expectation(file, &document, expect, names));
    let expectations = expectations.collect::<Result<_, _>>()?;
    let name = raw.name.clone();
    Ok(Cell { name, document, programs: submitted, steps, slots, expectations })
}

/// What is submitted when the world begins, what steps do, and how many slots all of it takes at once
/// where a calm asks for that.
fn jobs(
    file: &File,
    document: &Document,
    programs: &Arc<dyn Programs>,
    plans: bool,
) -> Result<(Vec<Program>, Steps, u32), Mistake> {
    let jobs = document.job.0.iter().filter(|job| plans || job.submit == Submit::Start);
    let jobs = jobs.map(|job| match plans {
        true => program(file, job, programs).map(|program| (job, program)),
        false => Ok((job, named(job))),
    });
    let jobs = jobs.collect::<Result<Vec<_>, _>>()?;
    let jobs = jobs.into_iter().filter(|(job, _)| job.submit == Submit::Start);
    let submitted: Vec<Program> = jobs.map(|(_, program)| program).collect();
    let steps = step::check(file, document, programs)?;
    if submitted.is_empty() && steps.programs.is_empty() && document.script.is_none() {
        let message = "a scenario runs something: add [job], or a [[step]] that runs one";
        return Err(Mistake::new(file, 0..0, message));
    }
    calm::check(file, document)?;
    let slots = document.calm.as_ref().map_or(0, |_| {
        let plans = submitted.iter().chain(&steps.programs).map(|program| programs.plan(program));
        plans.flatten().map(|plan| plan.graph.slots()).sum()
    });
    Ok((submitted, steps, slots))
}

/// The program of a job, planned once so that its names and values are known to be good.
fn program(file: &File, job: &Job, programs: &Arc<dyn Programs>) -> Result<Program, Mistake> {
    let program = named(job);
    match programs.plan(&program) {
        Ok(_) => Ok(program),
        Err(error) => Err(unplanned(file, job, &error)),
    }
}

fn named(job: &Job) -> Program {
    let settings = job.set.iter();
    let settings =
        settings.map(|(name, value)| (name.get_ref().clone(), value.get_ref().0.clone()));
    let name = job.program.get_ref().clone();
    let version = job.version.as_ref().map_or("v1", |version| version.get_ref().as_str());
    Program { name, version: version.to_owned(), settings: settings.collect() }
}

fn unplanned(file: &File, job: &Job, error: &PlanError) -> Mistake {
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

/// A moment speaks of an event and of a fault or step that there are.
fn known_moment(
    file: &File,
    (since, span): (&check::Since, std::ops::Range<usize>),
    names: &[String],
) -> Result<(), Mistake> {
    if let Some(probe) = since.probe() {
        let event = Spanned::new(span.clone(), probe.to_owned());
        befall::known_probe(file, &event)?;
        known::fields(file, &event, since.fields())?;
    }
    match since.name() {
        Some(name) if !names.iter().any(|known| known == name) => {
            let help = suggest(name, names.iter().map(String::as_str));
            let message = format!("there is no fault {name:?}");
            Err(Mistake::new(file, span, message).help(Some(help)))
        }
        _ => Ok(()),
    }
}

fn expectation(
    file: &File,
    document: &Document,
    expect: &Expect,
    names: &[String],
) -> Result<Expectation, Mistake> {
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
            (_, Some(_), Arg::Bounds { .. }) => return Err(wrong("one value, without bounds")),
            (_, Some((own, kind)), arg) => {
                let mut read = kind.read(arg).map_err(|why| wrong(&why))?;
                if let check::Kind::Step | check::Kind::Steps = kind {
                    read = step::named(file, document, (read, span.clone()))?;
                }
                if let check::Value::Since(since) = &read {
                    known_moment(file, (since, span.clone()), names)?;
                }
                args.insert(*own, read);
            }
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

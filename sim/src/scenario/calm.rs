//! `[calm]`: from some moment on the world is healed, and nothing befalls it any more.
//! Judges nothing: that everything goes on again is said by checks with `from = { calm = true }`.
//! What is mended is [`crate::fault::Fault::Calm`]'s; here is when, and who is left alive for it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_spanned::Spanned;
use slackwater_core::random::RandomStream;

use super::befall::{node_name, nodes_of};
use super::diagnostic::{File, Mistake, suggest};
use super::drawn::Drawn;
use super::fault::When;
use super::format::{Document, Role};
use super::resolve::Cell;
use super::schedule;
use crate::fault::Fault;

/// What reports call it.
const NAME: &str = "calm";

/// `[calm]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CalmPart {
    /// When it begins.
    #[schemars(with = "When")]
    pub from: Spanned<When>,
    /// Who is alive from then on; all unless given.
    #[serde(default)]
    #[schemars(with = "Option<Core>")]
    pub core: Option<Spanned<Core>>,
}

/// Who is alive in the calm. The databases always are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "\"all\", \"random_sufficient\", or a list of nodes")]
pub enum Core {
    /// `"all"`, or `"random_sufficient"`: some job managers, and as many task managers as have slots
    /// for the jobs, or more.
    Word(CoreWord),
    /// These, by name.
    Nodes(Vec<String>),
}

/// A core by a word.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CoreWord {
    /// Everybody.
    All,
    /// At least one job manager, and task managers with slots enough.
    RandomSufficient,
}

/// Looks whether the calm can come.
pub(super) fn check(file: &File, document: &Document) -> Result<(), Mistake> {
    let Some(calm) = &document.calm else { return Ok(()) };
    super::when::check(file, document, &calm.from)?;
    let Some(core) = &calm.core else { return Ok(()) };
    let Core::Nodes(nodes) = core.get_ref() else { return Ok(()) };
    let known = engines(document);
    for node in nodes {
        if !known.contains(node) {
            let help = suggest(node, known.iter().map(String::as_str));
            let message = format!("there is no node {node:?} of the engine");
            return Err(Mistake::new(file, core.span(), message).help(Some(help)));
        }
    }
    match nodes.iter().any(|node| node.starts_with("jm")) {
        true => Ok(()),
        false => Err(Mistake::new(file, core.span(), "somebody has to lead: add \"jm\"")),
    }
}

fn of_role(document: &Document, role: Role) -> Vec<String> {
    (0..nodes_of(role, &document.cluster)).map(|number| node_name(role, number)).collect()
}

fn engines(document: &Document) -> Vec<String> {
    [Role::JobManager, Role::TaskManager].iter().flat_map(|r| of_role(document, *r)).collect()
}

/// The calm of a cell, if it has one.
pub(super) fn draw(cell: &Cell, seed: u64, running: Duration) -> Option<Drawn> {
    let calm = cell.document.calm.as_ref()?;
    let moment = schedule::moment(calm.from.get_ref(), NAME, seed, running);
    let dead = calm.core.as_ref().map_or(Vec::new(), |core| dead(cell, core.get_ref(), seed));
    Some(Drawn::once(NAME.to_owned(), moment, Fault::Calm { dead }))
}

fn dead(cell: &Cell, core: &Core, seed: u64) -> Vec<String> {
    let document = &cell.document;
    let mut random = RandomStream::named(seed, "calm/core");
    let living = match core {
        Core::Word(CoreWord::All) => return Vec::new(),
        Core::Nodes(nodes) => nodes.clone(),
        Core::Word(CoreWord::RandomSufficient) => {
            let slots = document.cluster.slots.as_ref().map_or(1, |slots| *slots.get_ref());
            let needed = cell.slots.div_ceil(slots.max(1)).max(1);
            let leaders = some_of(of_role(document, Role::JobManager), 1, &mut random);
            let task_managers = of_role(document, Role::TaskManager);
            leaders.into_iter().chain(some_of(task_managers, needed, &mut random)).collect()
        }
    };
    engines(document).into_iter().filter(|node| !living.contains(node)).collect()
}

/// Any of them, but so many at least.
fn some_of(mut all: Vec<String>, at_least: u32, random: &mut RandomStream) -> Vec<String> {
    let least = usize::try_from(at_least).unwrap_or(usize::MAX).min(all.len());
    let many = least + random.below((all.len() - least) as u64 + 1) as usize;
    while all.len() > many {
        all.remove(random.below(all.len() as u64) as usize);
    }
    all
}

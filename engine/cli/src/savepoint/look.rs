//! The verbs that look after savepoints where they lie: `savepoint list | show | diff | tag | rm`.
//! Asks no cluster: a store is all they need, and only `rm` ever deletes anything. What is found
//! and refused is decided in `slackwater-runtime`'s `store::savepoint`; how it is told, in [`super::shown`].

use clap::{Args, Subcommand};
use serde::Serialize;
use slackwater_core::savepoint::Ending;
use slackwater_core::time::ProcessingTime;
use slackwater_runtime::store::savepoint::browse::{Broken, Shelf, Whole, check, glance, shelf};
use slackwater_runtime::store::savepoint::remove::{Ready, Removed, remove};
use slackwater_runtime::store::savepoint::{Found, find, tag};

use super::compared::{Compared, compare};
use super::shown::Shown;
use crate::exit::{Exit, Failure};
use crate::remote::Terminal;
use crate::told::{ProgramTold, columns, many, moment};

/// What can be done with savepoints that are there.
#[derive(Clone, Debug, Subcommand)]
pub enum Look {
    /// Every savepoint in a folder, newest first, with its tags; and what is none, by name
    List(ListArgs),
    /// What a savepoint, or a checkpoint that was kept, holds, by operator and state
    Show(ShowArgs),
    /// What was added, removed and changed from one savepoint to another
    Diff(DiffArgs),
    /// Give a savepoint a name, for `run -s DIR/NAME`: a small file in DIR/tags
    Tag(TagArgs),
    /// Delete a savepoint, or a tag: the only way in which one ever goes
    Rm(RmArgs),
}

/// The arguments of `savepoint list`.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// The folder that savepoints were put in
    #[arg(value_name = "DIR")]
    pub folder: String,
    /// Tell it as JSON
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `savepoint show`.
#[derive(Clone, Debug, Args)]
pub struct ShowArgs {
    /// Its folder, or a tag: DIR/NAME
    #[arg(value_name = "PATH")]
    pub path: String,
    /// Read every state file, and compare its checksum
    #[arg(long)]
    pub verify: bool,
    /// Tell it as JSON
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `savepoint diff`.
#[derive(Clone, Debug, Args)]
pub struct DiffArgs {
    /// The one: its folder, or a tag
    #[arg(value_name = "FROM")]
    pub from: String,
    /// The other
    #[arg(value_name = "TO")]
    pub to: String,
    /// Tell it as JSON
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `savepoint tag`.
#[derive(Clone, Debug, Args)]
pub struct TagArgs {
    /// Its folder, or another tag of it
    #[arg(value_name = "PATH")]
    pub path: String,
    /// The name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Also if the name is another's: it is taken from that one
    #[arg(short, long)]
    pub force: bool,
}

/// The arguments of `savepoint rm`.
#[derive(Clone, Debug, Args)]
pub struct RmArgs {
    /// Its folder; or a tag, which alone is deleted then. A job that was started from it needs it
    /// until its own first checkpoint
    #[arg(value_name = "PATH")]
    pub path: String,
    /// Also if tags name it: they go with it
    #[arg(short, long)]
    pub force: bool,
    /// Also if it is half of one, or its metadata cannot be read. One that is just being taken looks
    /// like that, too
    #[arg(long)]
    pub half: bool,
}

impl Look {
    /// The paths that it names.
    pub(crate) fn paths(&mut self) -> Vec<&mut String> {
        match self {
            Self::List(args) => vec![&mut args.folder],
            Self::Show(args) => vec![&mut args.path],
            Self::Diff(args) => vec![&mut args.from, &mut args.to],
            Self::Tag(args) => vec![&mut args.path],
            Self::Rm(args) => vec![&mut args.path],
        }
    }
}

/// A folder of savepoints as JSON tells it.
#[derive(Debug, Serialize)]
struct ShelfTold {
    /// Newest first.
    savepoints: Vec<OneTold>,
    /// What is no savepoint.
    broken: Vec<BrokenTold>,
    /// The tags that cannot be read, or name nothing that is there.
    broken_tags: Vec<String>,
}

#[derive(Debug, Serialize)]
struct OneTold {
    /// The folder within the folder.
    name: String,
    path: String,
    tags: Vec<String>,
    job: String,
    checkpoint: u64,
    program: ProgramTold,
    completed_ms: i64,
    /// `stop` or `drain`, if the job ended with it.
    ending: Option<Ending>,
    max_parallelism: u16,
    format: u16,
    bytes: u64,
    /// What is wrong with its files.
    damaged: Vec<String>,
}

#[derive(Debug, Serialize)]
struct BrokenTold {
    name: String,
    why: String,
    objects: u64,
    bytes: u64,
}

impl Terminal<'_> {
    /// Does what was asked of savepoints that are there.
    pub(crate) async fn look(&mut self, look: &Look) -> Result<(), Failure> {
        match look {
            Look::List(args) => {
                let shelf = shelf(self.host, &args.folder).await?;
                self.tell(&shelf_told(shelf), args.json, ShelfTold::text)
            }
            Look::Show(args) => self.show(args).await,
            Look::Diff(args) => {
                let from = self.shown(&find(self.host, &args.from).await?, false).await?;
                let to = self.shown(&find(self.host, &args.to).await?, false).await?;
                self.tell(&compare(&from, &to), args.json, Compared::text)
            }
            Look::Tag(args) => self.tag(args).await,
            Look::Rm(args) => self.rm(args).await,
        }
    }

    /// Shows a savepoint; what is damaged is told, and makes the command fail.
    async fn show(&mut self, args: &ShowArgs) -> Result<(), Failure> {
        let found = find(self.host, &args.path).await?;
        let shown = self.shown(&found, args.verify).await?;
        self.tell(&shown, args.json, Shown::text)?;
        match shown.damaged.first() {
            None => Ok(()),
            Some(first) => {
                let words = match shown.damaged.len() {
                    1 => format!("it cannot be started from: {first}"),
                    more => format!("it cannot be started from: {first}, and {} more", more - 1),
                };
                Err(Failure::new(Exit::BadInput, words))
            }
        }
    }

    async fn shown(&mut self, found: &Found, verify: bool) -> Result<Shown, Failure> {
        let damaged = match verify {
            true => check(self.host, found).await?,
            false => glance(self.host, found).await?,
        };
        let tags = match found.folder.rsplit_once('/') {
            Some((parent, name)) => tag::all(self.host, parent).await?.of(name),
            None => Vec::new(),
        };
        let damaged = damaged.iter().map(ToString::to_string).collect();
        Ok(Shown::new(found, tags, damaged, verify))
    }

    async fn tag(&mut self, args: &TagArgs) -> Result<(), Failure> {
        let found = find(self.host, &args.path).await?;
        let before = tag::put(self.host, &found, &args.name, args.force).await?;
        if let Some(before) = before {
            self.print(&format!("{} was the name of {before}", args.name))?;
        }
        let (parent, _) = found.folder.rsplit_once('/').unwrap_or_default();
        self.print(&format!("{} is tagged:", found.folder))?;
        self.print(&format!("{parent}/{}", args.name))
    }

    async fn rm(&mut self, args: &RmArgs) -> Result<(), Failure> {
        let ready = Ready { for_tags: args.force, for_half: args.half };
        match remove(self.host, &args.path, ready).await? {
            Removed::Tag(tag) => {
                let folder = tag.folder();
                self.print(&format!("removed the tag {}; {folder} stays", tag.name))
            }
            Removed::BrokenTag(path) => self.print(&format!("removed {path}")),
            Removed::Savepoint { folder, objects: (objects, bytes), tags, stays } => {
                let objects = many(objects, "object");
                self.print(&format!("removed {folder}: {objects}, {bytes} bytes"))?;
                for tag in tags {
                    self.print(&format!("removed the tag {tag}"))?;
                }
                match stays.as_slice() {
                    [] => Ok(()),
                    stays => {
                        self.print(&format!("not part of it, and stays: {}", stays.join(", ")))
                    }
                }
            }
        }
    }
}

fn shelf_told(shelf: Shelf) -> ShelfTold {
    let Shelf { whole, broken, tags } = shelf;
    let is_there = |name: &str| whole.iter().any(|one| one.name == name);
    let dangling = tags.whole.iter().filter(|tag| !is_there(&tag.named.savepoint));
    let dangling = dangling.map(|tag| format!("{}: {} is not there", tag.path(), tag.folder()));
    let broken_tags = tags.unreadable.iter().map(ToString::to_string).chain(dangling).collect();
    let one = |one: &Whole| {
        let metadata = &one.found.metadata;
        OneTold {
            name: one.name.clone(),
            path: one.found.folder.clone(),
            tags: tags.of(&one.name),
            job: metadata.job.to_string(),
            checkpoint: metadata.checkpoint.0,
            program: (&metadata.program).into(),
            completed_ms: metadata.completed.as_millis(),
            ending: metadata.ending,
            max_parallelism: metadata.max_parallelism,
            format: metadata.format,
            bytes: metadata.bytes(),
            damaged: one.damaged.iter().map(ToString::to_string).collect(),
        }
    };
    let lost = |broken: Broken| {
        let Broken { name, why, objects: (objects, bytes) } = broken;
        BrokenTold { name, why, objects, bytes }
    };
    ShelfTold {
        savepoints: whole.iter().map(one).collect(),
        broken: broken.into_iter().map(lost).collect(),
        broken_tags,
    }
}

impl ShelfTold {
    fn text(&self) -> Vec<String> {
        let rows: Vec<_> = self.savepoints.iter().map(OneTold::row).collect();
        let mut lines = columns(&rows, &[4]);
        if lines.is_empty() {
            lines.push("no savepoints".to_owned());
        }
        for one in &self.savepoints {
            lines.extend(one.damaged.iter().map(|damage| format!("damaged: {damage}")));
        }
        let broken = self.broken.iter().map(|BrokenTold { name, why, objects, bytes }| {
            format!("no savepoint: {name} ({}, {bytes} bytes): {why}", many(*objects, "object"))
        });
        lines.extend(broken);
        lines.extend(self.broken_tags.iter().map(|tag| format!("no tag: {tag}")));
        lines
    }
}

impl OneTold {
    fn row(&self) -> Vec<String> {
        let ending = self.ending.map_or("went on", |ending| match ending {
            Ending::Stop => "stopped",
            Ending::Drain => "drained",
        });
        let taken = moment(ProcessingTime::from_millis(self.completed_ms));
        let (name, program) = (self.name.clone(), self.program.title());
        let (bytes, tags) = (format!("{} bytes", self.bytes), self.tags.join(", "));
        vec![name, taken, program, ending.to_owned(), bytes, tags]
    }
}

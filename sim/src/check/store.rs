//! STORE: at every instant, and so at every crash, each retained checkpoint is whole: all files that
//! it names are there, with the length and the checksum that it names. In the end nothing lies about.
//! A file may go once its checkpoint was given up, and a savepoint only by a person's hand; what a
//! fault damaged is the fault's, not the engine's. What the files mean is [`super::cut`]'s.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::fact::{Down, Fact, JobStatus};
use slackwater_core::id::{CheckpointId, JobId};
use slackwater_core::joblog::LogEvent;
use slackwater_core::savepoint::METADATA_FILE;

use super::archive::{
    Archive, Complete, Place, Saved, completes, from_root, place_of, within_store,
};
use super::live::disturbs;
use super::{Args, Broken, Check, Evidence, Needs, Outcome};
use crate::world::cluster::CLIENT;

pub(super) const CHECK: Check = Check {
    name: "store_whole",
    about: "whatever crashes when, every retained checkpoint and every savepoint is whole; no file is \
            left behind",
    keys: &[],
    measures: &["checkpoints", "savepoints", "crashes", "deleted", "left"],
    needs: Needs::Run,
    judge,
};

#[derive(Default)]
struct Shelf<'a> {
    archive: Archive<'a>,
    /// Every checkpoint that is complete and was not given up, with the files that it names.
    retained: BTreeMap<(JobId, CheckpointId), (Complete, BTreeSet<String>)>,
    /// Every savepoint that is complete, and whether its folder says so.
    saved: Vec<(Complete, bool)>,
    pending: BTreeSet<(JobId, CheckpointId)>,
    checkpoints: u64,
    crashes: u64,
    /// Leaders that lived to see another.
    deposed: u64,
    deleted: u64,
}

fn judge(run: &Evidence<'_>, _args: &Args) -> Outcome {
    let (mut shelf, mut wrong) = (Shelf::default(), None);
    for entry in run.entries() {
        let teller = run.journal.nodes().get(usize::from(entry.node.0));
        let step = shelf.step(&entry.fact, teller.is_some_and(|node| node == CLIENT));
        wrong = wrong.or(step.err().map(|why| Broken::by(entry, why)));
    }
    let orphans = shelf.orphans();
    let left = orphans.first().filter(|_| is_quiet(run)).map(|path| {
        let many = orphans.len();
        Broken::somewhere(format!("{many} files are left that nobody names, such as {path}"))
    });
    let crashed = if shelf.crashes > 0 { ", also when a node went down" } else { "" };
    let saved = shelf.saved.len();
    let what = if saved > 0 { "checkpoint and every savepoint" } else { "checkpoint" };
    Outcome::saw(shelf.checkpoints, format!("every retained {what} was whole{crashed}"))
        .measured("checkpoints", shelf.checkpoints as f64)
        .measured("savepoints", saved as f64)
        .measured("crashes", shelf.crashes as f64)
        .measured("deleted", shelf.deleted as f64)
        .measured("left", orphans.len() as f64)
        .broken_by(wrong)
        .broken_by(left)
}

impl<'a> Shelf<'a> {
    fn step(&mut self, fact: &'a Fact, by_person: bool) -> Result<(), String> {
        if let Some((job, _, entry)) = self.archive.note(fact) {
            if let Some(complete) = completes(job, &entry) {
                self.checkpoints += 1;
                return self.complete(complete);
            }
            if let LogEvent::Unsaved { checkpoint } = entry.event {
                self.saved.retain(|(of, _)| (of.job, of.checkpoint) != (job, checkpoint));
            }
        }
        match fact {
            Fact::StoreDeleted { path } if by_person => {
                self.saved.retain(|(of, _)| of.metadata() != *path);
                Ok(())
            }
            Fact::StoreDeleted { path } => {
                self.deleted += 1;
                self.touched(path, "was deleted")
            }
            Fact::StorePut { path, .. } if is_published(path) => self.publish(path),
            Fact::StorePut { path, .. } => self.touched(path, "was written again"),
            Fact::SavepointCompleted { path, .. } => self.told(path),
            Fact::NodeDown { how: Down::Kill | Down::PowerLoss, .. } => {
                self.crashes += 1;
                self.all_whole()
            }
            Fact::LeaderLost { .. } => {
                self.deposed += 1;
                Ok(())
            }
            Fact::CheckpointTriggered { job, checkpoint, .. }
            | Fact::SavepointTriggered { job, checkpoint, .. } => {
                self.pending.insert((*job, *checkpoint));
                Ok(())
            }
            Fact::CheckpointAborted { job, checkpoint, .. }
            | Fact::SavepointFailed { job, checkpoint, .. } => {
                self.pending.remove(&(*job, *checkpoint));
                Ok(())
            }
            Fact::CheckpointSubsumed { job, checkpoint, .. }
            | Fact::CheckpointUnreadable { job, checkpoint, .. } => {
                self.retained.remove(&(*job, *checkpoint));
                Ok(())
            }
            Fact::JobStatusChanged { job, to, .. } if to.is_final() => {
                // Nobody resumes what has ended well; what has failed waits for a person.
                if *to != JobStatus::Failed {
                    self.retained.retain(|(of, _), _| of != job);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A checkpoint completes: from now on every file of it must stay.
    fn complete(&mut self, complete: Complete) -> Result<(), String> {
        if self.archive.is_damaged(&complete) {
            // A fault's doing; that it is noticed and refused when it is read, others say.
            return Ok(());
        }
        let metadata = self.archive.metadata(&complete)?;
        let mut named = BTreeSet::from([complete.metadata()]);
        for file in metadata.files() {
            let whole = self.archive.whole(file);
            whole.map_err(|why| format!("checkpoint {}: {why}", complete.checkpoint))?;
            named.insert(file.path.clone());
        }
        let key = (complete.job, complete.checkpoint);
        self.pending.remove(&key);
        if complete.saved.is_some() {
            self.saved.push((complete, false));
            return Ok(());
        }
        self.retained.insert(key, (complete, named));
        self.give_up(key.0, kept(&metadata));
        Ok(())
    }

    /// Older ones may go now, also if nobody lives to tell it.
    fn give_up(&mut self, job: JobId, kept: usize) {
        let of_job = self.retained.keys().filter(|(of, _)| *of == job).copied();
        let of_job: Vec<_> = of_job.collect();
        let too_many = of_job.len().saturating_sub(kept);
        of_job.into_iter().take(too_many).for_each(|key| drop(self.retained.remove(&key)));
    }

    /// The metadata of a savepoint is put into its folder: it is one from now on.
    fn publish(&mut self, path: &str) -> Result<(), String> {
        let place = self.saved.iter().position(|(of, _)| of.metadata() == path);
        let Some((complete, published)) = place.map(|place| &mut self.saved[place]) else {
            return Err(format!("{path} makes a savepoint of what no log completes"));
        };
        if std::mem::replace(published, true) {
            return Err(format!("{path} was written again"));
        }
        let Some(object) = self.archive.get(path).filter(|object| !object.damaged) else {
            return Ok(());
        };
        let found = CheckpointMetadata::open(object.bytes);
        let found = found.map_err(|error| format!("{path}: {error}"))?;
        let folder = path.trim_end_matches(METADATA_FILE).trim_end_matches('/');
        let Some(saved) = &complete.saved else { return Ok(()) };
        match from_root(found, folder) == *saved.metadata {
            true => whole(&self.archive, complete),
            false => Err(format!("{path} holds other metadata than the log completed")),
        }
    }

    /// Somebody says that a savepoint is there.
    fn told(&self, path: &str) -> Result<(), String> {
        let is = |of: &Complete| of.saved.as_ref().is_some_and(|saved| saved.path == path);
        match self.saved.iter().find(|(of, _)| is(of)) {
            Some((complete, true)) => whole(&self.archive, complete),
            Some((Complete { saved: Some(Saved { folder: None, .. }), .. }, _)) => Ok(()),
            None if within_store(path).is_none() => Ok(()),
            _ => Err(format!("{path} is told complete, and no savepoint lies there")),
        }
    }

    /// Nobody touches a file that a retained checkpoint or a savepoint names.
    fn touched(&self, path: &str, verb: &str) -> Result<(), String> {
        if let Place::Savepoint(_) = place_of(path) {
            return match self.saved.iter().any(|(of, published)| is_of(of, *published, path)) {
                true => Err(format!("{path} {verb}, and is a savepoint's")),
                false => Ok(()),
            };
        }
        let Place::Checkpoint(..) = place_of(path) else { return Ok(()) };
        let named = self.retained.values().find(|(_, files)| files.contains(path));
        match named {
            Some((complete, _)) => {
                let checkpoint = complete.checkpoint;
                Err(format!("{path} {verb}, and retained checkpoint {checkpoint} names it"))
            }
            None => Ok(()),
        }
    }

    /// Every retained checkpoint and every savepoint reads as it should; the newest of a job is
    /// among them.
    fn all_whole(&self) -> Result<(), String> {
        let retained = self.retained.values().map(|(complete, _)| complete);
        let saved = self.saved.iter().map(|(complete, _)| complete);
        let mut undamaged = retained.chain(saved).filter(|of| !self.archive.is_damaged(of));
        undamaged.try_for_each(|complete| whole(&self.archive, complete))
    }

    /// The files in folders of checkpoints that no retained one names and no pending one may; and
    /// those of half a savepoint, unless a crash is to blame, or a change of leaders in the middle of
    /// it: the next one knows only what the log completes.
    fn orphans(&self) -> Vec<&'a str> {
        let named: BTreeSet<&str> = self
            .retained
            .values()
            .flat_map(|(_, files)| files.iter().map(String::as_str))
            .collect();
        let orphan = |path: &&str| match place_of(path) {
            Place::Checkpoint(job, checkpoint) => {
                let damaged = self.archive.get(path).is_none_or(|object| object.damaged);
                !damaged && !named.contains(*path) && !self.pending.contains(&(job, checkpoint))
            }
            Place::Savepoint(_) => {
                self.crashes + self.deposed == 0
                    && !self.saved.iter().any(|(of, _)| is_of(of, true, path))
            }
            _ => false,
        };
        self.archive.paths().filter(orphan).collect()
    }
}

/// Whether a path is that of a savepoint's metadata.
fn is_published(path: &str) -> bool {
    matches!(place_of(path), Place::Savepoint(folder) if path[folder..] == *"/_metadata")
}

/// Whether a savepoint is made of this file.
fn is_of(savepoint: &Complete, published: bool, path: &str) -> bool {
    let files = savepoint.saved.iter().flat_map(|saved| saved.metadata.files());
    files.map(|file| file.path.as_str()).any(|own| own == path)
        || (published && savepoint.metadata() == path)
}

/// Whether every file of a checkpoint is there as it is named.
fn whole(archive: &Archive<'_>, complete: &Complete) -> Result<(), String> {
    let metadata = archive.metadata(complete)?;
    metadata.files().try_for_each(|file| {
        let whole = archive.whole(file);
        whole.map(drop).map_err(|why| format!("checkpoint {}: {why}", complete.checkpoint))
    })
}

/// How many complete checkpoints a job keeps: 1 unless its program says otherwise.
fn kept(metadata: &CheckpointMetadata) -> usize {
    let said = metadata.program.settings.get("retained");
    said.and_then(|said| said.parse().ok()).unwrap_or(1).max(1)
}

/// Whether the run went on for long enough after its jobs had ended for everybody to tidy up. If
/// something befell the world since, another leader may have to do so.
pub(super) fn is_quiet(run: &Evidence<'_>) -> bool {
    let (mut ended, mut disturbed, mut now) = (None, None, Duration::ZERO);
    for entry in run.entries() {
        now = entry.time;
        match &entry.fact {
            Fact::JobStatusChanged { to, .. } if to.is_final() => ended = Some(now),
            fact if disturbs(fact) => disturbed = Some(now),
            _ => {}
        }
    }
    let Some(ended) = ended.filter(|_| run.finished()) else { return false };
    let needs = match disturbed {
        Some(at) if at >= ended => at + SUCCESSION,
        _ => ended + QUIET,
    };
    now >= needs
}

/// How long after the end of its jobs a world has to be tidy.
const QUIET: Duration = Duration::from_secs(1);

/// The same after a leader's death: until its lease is over and another has looked around.
const SUCCESSION: Duration = Duration::from_secs(15);

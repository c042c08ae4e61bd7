//! A job's metadata log: what a leader has decided for it, entry by entry, for every later leader.
//! An entry is created once and never changed; its number is a race that one leader wins, and a
//! leader that loses one is no leader any more. What follows from an entry is decided elsewhere.
//! Terms of leadership come from [`super::lease`]; what `Completed` names, from [`super::metadata`].

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use slackwater_core::codec::{self, CodecError, Kind};
use slackwater_core::id::{JobEpoch, JobId};
use slackwater_core::joblog::LogEvent;
use slackwater_core::schema::Fingerprint;

use super::{Created, Store, StoreError, Trouble, layout};

/// The newest format of an entry that this code writes and reads.
const FORMAT: u16 = 1;

/// One entry of a job's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Whose log it is.
    pub job: JobId,
    /// From 1, without gaps.
    pub number: u64,
    /// The leadership term that wrote it.
    pub epoch: JobEpoch,
    /// What happened.
    pub event: LogEvent,
}

impl LogEntry {
    /// The sealed bytes. MessagePack with names: a later version may add fields.
    ///
    /// # Errors
    /// If a value refuses to be serialized.
    pub fn seal(&self) -> Result<Vec<u8>, CodecError> {
        let payload = rmp_serde::to_vec_named(self);
        let payload = payload.map_err(|error| CodecError::Malformed(error.to_string()))?;
        Ok(codec::seal(Kind::LogEntry, FORMAT, Fingerprint(0), &payload))
    }

    /// Reads what [`LogEntry::seal`] wrote.
    ///
    /// # Errors
    /// Any [`CodecError`].
    pub fn open(bytes: &[u8]) -> Result<Self, CodecError> {
        let opened = codec::open(bytes, Kind::LogEntry, FORMAT)?;
        if opened.length != bytes.len() {
            return Err(CodecError::Malformed("bytes follow the envelope".into()));
        }
        let entry = rmp_serde::from_slice(opened.payload);
        entry.map_err(|error| CodecError::Malformed(error.to_string()))
    }

    fn in_its_place(path: &str, bytes: &[u8]) -> Result<Self, StoreError> {
        let found = bytes.len() as u64;
        let entry = Self::open(bytes);
        let entry = entry.map_err(|error| StoreError::of_codec(path, found, error))?;
        if layout::log_entry(entry.job, entry.number) == path {
            return Ok(entry);
        }
        let why = format!("it holds entry {} of job {}", entry.number, entry.job);
        Err(StoreError::new(path, Trouble::Foreign(why)))
    }
}

/// All that a log says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// What happened, in order.
    pub entries: Vec<LogEntry>,
    /// What a dead leader wrote behind a claim of a newer one: it changed nothing.
    pub void: Vec<LogEntry>,
    /// The entries that are damaged, missing or foreign, each by name. What they said is unknown.
    pub unreadable: Vec<StoreError>,
}

impl History {
    fn take(&mut self, entry: LogEntry) {
        let newest = self.entries.last().map(|last| last.epoch);
        if newest.is_some_and(|newest| entry.epoch < newest) {
            self.void.push(entry);
        } else {
            self.entries.push(entry);
        }
    }
}

/// A job's log in the hands of the leader that owns the job.
#[derive(Debug)]
pub struct JobLog {
    store: Store,
    job: JobId,
    epoch: JobEpoch,
    next: u64,
}

impl JobLog {
    /// The log of a job that is new: its first entry will be `Submitted`.
    pub fn new(store: Store, job: JobId, epoch: JobEpoch) -> Self {
        Self { store, job, epoch, next: 1 }
    }

    /// Takes a job over: appends the claim, so that whatever an older leader appends later fails,
    /// and only then reads (rule 16 of the semantics).
    ///
    /// # Errors
    /// Any [`StoreError`]: [`Trouble::Missing`] if there is no such job, [`Trouble::Fenced`] if a
    /// newer leader has claimed it. A damaged entry is no error here: see [`History::unreadable`].
    ///
    /// # Cancel safety
    /// If dropped, the claim may stand; claiming again is harmless.
    pub async fn claim(
        store: Store,
        job: JobId,
        epoch: JobEpoch,
    ) -> Result<(Self, History), StoreError> {
        let newest = newest_entry(&store, job).await?;
        let folder = layout::log_folder(job);
        let absent = || StoreError::new(folder.as_str(), Trouble::Missing);
        let mut log = Self { store, job, epoch, next: newest.ok_or_else(absent)? + 1 };
        // No look at what is there: an old leader that appends as fast as it can would stay ahead.
        // A claim whose answer was lost is followed by another, which is harmless.
        while !log.store.create_new(&log.path(), log.sealed(&LogEvent::Claimed)?.1).await? {
            log.next += 1;
        }
        let history = read_up_to(&log.store, job, log.next).await?;
        if let Some(newer) = history.entries.iter().find(|entry| entry.epoch > epoch) {
            return Err(log.fenced(newer));
        }
        log.next += 1;
        Ok((log, history))
    }

    /// Appends an entry; durable, and the job's next, when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`]: [`Trouble::Fenced`] if a newer leader has claimed the job, after which
    /// this one must do nothing more. After a transient error the entry may stand or not: append
    /// the same again, and it is recognised.
    ///
    /// # Cancel safety
    /// If dropped, the entry may stand or not, as after a transient error.
    pub async fn append(&mut self, event: LogEvent) -> Result<LogEntry, StoreError> {
        loop {
            let found = match self.create(&event).await? {
                (entry, Created::Ours) => {
                    self.next += 1;
                    return Ok(entry);
                }
                (_, Created::Theirs(bytes)) => bytes,
            };
            let found = LogEntry::in_its_place(&self.path(), &found)?;
            if found.epoch >= self.epoch {
                return Err(self.fenced(&found));
            }
            // A dead leader's claim came late: it is void, and the next number is ours.
            self.next += 1;
        }
    }

    /// The number that the next entry will have.
    pub fn next(&self) -> u64 {
        self.next
    }

    async fn create(&self, event: &LogEvent) -> Result<(LogEntry, Created), StoreError> {
        let (entry, sealed) = self.sealed(event)?;
        Ok((entry, self.store.create(&self.path(), sealed).await?))
    }

    fn sealed(&self, event: &LogEvent) -> Result<(LogEntry, Bytes), StoreError> {
        let (job, number, epoch) = (self.job, self.next, self.epoch);
        let entry = LogEntry { job, number, epoch, event: event.clone() };
        match entry.seal() {
            Ok(sealed) => Ok((entry, sealed.into())),
            Err(error) => Err(StoreError::of_codec(&self.path(), 0, error)),
        }
    }

    /// Where the next entry will lie.
    fn path(&self) -> String {
        layout::log_entry(self.job, self.next)
    }

    fn fenced(&self, newer: &LogEntry) -> StoreError {
        let path = layout::log_entry(self.job, newer.number);
        let why = format!("epoch {} wrote it, this is epoch {}", newer.epoch, self.epoch);
        StoreError::new(path, Trouble::Fenced(why))
    }
}

/// Every job that the store knows, whether it has ended or not.
///
/// # Errors
/// Any [`StoreError`].
///
/// # Cancel safety
/// Nothing happens if dropped.
pub async fn jobs(store: &Store) -> Result<Vec<JobId>, StoreError> {
    let folders = store.folders(layout::JOBS).await?;
    let job = |folder: &String| folder.rsplit_once('/')?.1.parse().ok();
    Ok(folders.iter().filter_map(job).collect())
}

/// Reads a job's log without claiming it: for those who only look.
///
/// # Errors
/// Any [`StoreError`]; [`Trouble::Missing`] if there is no such job.
///
/// # Cancel safety
/// Nothing happens if dropped.
pub async fn read_all(store: &Store, job: JobId) -> Result<History, StoreError> {
    let absent = || StoreError::new(layout::log_folder(job), Trouble::Missing);
    let newest = newest_entry(store, job).await?.ok_or_else(absent)?;
    read_up_to(store, job, newest).await
}

async fn newest_entry(store: &Store, job: JobId) -> Result<Option<u64>, StoreError> {
    let listed = store.list(&layout::log_folder(job)).await?;
    Ok(listed.iter().filter_map(|listed| layout::entry_of(&listed.path)).max())
}

async fn read_up_to(store: &Store, job: JobId, last: u64) -> Result<History, StoreError> {
    let mut history = History::default();
    for number in 1..=last {
        let path = layout::log_entry(job, number);
        let read = store.get(&path).await.and_then(|bytes| LogEntry::in_its_place(&path, &bytes));
        match read {
            Ok(entry) => history.take(entry),
            Err(error) if error.is_damage() => history.unreadable.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok(history)
}

//! The leader's lease: who leads in which term, and whether it is still alive.
//! Never updates in place and never trusts another machine's clock: a term is taken by creating its
//! object, renewed by creating the next, and a watcher counts by its own clock since it saw a change.
//! When to take, renew or give up is decided by the job manager; what fences it, by [`super::log`].

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use slackwater_core::codec::{self, CodecError, Kind};
use slackwater_core::id::JobEpoch;
use slackwater_core::schema::Fingerprint;

use super::{Created, Store, StoreError, Trouble, layout};

/// The newest format of a lease object that this code writes and reads.
const FORMAT: u16 = 1;

/// The newest sign of life of a leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// The term of leadership.
    pub epoch: JobEpoch,
    /// How many times it has been renewed.
    pub number: u64,
    /// Who leads, and how it is reached: in the holder's own words; empty if they are damaged.
    pub holder: String,
    /// Tells two holders of one name apart.
    nonce: u128,
}

impl Term {
    fn path(&self) -> String {
        match self.number {
            0 => layout::term(self.epoch),
            number => layout::renewal(self.epoch, number),
        }
    }

    fn seal(&self) -> Result<Bytes, CodecError> {
        let payload = rmp_serde::to_vec_named(self);
        let payload = payload.map_err(|error| CodecError::Malformed(error.to_string()))?;
        Ok(codec::seal(Kind::Lease, FORMAT, Fingerprint(0), &payload).into())
    }

    /// What lies where the sign of life `number` of the term `epoch` does. One that is damaged is a
    /// sign of life as well, of a holder that nobody can reach: who leads in which term is in its
    /// name. Otherwise nobody could ever lead again.
    fn in_its_place((epoch, number): (JobEpoch, u64), bytes: &[u8]) -> Self {
        let opened = codec::open(bytes, Kind::Lease, FORMAT).ok();
        let term = opened.and_then(|opened| rmp_serde::from_slice::<Self>(opened.payload).ok());
        let is_here = |term: &Self| (term.epoch, term.number) == (epoch, number);
        term.filter(is_here).unwrap_or(Self { epoch, number, holder: String::new(), nonce: 0 })
    }

    /// Creates its object.
    async fn create(&self, store: &Store) -> Result<Created, StoreError> {
        let path = self.path();
        let sealed = self.seal().map_err(|error| StoreError::of_codec(&path, 0, error))?;
        store.create(&path, sealed).await
    }
}

/// A term of leadership in the hands of its holder.
#[derive(Debug)]
pub struct Lease {
    store: Store,
    term: Term,
}

impl Lease {
    /// The newest sign of life of the newest leader; `None` if there never was one.
    ///
    /// # Errors
    /// Any [`StoreError`].
    ///
    /// # Cancel safety
    /// Nothing happens if dropped.
    pub async fn newest(store: &Store) -> Result<Option<Term>, StoreError> {
        loop {
            let Some((epoch, number)) = newest_of(&signs(store).await?) else { return Ok(None) };
            let path =
                if number == 0 { layout::term(epoch) } else { layout::renewal(epoch, number) };
            let bytes = match store.get(&path).await {
                // Renewed meanwhile: there is a newer one.
                Err(error) if error.trouble() == &Trouble::Missing => continue,
                read => read?,
            };
            return Ok(Some(Term::in_its_place((epoch, number), &bytes)));
        }
    }

    /// Takes the term after `epoch`, if nobody is faster. Whether the leader of `epoch` may be taken
    /// for dead is for the caller to judge: see [`Watch`].
    ///
    /// # Errors
    /// Any [`StoreError`]. After a transient one the term may be taken by nobody alive: the next is
    /// free.
    ///
    /// # Cancel safety
    /// If dropped, the term may be taken by nobody alive: the next is free.
    pub async fn try_take(
        store: &Store,
        holder: &str,
        epoch: JobEpoch,
    ) -> Result<Option<Self>, StoreError> {
        let nonce = store.draw("lease");
        let term = Term { epoch: epoch.next(), number: 0, holder: holder.to_owned(), nonce };
        let Created::Ours = term.create(store).await? else { return Ok(None) };
        let newest = newest_of(&signs(store).await?);
        let ours = newest.is_some_and(|(epoch, _)| epoch == term.epoch);
        Ok(ours.then(|| Self { store: store.clone(), term }))
    }

    /// Shows that the holder is alive.
    ///
    /// # Errors
    /// Any [`StoreError`]: [`Trouble::Fenced`] if there is a newer leader, after which this one must
    /// do nothing more. After a transient one the lease may be renewed or not: renew again.
    ///
    /// # Cancel safety
    /// If dropped, the lease may be renewed or not: renew again.
    pub async fn renew(&mut self) -> Result<(), StoreError> {
        let next = Term { number: self.term.number + 1, ..self.term.clone() };
        if let Created::Theirs(_) = next.create(&self.store).await? {
            return Err(StoreError::new(
                next.path(),
                Trouble::Fenced("it is somebody else's".into()),
            ));
        }
        self.term = next;
        let signs = signs(&self.store).await?;
        if let Some((newer, _)) = newest_of(&signs).filter(|(epoch, _)| *epoch > self.term.epoch) {
            let why = format!("epoch {newer} leads, this is epoch {}", self.term.epoch);
            return Err(StoreError::new(self.term.path(), Trouble::Fenced(why)));
        }
        // Old renewals say nothing any more; the objects that took terms stay, so that none is ever
        // taken twice. What cannot be deleted now is deleted next time.
        let current = (self.term.epoch, self.term.number);
        for (epoch, number) in signs.into_iter().filter(|sign| sign.1 > 0 && *sign < current) {
            if self.store.delete(&layout::renewal(epoch, number)).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// The term that is held.
    pub fn epoch(&self) -> JobEpoch {
        self.term.epoch
    }
}

async fn signs(store: &Store) -> Result<Vec<(JobEpoch, u64)>, StoreError> {
    let listed = store.list(layout::LEADER).await?;
    Ok(listed.iter().filter_map(|listed| layout::term_of(&listed.path)).collect())
}

fn newest_of(signs: &[(JobEpoch, u64)]) -> Option<(JobEpoch, u64)> {
    signs.iter().max().copied()
}

/// How long a leader has given no sign of life, by the clock of whoever watches.
///
/// ```
/// use std::time::Duration;
/// use slackwater_runtime::store::lease::Watch;
/// let secs = Duration::from_secs;
/// let mut watch = Watch::new(secs(10));
/// watch.observe(secs(11), None);
/// assert_eq!(watch.silent_for(secs(14)), secs(4));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    seen: Option<(JobEpoch, u64)>,
    since: Duration,
}

impl Watch {
    /// A watch that begins now: a leader that was never seen is silent since then.
    pub fn new(now: Duration) -> Self {
        Self { seen: None, since: now }
    }

    /// Notes what was found.
    pub fn observe(&mut self, now: Duration, newest: Option<&Term>) {
        let found = newest.map(|term| (term.epoch, term.number));
        if found != self.seen {
            (self.seen, self.since) = (found, now);
        }
    }

    /// How long nothing has changed.
    pub fn silent_for(&self, now: Duration) -> Duration {
        now.saturating_sub(self.since)
    }
}

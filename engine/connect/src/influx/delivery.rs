//! What to send next, and when to try again: the deliveries of one writer to one database.
//! Plain code: no socket, no clock, no randomness of its own; a line is dropped once it is kept, and
//! not before. Who acts on it: [`super::post`]; what answers mean: [`super::answer`].

use std::collections::VecDeque;
use std::time::Duration;

use slackwater_core::random::RandomStream;
use slackwater_dataflow::connector::ConnectorError;

use super::answer::Verdict;
use super::line::Lines;
use super::{RETRY_FOR, Target};

/// The longest first pause before a request is tried again; it doubles with every try.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: everything is kept.
    Nothing,
    /// Ask for the database to be created, if it is not there.
    Create,
    /// Send these lines.
    Write(Lines),
    /// Wait.
    Pause(Duration),
}

/// Since when nothing goes through.
#[derive(Debug)]
struct Trouble {
    since: Duration,
    tries: u32,
    until: Duration,
}

/// The deliveries of one writer.
#[derive(Debug)]
pub(super) struct Delivery {
    target: Target,
    /// Whether the database is there.
    created: bool,
    queue: VecDeque<Lines>,
    trouble: Option<Trouble>,
    confirmed: u64,
}

impl Delivery {
    pub fn to(target: Target) -> Self {
        let (queue, trouble) = (VecDeque::new(), None);
        Self { target, created: false, queue, trouble, confirmed: 0 }
    }

    /// Takes lines in behind those that wait.
    pub fn add(&mut self, lines: Vec<Lines>) {
        self.queue.extend(lines);
    }

    /// What is to be done at `now`, a time that never goes back.
    pub fn next(&self, now: Duration) -> Next {
        let pause = self.trouble.as_ref().map_or(Duration::ZERO, |t| t.until.saturating_sub(now));
        match self.queue.front() {
            _ if !pause.is_zero() => Next::Pause(pause),
            _ if !self.created => Next::Create,
            Some(lines) => Next::Write(lines.clone()),
            None => Next::Nothing,
        }
    }

    /// Takes in what became of what was to be done.
    ///
    /// # Errors
    /// If it is of no use to go on: fatal if a restart would meet the same.
    pub fn became(
        &mut self,
        verdict: Verdict,
        now: Duration,
        random: &mut RandomStream,
    ) -> Result<(), ConnectorError> {
        match verdict {
            Verdict::Done => self.done(),
            Verdict::Again(why) => return self.again(&why, now, random),
            Verdict::Refused(why) => {
                return Err(ConnectorError::fatal(format!("{}: {why}", self.target)));
            }
            // It was there: somebody has dropped it, and what it held. The attempt ends, so that this
            // is seen; the next one creates the database and goes on.
            Verdict::NoDatabase => {
                let name = &self.target.database;
                let words = format!("{}: there is no database {name:?} any more", self.target);
                return Err(ConnectorError::passing(words));
            }
        }
        Ok(())
    }

    fn done(&mut self) {
        self.trouble = None;
        if !self.created {
            self.created = true;
        } else if let Some(kept) = self.queue.pop_front() {
            self.confirmed += kept.count;
        }
    }

    fn again(
        &mut self,
        why: &str,
        now: Duration,
        random: &mut RandomStream,
    ) -> Result<(), ConnectorError> {
        let trouble = self.trouble.get_or_insert(Trouble { since: now, tries: 0, until: now });
        if now.saturating_sub(trouble.since) >= RETRY_FOR {
            let (tries, span) = (trouble.tries + 1, RETRY_FOR.as_secs());
            let words = format!("{}: {why}; tried {tries} times in {span} s", self.target);
            return Err(ConnectorError::passing(words));
        }
        let longest = PAUSE_FIRST.saturating_mul(1 << trouble.tries.min(10)).min(PAUSE_MAX);
        let half = longest.as_micros() as u64 / 2;
        // Half of it is drawn, so that writers that fail together do not come back together.
        trouble.until = now + Duration::from_micros(half + random.below(half + 1));
        trouble.tries += 1;
        Ok(())
    }

    /// The points that were confirmed since the last call.
    pub fn take_confirmed(&mut self) -> u64 {
        std::mem::take(&mut self.confirmed)
    }

    /// Forgets what waits.
    pub fn forget(&mut self) {
        self.queue.clear();
        self.trouble = None;
    }
}

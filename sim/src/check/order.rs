//! How far records come out of order: whom a later-stamped one overtook, and over a window's edge.
//! A check of the scenario more than of the engine: event time proves nothing on records in order.
//! The picture of the same arrivals is in [`crate::report`].

use std::collections::BTreeMap;
use std::time::Duration;

use slackwater_core::fact::Fact;
use slackwater_core::id::Execution;
use slackwater_core::time::EventTime;

use super::evidence::window_of;
use super::{Args, Broken, Check, Evidence, Kind, LedgerEntry, Needs, Outcome, Reading};
use crate::journal::Journal;

pub(super) const CHECK: Check = Check {
    name: "out_of_order",
    about: "records arrive after later-stamped ones, some of them over a window's edge",
    keys: &[("uid", Kind::Text), ("window", Kind::Span)],
    measures: &["share", "across_edge"],
    needs: Needs::Run,
    judge,
};

fn judge(run: &Evidence<'_>, args: &Args) -> Outcome {
    let uid = args.text("uid", "log-source");
    let size = args.span("window", Duration::from_secs(1)).as_millis() as i64;
    let times = match times(run, uid) {
        Ok(times) => times,
        Err(broken) => return Outcome::saw(1, "").broken_by(Some(broken)),
    };
    let (mut records, mut overtaken, mut across) = (0u64, 0u64, 0u64);
    let mut greatest = BTreeMap::<(Execution, u32), EventTime>::new();
    for (place, time) in times {
        let greatest = greatest.entry(place).or_insert(EventTime::MIN);
        records += 1;
        if time < *greatest {
            overtaken += 1;
            across += u64::from(window_of(time, size) < window_of(*greatest, size));
        }
        *greatest = time.max(*greatest);
    }
    let share = overtaken as f64 / records.max(1) as f64;
    let percent = |part: f64| 100.0 * part / records.max(1) as f64;
    let summary = format!(
        "{:.0} % of the records came after a later one, {:.0} % over a window's edge",
        percent(overtaken as f64),
        percent(across as f64),
    );
    let in_order = (overtaken == 0).then(|| Broken::somewhere("every record came in order"));
    Outcome::saw(records, summary)
        .measured("share", share)
        .measured("across_edge", across as f64)
        .broken_by(in_order)
}

type Place = (Execution, u32);

/// Every record of a source: where it was read, and its time, in the order of reading.
fn times(run: &Evidence<'_>, uid: &str) -> Result<Vec<(Place, EventTime)>, Broken> {
    fn of<T: slackwater_core::Data>(
        run: &Evidence<'_>,
        uid: &str,
    ) -> Result<Vec<(Place, EventTime)>, Broken> {
        let emitted = run.emitted::<T>(uid)?;
        let all = emitted.iter().flat_map(|emitted| {
            let place = (emitted.task, emitted.split);
            emitted.batch.times.iter().map(move |time| (place, *time))
        });
        Ok(all.collect())
    }
    of::<Reading>(run, uid).or_else(|_| of::<LedgerEntry>(run, uid))
}

/// A record on its way into a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its timestamp.
    pub time: EventTime,
    /// The window that it entered, by its start; `None` if it came too late for it.
    pub window: Option<EventTime>,
}

/// What entered the windows of one task, in the order of arrival: the first task that has any.
pub fn arrivals(journal: &Journal) -> Vec<Arrival> {
    let entered = |fact: &Fact| match fact {
        Fact::RecordWindowed { task, time, start, .. } => {
            Some((*task, Arrival { time: *time, window: Some(*start) }))
        }
        _ => None,
    };
    let mut all = journal.entries().iter().filter_map(|entry| entered(&entry.fact)).peekable();
    let first = all.peek().map(|(task, _)| *task);
    all.filter(|(task, _)| Some(*task) == first).map(|(_, arrival)| arrival).collect()
}

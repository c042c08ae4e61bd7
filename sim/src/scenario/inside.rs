//! Faults at a step of a window: a run without the fault shows which steps there are.
//! Every instant of a window is as likely as any other, which no time gives. Several such faults are
//! settled one after the other, each in the world of those before it. Played by [`super::player`].

use super::drawn::{Drawn, Moment};
use super::resolve::Cell;
use crate::world::{Cue, Mark, Run, World, fact};

/// A fault whose window never opened.
#[derive(Clone, Debug)]
pub(super) struct NeverOpened {
    /// The fault.
    pub(super) name: String,
    /// Its window, in words.
    pub(super) what: String,
}

/// Turns windows into steps; `world` makes one with these faults. Gives the faults whose window never
/// opened, and leaves them out.
pub(super) fn settle(
    cell: &Cell,
    faults: &mut Vec<Drawn>,
    world: impl Fn(&[Drawn]) -> World,
) -> Vec<NeverOpened> {
    // A window may open only in a world in which another fault is settled: those that have found
    // nothing try again until none of them finds anything.
    loop {
        let (before, mut place) = (open(faults), 0);
        while place < faults.len() {
            if let Some((first, count)) =
                is_open(&faults[place]).then(|| find(faults, place, &world)).flatten()
                && let Moment::Inside { step, steps, place, .. } = &mut faults[place].moment
            {
                let into = u128::from(count - 1) * u128::from(*place) / 1_000_000;
                *step = Some(first + u64::try_from(into).unwrap_or(0));
                *steps = Some((first, count));
            }
            place += 1;
        }
        if open(faults) == 0 || open(faults) == before {
            break;
        }
    }
    let mut never = Vec::new();
    for fault in faults.extract_if(.., |fault| is_open(fault)) {
        let must = cell.document.fault.iter().find(|part| *part.name.get_ref() == fault.name);
        if must.is_none_or(|part| part.must_fire != Some(false)) {
            never.push(NeverOpened { name: fault.name, what: fault.moment.to_string() });
        }
    }
    never
}

fn is_open(fault: &Drawn) -> bool {
    matches!(fault.moment, Moment::Inside { step: None, .. })
}

/// How many windows are not settled.
fn open(faults: &[Drawn]) -> usize {
    faults.iter().filter(|fault| is_open(fault)).count()
}

/// The first step of a window in the world of those that are settled, and how many it has; `None` if
/// it never opens there.
fn find(faults: &[Drawn], place: usize, world: &impl Fn(&[Drawn]) -> World) -> Option<(u64, u64)> {
    let Moment::Inside { from, to, fields, .. } = &faults[place].moment else {
        return None;
    };
    let others: Vec<Drawn> = faults.iter().filter(|other| !is_open(other)).cloned().collect();
    let watch = |probe: &String| match fact(probe, fields, 1) {
        Cue::Fact(watch) => Some(watch),
        Cue::Step(_) => None,
    };
    let (first, mut opens, mut closes) = (watch(from)?, watch(from)?, watch(to)?);
    let mut is_open = false;
    // The window closes with the first such fact behind the one that opens it.
    let last: Mark = Box::new(move |entry| match is_open {
        true => closes(entry),
        false => {
            is_open = opens(entry);
            false
        }
    });
    let run: Run = world(&others).mark(first).mark(last).run();
    // Behind the marks of a sweep.
    let [.., Some(first), Some(last)] = run.marks[..] else { return None };
    let steps = last.checked_sub(first).filter(|steps| *steps > 0)?;
    Some((first + 1, steps))
}

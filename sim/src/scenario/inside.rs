//! Faults at a step of a window: a run without the fault shows which steps there are.
//! Every instant of a window is as likely as any other, which no time gives. Several such faults are
//! settled one after the other, each in the world of those before it. Played by [`super::player`].

use super::drawn::{Drawn, Moment};
use super::resolve::Cell;
use crate::world::{Cue, Run, World, fact};

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
    let mut never = Vec::new();
    let mut place = 0;
    while let Some(fault) = faults.get(place) {
        let Moment::Inside { from, to, fields, place: ppm, step: None } = fault.moment.clone()
        else {
            place += 1;
            continue;
        };
        let open = |other: &&Drawn| matches!(other.moment, Moment::Inside { step: None, .. });
        let others = faults.iter().filter(|other| !open(other));
        let others: Vec<Drawn> = others.cloned().collect();
        let mark = |world: World, probe: &String| match fact(probe, &fields, 1) {
            Cue::Fact(watch) => world.mark(watch),
            Cue::Step(_) => world,
        };
        let run: Run = [&from, &to].into_iter().fold(world(&others), mark).run();
        // Behind the marks of a sweep.
        match run.marks[..] {
            [.., Some(first), Some(last)] if first < last => {
                let steps = last - first;
                let into = u128::from(steps - 1) * u128::from(ppm) / 1_000_000;
                let step = first + 1 + u64::try_from(into).unwrap_or(0);
                let step = Some(step);
                faults[place].moment = Moment::Inside { from, to, fields, place: ppm, step };
                place += 1;
            }
            _ => {
                let fault = faults.remove(place);
                let must =
                    cell.document.fault.iter().find(|part| *part.name.get_ref() == fault.name);
                if must.is_none_or(|part| part.must_fire != Some(false)) {
                    never.push(NeverOpened { name: fault.name, what: fault.moment.to_string() });
                }
            }
        }
    }
    never
}

//! `do = "swizzle"`: links stop one by one, and start again one by one in another order.
//! It becomes partitions, each a fault of its own, so that a smaller failure can do without some of
//! them. Which links and in which orders is drawn from streams of the fault. Asked by [`super::draw`].

use std::time::Duration;

use serde_spanned::Spanned;

use super::diagnostic::{File, Mistake};
use super::draw::{ALL, Luck, nodes};
use super::tree::{self, Node, Table};

/// The partitions of a swizzle whose spans are drawn.
pub(super) fn links(
    file: &File,
    luck: &mut Luck,
    (document, part): (&Table, &Table),
    name: &str,
) -> Result<Vec<Table>, Mistake> {
    let place = part.get("do").map_or(0..0, Spanned::span);
    let wrong = |message: &str| Err(Mistake::new(file, place.clone(), message));
    let Some(lasts) = tree::span(part, "for") else {
        return wrong("this deed needs `for = …`");
    };
    let all = match tree::table(part, "on").and_then(|on| tree::str(on, "links")) {
        Some("all") => true,
        Some("some") => false,
        _ => return wrong("a swizzle is done to links: `on = { links = \"some\" }`, or \"all\""),
    };
    let Some(key) = tree::table(part, "when").and_then(time_key) else {
        return wrong("a swizzle happens at a time, by chance, or so long after an event");
    };
    let nodes: Vec<_> = ALL.iter().flat_map(|role| nodes(document, role)).collect();
    let pairs = (0..nodes.len()).flat_map(|a| (a + 1..nodes.len()).map(move |b| (a, b)));
    let stream = |of: &str| format!("fault/{name}/{of}");
    let mut links: Vec<_> =
        pairs.filter(|_| luck.happens(&stream("links"), 0.5, true) || all).collect();
    shuffle(luck, &stream("stop"), &mut links);
    let mut again: Vec<usize> = (0..links.len()).collect();
    shuffle(luck, &stream("start"), &mut again);
    // Half of the time links stop, and the other half they start.
    let step = lasts / 2 / u32::try_from(links.len().max(1)).unwrap_or(u32::MAX);
    let link = |(number, (a, b)): (usize, (usize, usize))| {
        let turn = again.iter().position(|link| *link == number).unwrap_or(0);
        let times = |count: usize| step * u32::try_from(count).unwrap_or(u32::MAX);
        let stops = times(number);
        let starts = lasts / 2 + times(turn + 1);
        let ends = (&nodes[a], &nodes[b]);
        partition(part, (name, number + 1), ends, (key, stops, starts - stops))
    };
    Ok(links.into_iter().enumerate().map(link).collect())
}

/// The key of a trigger to which time can be added.
fn time_key(when: &Table) -> Option<&'static str> {
    if when.contains_key("at") { Some("at") } else { when.contains_key("event").then_some("delay") }
}

fn shuffle<T>(luck: &mut Luck, stream: &str, list: &mut [T]) {
    for last in (1..list.len()).rev() {
        list.swap(last, luck.index(stream, last + 1));
    }
}

type Number<'a> = &'a (String, i64);

fn partition(
    part: &Table,
    (name, number): (&str, usize),
    (a, b): (Number<'_>, Number<'_>),
    (key, stops, lasts): (&str, Duration, Duration),
) -> Table {
    let mut one = part.clone();
    let place = part.get("do").map_or(0..0, Spanned::span);
    let table = |table: Table| Spanned::new(place.clone(), Node::Table(table));
    let end = |(role, number): Number<'_>| {
        let mut end = Table::new();
        tree::put(&mut end, "role", tree::text(place.clone(), role.as_str()));
        tree::put(&mut end, "pick", tree::literal(place.clone(), *number));
        end
    };
    let mut on = end(a);
    tree::put(&mut on, "peer", table(end(b)));
    tree::put(&mut one, "on", table(on));
    tree::put(&mut one, "name", tree::text(place.clone(), format!("{name}-{number}")));
    tree::put(&mut one, "do", tree::text(place.clone(), "partition"));
    tree::put(&mut one, "for", tree::millis(place.clone(), lasts));
    if let Some(when) = tree::table_mut(&mut one, "when") {
        let base = tree::span(when, key).unwrap_or_default();
        tree::put(when, key, tree::millis(place, base + stops));
    }
    one
}

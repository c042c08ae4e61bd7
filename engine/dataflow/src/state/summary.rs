//! What a snapshot holds, by name, summed up as its sections are written: states with their types
//! and sizes, source offsets, watermarks. Decodes nothing but the few bytes of positions and
//! watermarks, and judges nothing. What a summary is for: `slackwater-core`'s `checkpoint::Contents`.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use slackwater_core::Data;
use slackwater_core::checkpoint::{Contents, SplitPosition, StateSummary};
use slackwater_core::codec;
use slackwater_core::graph::Uid;
use slackwater_core::schema::Schema;
use slackwater_core::time::EventTime;

use super::reader::take;
use super::section::Header;
use super::{Section, Share, StateError, StateName};
use crate::connector::Position;
use crate::source::{GREATEST, POSITION};
use crate::window::WATERMARK;

/// Sums up the sections of one subtask.
#[derive(Debug, Default)]
pub struct Summary {
    states: BTreeMap<(Uid, String), StateSummary>,
    positions: BTreeMap<(Uid, u32), u64>,
    greatest: BTreeMap<(Uid, u32), EventTime>,
    watermarks: BTreeMap<Uid, EventTime>,
}

impl Summary {
    /// Adds a section that was written just now: it is not verified.
    ///
    /// # Errors
    /// If it does not say what it holds.
    pub fn add(&mut self, section: &Section) -> Result<(), StateError> {
        let of = || StateName::new(&section.uid.0, &section.state);
        self.take(section).map_err(|why| of().error(Some(section.share), why))
    }

    fn take(&mut self, section: &Section) -> Result<(), String> {
        let mut rest = codec::sealed(&section.bytes).ok_or("not an envelope")?;
        let header: Header =
            rmp_serde::from_slice(take(&mut rest)?).map_err(|error| error.to_string())?;
        let Section { uid, state, share, bytes } = section;
        match share {
            Share::Item(split) => {
                if let Some(Position { offset, .. }) = only(POSITION, &header, rest)? {
                    self.positions.insert((uid.clone(), *split), offset);
                }
                if let Some(greatest) = only(GREATEST, &header, rest)? {
                    self.greatest.insert((uid.clone(), *split), greatest);
                }
            }
            Share::Group(_) => {
                if let Some(watermark) = only(WATERMARK, &header, rest)? {
                    let least = self.watermarks.entry(uid.clone()).or_insert(watermark);
                    *least = watermark.min(*least);
                }
            }
        }
        let known = self.states.entry((uid.clone(), state.clone()));
        let known = known.or_insert_with(|| StateSummary {
            uid: uid.clone(),
            state: state.clone(),
            schema: header.schema,
            keyed: matches!(share, Share::Group(_)),
            entries: 0,
            bytes: 0,
        });
        known.entries += header.entries;
        known.bytes += bytes.len() as u64;
        Ok(())
    }

    /// What all of them hold together.
    pub fn contents(self) -> Contents {
        let Self { states, positions, greatest, watermarks } = self;
        let greatest =
            |at: &(Uid, u32)| greatest.get(at).copied().filter(|time| *time > EventTime::MIN);
        let position = |(at, offset): (&(Uid, u32), &u64)| {
            let ((uid, split), greatest) = (at.clone(), greatest(at));
            SplitPosition { uid, split, offset: *offset, greatest }
        };
        Contents {
            positions: positions.iter().map(position).collect(),
            states: states.into_values().collect(),
            watermarks: watermarks.into_iter().collect(),
        }
    }
}

/// The only value of a section, if the section is of this state and type: a user may call a state of
/// another type by the same name.
fn only<T: Data + DeserializeOwned>(
    state: &str,
    header: &Header,
    mut entries: &[u8],
) -> Result<Option<T>, String> {
    if header.state != state || header.entries != 1 {
        return Ok(None);
    }
    let schema = Schema::of::<((), T)>().map_err(|error| error.to_string())?;
    if header.schema != schema.text() {
        return Ok(None);
    }
    let _key = take(&mut entries)?;
    let value = rmp_serde::from_slice(take(&mut entries)?);
    value.map(Some).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use slackwater_core::key::KeyGroup;

    use super::*;
    use crate::state::{Groups, SectionWriter};

    fn item<T: Data>(state: &str, split: u32, value: &T) -> Section {
        let writer = SectionWriter::list(StateName::new("in", state)).expect("a shape");
        writer.write_item(split, value).expect("plain data")
    }

    fn group<T: Data>(state: &str, group: u16, entries: &[(u64, T)]) -> Section {
        let groups = Groups::of_subtask(0, 1, 128);
        let writer = SectionWriter::new(StateName::new("sum", state), &groups).expect("a shape");
        let entries = entries.iter().map(|(key, value)| (key, value));
        let section = writer.write(Share::Group(KeyGroup(group)), entries).expect("plain data");
        section.expect("entries")
    }

    fn watermark(in_group: u16, time: i64) -> Section {
        let groups = Groups::of_subtask(0, 1, 128);
        let writer = SectionWriter::new(StateName::new("sum", WATERMARK), &groups);
        let time = EventTime::from_millis(time);
        let entry = std::iter::once((&(), &time));
        let section = writer.expect("a shape").write(Share::Group(KeyGroup(in_group)), entry);
        section.expect("plain data").expect("an entry")
    }

    fn summed(sections: &[Section]) -> Contents {
        let mut summary = Summary::default();
        sections.iter().for_each(|section| summary.add(section).expect("whole"));
        summary.contents()
    }

    #[test]
    fn states_are_summed_up_by_name_with_their_types() {
        let sections = [group("counts", 3, &[(1, 5u32), (2, 6)]), group("counts", 4, &[(9, 7u32)])];
        let bytes: usize = sections.iter().map(|section| section.bytes.len()).sum();
        let held = summed(&sections);
        let [StateSummary { uid, state, schema, keyed, entries, bytes: held }] = &held.states[..]
        else {
            panic!("one state: {held:?}")
        };
        assert_eq!((uid.0.as_str(), state.as_str(), *keyed, *entries), ("sum", "counts", true, 3));
        assert_eq!(*schema, Schema::of::<(u64, u32)>().expect("a shape").text());
        assert_eq!(*held, bytes as u64);
    }

    #[test]
    fn positions_and_watermarks_are_read_and_the_slowest_group_counts() {
        let at = |split, offset| Position { split, offset, note: vec![1], ended: false };
        let held = summed(&[
            item(POSITION, 0, &at(0, 17)),
            item(POSITION, 4, &at(4, 0)),
            item(GREATEST, 0, &EventTime::from_millis(900)),
            item(GREATEST, 4, &EventTime::MIN),
            watermark(1, 700),
            watermark(2, 500),
        ]);
        let position = |split, offset, greatest: Option<i64>| {
            let greatest = greatest.map(EventTime::from_millis);
            SplitPosition { uid: "in".into(), split, offset, greatest }
        };
        assert_eq!(held.positions, [position(0, 17, Some(900)), position(4, 0, None)]);
        assert_eq!(held.watermarks, [("sum".into(), EventTime::from_millis(500))]);
        assert_eq!(held.states.iter().map(|state| state.entries).sum::<u64>(), 6);
    }

    #[test]
    fn a_state_of_another_type_may_have_the_same_name() {
        let held = summed(&[item(POSITION, 0, &7u64), group(WATERMARK, 1, &[(1, 7u8)])]);
        assert_eq!((held.states.len(), held.positions.len(), held.watermarks.len()), (2, 0, 0));
    }
}

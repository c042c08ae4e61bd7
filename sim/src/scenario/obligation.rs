//! `[[sometimes]]`: what has to happen in some of the runs, or the file tries less than it says.
//! One run can only meet an obligation; whether it was met often enough is a question about all of
//! them, asked by [`crate::campaign`]. Obligations name events as faults do.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_spanned::Spanned;

use super::befall::known_probe;
use super::diagnostic::{File, Mistake, suggest};
use super::drawn::Drawn;
use super::format::Document;
use super::known;
use super::schema::Probe;
use super::values::Setting;
use crate::journal::Journal;
use crate::world::{Cue, fact};

/// `[[sometimes]]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SometimesPart {
    /// In words; what reports call it by.
    #[schemars(with = "String")]
    pub label: Spanned<String>,
    /// What must be seen; of several, each of them.
    #[schemars(with = "Seen")]
    pub when: Spanned<Seen>,
    /// In which share of the runs at least.
    pub at_least: Ratio,
}

/// Events, each of which must be seen, in any order; the file names one, or lists them.
#[derive(Clone, Debug)]
pub struct Seen(pub Vec<SeenEvent>);

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Seen;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event, { event = … }, or a list of them")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Seen, A::Error> {
                let event = SeenEvent::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Seen(vec![event]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Seen, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(Seen)
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

/// An event that a run shows.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeenEvent {
    /// The probe name of a fact.
    #[schemars(with = "Probe")]
    pub event: Spanned<String>,
    /// Fields that the fact must show.
    #[serde(default, rename = "where")]
    pub fields: BTreeMap<String, Setting>,
    /// The fault after which it must be seen.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub after: Option<Spanned<String>>,
}

/// A share such as `"1/64"`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ratio {
    /// How many.
    pub some: u64,
    /// Of how many.
    pub of: u64,
}

impl Ratio {
    /// How many of so many runs it asks for, rounded down: of few runs nothing is asked.
    pub fn of_runs(self, runs: u64) -> u64 {
        let asked = u128::from(runs) * u128::from(self.some) / u128::from(self.of);
        u64::try_from(asked).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.some, self.of)
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let read = |text: &str| {
            let (some, of) = text.split_once('/')?;
            let (some, of) = (some.trim().parse().ok()?, of.trim().parse().ok()?);
            (some > 0 && some <= of).then_some(Self { some, of })
        };
        let expected = || format!("expected a share of the runs such as \"1/64\", found {text:?}");
        read(&text).ok_or_else(|| de::Error::custom(expected()))
    }
}

impl SometimesPart {
    fn events(&self) -> &[SeenEvent] {
        &self.when.get_ref().0
    }

    /// Whether a run with these faults shows it.
    fn is_met(&self, journal: &Journal, faults: &[Drawn]) -> bool {
        self.events().iter().all(|event| event.is_seen(journal, faults))
    }
}

impl SeenEvent {
    fn is_seen(&self, journal: &Journal, faults: &[Drawn]) -> bool {
        let since = match &self.after {
            None => Some(0),
            Some(name) => {
                let faults = faults.iter().filter(|fault| fault.is_called(name.get_ref()));
                let entries = journal.entries();
                let seen = |fault: &Drawn| entries.iter().position(|e| fault.is_shown_by(e));
                faults.filter_map(seen).min()
            }
        };
        let fields = self.fields.iter().map(|(key, value)| (key.clone(), value.0.clone()));
        let fields: Vec<_> = fields.collect();
        match (since, fact(self.event.get_ref(), &fields, 1)) {
            (Some(since), Cue::Fact(mut seen)) => journal.entries()[since..].iter().any(&mut seen),
            _ => false,
        }
    }
}

/// Looks whether obligations can be met: their events and faults have names that are known.
/// `named` is everything that the file names, drawn or not.
pub(super) fn check(file: &File, document: &Document, named: &[String]) -> Result<(), Mistake> {
    for part in &document.sometimes {
        if part.events().is_empty() {
            let message = "an obligation names at least one event";
            return Err(Mistake::new(file, part.when.span(), message));
        }
        for event in part.events() {
            known_probe(file, &event.event)?;
            known::fields(file, &event.event, event.fields.keys().map(String::as_str))?;
            let Some(after) = &event.after else { continue };
            if !named.contains(after.get_ref()) {
                let known = named.iter().map(String::as_str);
                let message = format!("there is no fault {:?}", after.get_ref());
                let help = suggest(after.get_ref(), known);
                return Err(Mistake::new(file, after.span(), message).help(Some(help)));
            }
        }
    }
    Ok(())
}

/// Which obligations of a document a run met, by label.
pub(super) fn met(document: &Document, journal: &Journal, faults: &[Drawn]) -> Vec<String> {
    let met = document.sometimes.iter().filter(|part| part.is_met(journal, faults));
    met.map(|part| part.label.get_ref().clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_few_runs_nothing_is_asked() {
        let ratio = Ratio { some: 1, of: 64 };
        for (runs, asked) in [(0, 0), (63, 0), (64, 1), (127, 1), (6_400, 100)] {
            assert_eq!(ratio.of_runs(runs), asked, "{runs}");
        }
    }

    #[test]
    fn a_share_is_part_of_a_whole() {
        #[derive(Deserialize, JsonSchema)]
        struct One {
            at: Ratio,
        }
        let read = |text: &str| toml::from_str::<One>(&format!("at = {text:?}")).map(|one| one.at);
        assert_eq!(read("1/64"), Ok(Ratio { some: 1, of: 64 }));
        for wrong in ["64", "0/3", "4/3", "often"] {
            assert!(read(wrong).unwrap_err().message().contains("such as \"1/64\""), "{wrong}");
        }
    }
}

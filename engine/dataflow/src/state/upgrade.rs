//! Sections of an earlier program made into those of this one: renamed, migrated, looked at.
//! Runs between a savepoint and the operators, which therefore know of their own types only; what is
//! not declared is handed on as it is, and never decoded. What was declared is in [`crate::stream`];
//! whether a program can take up a savepoint at all is said before by `slackwater_core::compat`.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use slackwater_core::Data;
use slackwater_core::codec::{self, Kind};
use slackwater_core::graph::{StateInfo, Uid};
use slackwater_core::schema::{Schema, SchemaError};

use super::reader::take;
use super::section::{Header, VERSION, measured};
use super::{Section, StateError, StateName};

/// Why restored state cannot be taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Its bytes are not those that were written.
    Damaged(StateError),
    /// They are, and the program will not have what they say: no other try will help.
    Refused(StateError),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(error) | Self::Refused(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Unfit {}

/// From the bytes of a value to those of its successor, or why there is none.
type Rewrite = Arc<dyn Fn(&[u8]) -> Result<Vec<u8>, Fault> + Send + Sync>;

/// Why a value has no successor.
enum Fault {
    Damaged(String),
    Refused(String),
}

/// What is done to the values of one type.
#[derive(Clone)]
pub(crate) struct Rule {
    /// The type that is read.
    from: String,
    /// The type that it becomes; the same, if values are only looked at.
    pub(crate) to: String,
    rewrite: Rewrite,
}

impl Rule {
    /// Values of an earlier type become values of this one.
    pub(crate) fn migrate<Old: Data, New: Data>(
        f: impl Fn(Old) -> New + Send + Sync + 'static,
    ) -> Result<Self, SchemaError> {
        Self::new(move |old| Ok(f(old)))
    }

    /// Values are looked at, and mended or refused.
    pub(crate) fn check<S: Data>(
        f: impl Fn(S) -> Result<S, String> + Send + Sync + 'static,
    ) -> Result<Self, SchemaError> {
        Self::new(f)
    }

    fn new<Old: Data, New: Data>(
        f: impl Fn(Old) -> Result<New, String> + Send + Sync + 'static,
    ) -> Result<Self, SchemaError> {
        let (from, to) = (Schema::of::<Old>()?, Schema::of::<New>()?);
        let rewrite = move |bytes: &[u8]| {
            let old = rmp_serde::from_slice::<Old>(bytes);
            let old = old.map_err(|error| Fault::Damaged(error.to_string()))?;
            let new = f(old).map_err(Fault::Refused)?;
            rmp_serde::to_vec_named(&new).map_err(|error| Fault::Refused(error.to_string()))
        };
        let (from, to) = (from.text().to_owned(), to.text().to_owned());
        Ok(Self { from, to, rewrite: Arc::new(rewrite) })
    }

    /// Whether it only looks.
    pub(crate) fn is_check(&self) -> bool {
        self.from == self.to
    }

    /// The type of entries that it reads where its successor is of type `entries`.
    pub(crate) fn reads(&self, entries: &str) -> Option<String> {
        let key = entries.strip_suffix(')')?.strip_suffix(&self.to)?;
        Some(format!("{key}{})", self.from))
    }
}

/// What an operator declares of state that an earlier program has left.
#[derive(Clone, Default)]
pub struct Upgrade {
    pub(crate) uid: Uid,
    /// What it was called before.
    pub(crate) formerly: Vec<Uid>,
    /// Its states with the types of their entries.
    pub(crate) states: Vec<(String, String)>,
    pub(crate) rules: Vec<Rule>,
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upgrade({}, formerly {:?})", self.uid, self.formerly)
    }
}

impl Upgrade {
    /// Makes the operator's own sections out of what an earlier program has left; hands on those of
    /// others.
    ///
    /// # Errors
    /// [`Unfit`], which names the operator, the state and the share.
    pub fn apply(&self, sections: Vec<Section>) -> Result<Vec<Section>, Unfit> {
        if self.formerly.is_empty() && self.rules.is_empty() {
            return Ok(sections);
        }
        sections.into_iter().map(|section| self.apply_to(section)).collect()
    }

    fn apply_to(&self, mut section: Section) -> Result<Section, Unfit> {
        if self.formerly.contains(&section.uid) {
            let renamed = rewritten(&section, |header| header.uid = self.uid.clone(), None);
            section.bytes = renamed.map_err(|fault| self.unfit(&section, fault))?;
            section.uid = self.uid.clone();
        }
        if section.uid != self.uid {
            return Ok(section);
        }
        let Some((_, wanted)) = self.states.iter().find(|(state, _)| *state == section.state)
        else {
            return Ok(section);
        };
        // First into today's type, then what looks at it.
        for looks in [false, true] {
            for rule in self.rules.iter().filter(|rule| rule.is_check() == looks) {
                let Some(reads) = rule.reads(wanted) else { continue };
                section.bytes = self.obey(rule, &section, (reads, wanted))?;
            }
        }
        Ok(section)
    }

    /// The section's bytes, as a rule has them if it is for them.
    fn obey(
        &self,
        rule: &Rule,
        section: &Section,
        (reads, wanted): (String, &String),
    ) -> Result<Vec<u8>, Unfit> {
        let header = header_of(section).map_err(|fault| self.unfit(section, fault))?;
        if header.schema != reads {
            return Ok(section.bytes.clone());
        }
        let change = |header: &mut Header| header.schema.clone_from(wanted);
        let written = rewritten(section, change, Some(&rule.rewrite));
        written.map_err(|fault| self.unfit(section, fault))
    }

    fn unfit(&self, section: &Section, fault: Fault) -> Unfit {
        let name = StateName { uid: self.uid.clone(), state: section.state.clone() };
        match fault {
            Fault::Damaged(why) => Unfit::Damaged(name.error(Some(section.share), why)),
            Fault::Refused(why) => Unfit::Refused(name.error(Some(section.share), why)),
        }
    }
}

/// A state of this name with entries of `K` and `S`.
pub(crate) fn declared<K: DeserializeOwned + 'static, S: DeserializeOwned + 'static>(
    name: &str,
    keyed: bool,
) -> StateInfo {
    // One without a fixed shape is refused where its first byte would be written.
    let schema = Schema::of::<(K, S)>().map_or_else(|_| String::new(), |s| s.text().to_owned());
    StateInfo { name: name.to_owned(), schema, keyed, migrates: Vec::new() }
}

fn header_of(section: &Section) -> Result<Header, Fault> {
    let damaged = |why: &dyn fmt::Display| Fault::Damaged(why.to_string());
    let opened =
        codec::open(&section.bytes, Kind::State, VERSION).map_err(|error| damaged(&error))?;
    let mut rest = opened.payload;
    let header = take(&mut rest).map_err(|error| damaged(&error))?;
    rmp_serde::from_slice(header).map_err(|error| damaged(&error))
}

/// The section's bytes with a changed header, and values rewritten.
fn rewritten(
    section: &Section,
    change: impl FnOnce(&mut Header),
    rewrite: Option<&Rewrite>,
) -> Result<Vec<u8>, Fault> {
    let damaged = |why: &dyn fmt::Display| Fault::Damaged(why.to_string());
    let mut header = header_of(section)?;
    change(&mut header);
    let opened =
        codec::open(&section.bytes, Kind::State, VERSION).map_err(|error| damaged(&error))?;
    let mut rest = opened.payload;
    take(&mut rest).map_err(|error| damaged(&error))?;
    let sealed = rmp_serde::to_vec_named(&header).map_err(|error| damaged(&error))?;
    let mut payload = Vec::with_capacity(opened.payload.len());
    append(&mut payload, &sealed)?;
    match rewrite {
        None => payload.extend_from_slice(rest),
        Some(rewrite) => {
            for _ in 0..header.entries {
                let key = take(&mut rest).map_err(|error| damaged(&error))?;
                let value = take(&mut rest).map_err(|error| damaged(&error))?;
                append(&mut payload, key)?;
                append(&mut payload, &rewrite(value)?)?;
            }
        }
    }
    let schema = Schema::of_text(header.schema).fingerprint();
    Ok(codec::seal(Kind::State, VERSION, schema, &payload))
}

fn append(payload: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Fault> {
    let appended = measured(payload, |payload| {
        payload.extend_from_slice(bytes);
        Ok(())
    });
    appended.map(drop).map_err(Fault::Refused)
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::state::{Groups, KeyedState};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Balance {
        cents: i64,
        bookings: u32,
    }

    fn old_state(uid: &str) -> Vec<Section> {
        let state = KeyedState::<String, i64>::new(uid, "scan", Groups::of_subtask(0, 1, 8));
        for (key, cents) in [("a", 5), ("b", -7), ("c", 0)] {
            let mut values = state.values();
            *values.get_mut_or_insert(key.to_owned(), || 0).expect("ours") = cents;
        }
        state.snapshot().expect("plain data")
    }

    fn upgrade(formerly: &[&str], rules: Vec<Rule>) -> Upgrade {
        let entries = Schema::of::<(String, Balance)>().expect("a shape").text().to_owned();
        Upgrade {
            uid: "balance".into(),
            formerly: formerly.iter().map(|uid| Uid::from(*uid)).collect(),
            states: vec![("scan".into(), entries)],
            rules,
        }
    }

    fn taken_up(sections: &[Section]) -> Result<Vec<Option<Balance>>, StateError> {
        let state =
            KeyedState::<String, Balance>::new("balance", "scan", Groups::of_subtask(0, 1, 8));
        state.restore(sections)?;
        let values = state.values();
        Ok(["a", "b", "c"].map(|key| values.get(&key.to_owned()).cloned()).to_vec())
    }

    fn migration() -> Rule {
        Rule::migrate(|cents: i64| Balance { cents, bookings: 1 }).expect("shapes")
    }

    #[test]
    fn state_of_another_type_and_name_is_taken_up_as_it_was_declared() {
        let sections = upgrade(&["account"], vec![migration()]).apply(old_state("account"));
        let restored = taken_up(&sections.expect("whole")).expect("today's type");
        let expected = [5, -7, 0].map(|cents| Some(Balance { cents, bookings: 1 }));
        assert_eq!(restored, expected);
    }

    #[test]
    fn what_nobody_declared_is_refused_by_the_reader_and_never_decoded() {
        let sections = upgrade(&[], vec![]).apply(old_state("balance")).expect("left alone");
        let refused = taken_up(&sections).expect_err("another type");
        assert!(refused.to_string().contains("written as (str, i64)"), "{refused}");
        let renamed = upgrade(&[], vec![migration()]).apply(old_state("account"));
        assert_eq!(taken_up(&renamed.expect("left alone")), Ok(vec![None, None, None]));
    }

    #[test]
    fn what_looks_at_restored_values_mends_or_refuses_them() {
        let mends = |balance: Balance| Ok(Balance { cents: balance.cents.max(0), ..balance });
        let mend = Rule::check(mends).expect("a shape");
        let sections = upgrade(&["account"], vec![mend, migration()]).apply(old_state("account"));
        let restored = taken_up(&sections.expect("whole")).expect("today's type");
        let expected = [5, 0, 0].map(|cents| Some(Balance { cents, bookings: 1 }));
        assert_eq!(restored, expected, "it looks at what the migration has made");

        let refuses = |balance: Balance| match balance.cents {
            0.. => Ok(balance),
            debt => Err(format!("a debt of {debt}")),
        };
        let refuse = Rule::check(refuses).expect("a shape");
        let refused = upgrade(&["account"], vec![migration(), refuse]).apply(old_state("account"));
        let Err(Unfit::Refused(error)) = refused else { panic!("{refused:?}") };
        assert!(error.to_string().contains("a debt of -7"), "{error}");
        assert!(error.to_string().contains("\"balance\""), "{error}");
    }

    #[test]
    fn a_damaged_section_is_damage_and_no_refusal() {
        let mut sections = old_state("account");
        let last = sections[0].bytes.len() - 9;
        sections[0].bytes[last] ^= 1;
        let refused = upgrade(&["account"], vec![migration()]).apply(sections);
        assert!(matches!(refused, Err(Unfit::Damaged(_))), "{refused:?}");
    }

    #[test]
    fn an_upgraded_section_is_byte_for_byte_what_todays_program_writes() {
        let upgraded = upgrade(&["account"], vec![migration()]).apply(old_state("account"));
        let state =
            KeyedState::<String, Balance>::new("balance", "scan", Groups::of_subtask(0, 1, 8));
        for (key, cents) in [("a", 5), ("b", -7), ("c", 0)] {
            let mut values = state.values();
            let made = || Balance { cents, bookings: 1 };
            values.get_mut_or_insert(key.to_owned(), made).expect("ours");
        }
        assert_eq!(upgraded.expect("whole"), state.snapshot().expect("plain data"));
    }
}

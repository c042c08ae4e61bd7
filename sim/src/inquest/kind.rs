//! What kind of failure a run has: class, check, probe, and words without values in them.
//! Two runs fail alike if their kinds are equal: values, times and names of nodes may differ, since
//! a smaller run has others. The troubles themselves are [`crate::scenario`]'s.

use std::fmt;

use crate::scenario::{Class, Trouble};

/// A kind of failure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Which class of trouble.
    pub class: Class,
    /// The check that says so, if one does.
    pub check: Option<&'static str>,
    /// The probe name of the fact at which it shows, if it does at one.
    pub probe: Option<&'static str>,
    /// What is wrong, with `#` for every value.
    pub words: String,
}

impl Kind {
    /// The kind of a trouble.
    pub fn of(trouble: &Trouble) -> Self {
        let Trouble { class, check, place, what, .. } = trouble;
        let probe = place.map(|place| place.probe);
        Self { class: *class, check: *check, probe, words: words(what) }
    }

    /// Whether a run that is cut short can show this without anything being wrong: what has to
    /// come in the end is not there yet.
    pub fn is_of_the_end(&self) -> bool {
        const LATE: [&str; 4] = ["live", "recovered", "census", "claim"];
        // These speak of no fact where something was left over, or never came.
        const LEFT: [&str; 5] =
            ["cluster_gathered", "conservation", "every_subtask", "ledger", "store_whole"];
        let is_one_of = |names: &[&str]| self.check.is_some_and(|check| names.contains(&check));
        self.class == Class::Stuck || is_one_of(&LATE) || (self.probe.is_none() && is_one_of(&LEFT))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, check, probe, words } = self;
        write!(f, "{class} ")?;
        match check {
            Some(check) => f.write_str(check)?,
            None => f.write_str(words)?,
        }
        probe.map_or(Ok(()), |probe| write!(f, " at {probe}"))
    }
}

/// The trouble of a run that is looked into: what showed first, and of what showed at no time the
/// first of the file. What many runs owe, and what the harness itself did wrong, come last.
pub fn worst<'a>(troubles: impl Iterator<Item = &'a Trouble>) -> Option<&'a Trouble> {
    let rank = |trouble: &Trouble| match trouble.class {
        Class::NonDeterministic => 0,
        Class::Panicked => 1,
        Class::Broken => 2,
        Class::Stuck => 3,
        Class::Harness => 4,
        Class::Unmet => 5,
    };
    troubles.min_by_key(|trouble| (rank(trouble), trouble.at.is_none(), trouble.at))
}

/// The words of a message without its values: numbers, names, texts, and how many there are.
fn words(message: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut quoted = false;
    for word in message.lines().next().unwrap_or_default().split_whitespace() {
        let quotes = word.matches(['"', '`']).count();
        let is_inside = quoted || quotes > 0;
        quoted ^= quotes % 2 == 1;
        let plain = word.trim_matches(|c: char| c.is_ascii_punctuation());
        let is_word = !plain.is_empty() && plain.chars().all(char::is_alphabetic);
        let plain = match plain {
            "are" => "is",
            "were" => "was",
            _ => plain.strip_suffix('s').filter(|stem| stem.len() > 2).unwrap_or(plain),
        };
        let next = if is_word && !is_inside { plain } else { "#" };
        if next != "#" || words.last() != Some(&"#") {
            words.push(next);
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_make_no_kind_of_their_own() {
        for (one, other) in [
            ("no_loss: 1 of 40 rows is missing", "no_loss: 3 of 41 rows are missing"),
            ("at 3.2 s on tm-1: task v1[0]: boom", "at 14.2 s on tm-12: task v9[10]: boom"),
            ("key \"a\" is {1, 2}, want 3", "key \"b c d\" is {7}, want 12"),
        ] {
            assert_eq!(words(one), words(other));
        }
        assert_ne!(words("row 3 is missing"), words("row 3 stands twice"));
        assert_eq!(words("no_loss: 1 of 40 rows"), "# of # row");
    }
}

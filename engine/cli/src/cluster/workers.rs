//! Which task managers a person means: a number, names, or a file of names.
//! Starts nothing. Who starts them is [`super`].

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::Path;
use std::str::FromStr;

use slackwater_runtime::host::Files;
use slackwater_runtime::host::disk::Disk;

use crate::exit::{Exit, Failure};

/// How many task managers are started at most.
const WORKERS_MAX: usize = 64;
/// A file of names is at most this long, in bytes.
const FILE_MAX: usize = 1 << 16;

/// What a person typed for the task managers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workers(String);

impl FromStr for Workers {
    type Err = Infallible;

    fn from_str(typed: &str) -> Result<Self, Infallible> {
        Ok(Self(typed.trim().to_owned()))
    }
}

impl Workers {
    /// Their names, in the order in which they were told.
    ///
    /// # Errors
    /// [`Exit::Usage`] if there are too many, or one twice, or one that is no name;
    /// [`Exit::BadInput`] for a mistake in a file, with its line.
    pub fn names(&self) -> Result<Vec<String>, Failure> {
        let usage = |why: String| Failure::new(Exit::Usage, format!("--workers {}: {why}", self.0));
        let told: Vec<(String, String)> = match self.0.parse::<usize>() {
            Ok(count) => {
                let most = count.min(WORKERS_MAX + 1);
                (1..=most).map(|number| (format!("tm-{number}"), String::new())).collect()
            }
            Err(_) if Path::new(&self.0).is_file() => self.lines()?,
            Err(_) => {
                self.0.split(',').map(|name| (name.trim().to_owned(), String::new())).collect()
            }
        };
        if told.len() > WORKERS_MAX {
            return Err(usage(format!("{WORKERS_MAX} task managers are started at most")));
        }
        let mut seen = BTreeSet::new();
        for (read, place) in &told {
            let mistake = match name(read) {
                Err(why) => Some(why),
                Ok(_) if !seen.insert(read) => Some(format!("{read:?} stands there twice")),
                Ok(_) => None,
            };
            match mistake {
                Some(why) if place.is_empty() => return Err(usage(why)),
                Some(why) => return Err(Failure::new(Exit::BadInput, format!("{place}: {why}"))),
                None => {}
            }
        }
        Ok(told.into_iter().map(|(name, _)| name).collect())
    }

    /// The names in a file, each with its place. What follows a `#` is for people.
    fn lines(&self) -> Result<Vec<(String, String)>, Failure> {
        let bad = |why: String| Failure::new(Exit::BadInput, format!("{}: {why}", self.0));
        let bytes = Disk.read_at(&self.0, 0, FILE_MAX).map_err(|error| bad(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| bad("it is no text".into()))?;
        let line = |(number, line): (usize, &str)| {
            let name = line.split('#').next().unwrap_or_default().trim();
            (!name.is_empty()).then(|| (name.to_owned(), format!("{}, line {number}", self.0)))
        };
        Ok((1..).zip(text.lines()).filter_map(line).collect())
    }
}

/// A name of a node, which is also that of its files.
///
/// # Errors
/// In words, if it is none.
pub(super) fn name(read: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if read.is_empty() || read.len() > 40 || !read.chars().all(is_plain) {
        return Err(format!("{read:?} is no name: letters, digits, - and _, 40 at most"));
    }
    if read == super::JOB_MANAGER {
        return Err(format!("{read:?} is the job manager's name"));
    }
    Ok(read.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_names_and_a_file_are_understood_and_mistakes_have_their_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name).display().to_string();
            Disk.write(&path, text.as_bytes()).expect("room");
            path
        };
        let good = file("workers", "# two of them\nleft\n\nright  # the other\n");
        let twice = file("twice", "left\n\nleft\n");
        let bad = file("bad", "left\n../right\n");
        let names =
            |typed: &str| Workers(typed.into()).names().map_err(|failure| failure.to_string());
        let of = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(names("2"), of(&["tm-1", "tm-2"]));
        assert_eq!(names("0"), of(&[]));
        assert_eq!(names("a, b"), of(&["a", "b"]));
        assert_eq!(names(&good), of(&["left", "right"]));
        let refused = |typed: &str, words: &str| {
            let said = names(typed).expect_err(typed);
            assert!(said.contains(words), "{said}");
        };
        refused("65", "64 task managers are started at most");
        refused("18446744073709551615", "64 task managers are started at most");
        refused("a,a", "\"a\" stands there twice");
        refused("a,jm", "\"jm\" is the job manager's name");
        refused("/no/such/file", "is no name");
        refused(&twice, "twice, line 3: \"left\" stands there twice");
        refused(&bad, "bad, line 2: \"../right\" is no name");
    }
}

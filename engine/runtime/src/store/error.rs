//! Why an object could not be written or read: which one, what is wrong, and whether to try again.
//! Nothing is retried here and nothing is forgiven; the text tells a person where to look.
//! Who retries is [`super::Store`]; what follows from damage is rule 17 of the job manager.

use std::error::Error;
use std::fmt;

use slackwater_core::codec::CodecError;

/// What is wrong with an object, or with the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The address names no store that can be opened.
    Address(String),
    /// There is no such object.
    Missing,
    /// Fewer bytes than were written.
    Truncated {
        /// How many were written, as far as that is known.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// Other bytes than were written.
    Damaged(String),
    /// What a person names is no savepoint, nor a checkpoint that was kept.
    NoSavepoint(String),
    /// Nothing was done, for a reason that a person can lift.
    Declined(String),
    /// Whole, but another job's, attempt's or checkpoint's.
    Foreign(String),
    /// Written in a format that this version does not know.
    Newer {
        /// As found.
        found: u16,
        /// The newest that can be read.
        supported: u16,
    },
    /// Somebody else was first: whoever wrote this is no longer alone, or no longer the leader.
    Fenced(String),
    /// The store will not do this, however often it is asked.
    Refused(String),
    /// The store could not do it now: a later try may succeed.
    Transient(String),
}

/// Why an object could not be written or read. Names the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    path: String,
    trouble: Trouble,
}

impl StoreError {
    /// An error of the object at `path`, or of the store with this address.
    pub fn new(path: impl Into<String>, trouble: Trouble) -> Self {
        Self { path: path.into(), trouble }
    }

    /// The same error of an object in a store of its own: named from its root.
    #[must_use]
    pub fn within(self, folder: &str) -> Self {
        let path = match self.path.as_str() {
            "" => folder.to_owned(),
            path => format!("{folder}/{path}"),
        };
        Self { path, ..self }
    }

    /// The object, or the address of the store.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong.
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// Whether a later try may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self.trouble, Trouble::Transient(_))
    }

    /// Whether somebody else was first.
    pub fn is_fenced(&self) -> bool {
        matches!(self.trouble, Trouble::Fenced(_))
    }

    /// Whether the bytes are not those that were written, so that no retry will help (rule 17).
    pub fn is_damage(&self) -> bool {
        match self.trouble {
            Trouble::Missing
            | Trouble::Truncated { .. }
            | Trouble::Damaged(_)
            | Trouble::Foreign(_)
            | Trouble::Newer { .. } => true,
            Trouble::Address(_)
            | Trouble::NoSavepoint(_)
            | Trouble::Declined(_)
            | Trouble::Fenced(_)
            | Trouble::Refused(_)
            | Trouble::Transient(_) => false,
        }
    }

    /// What an object store said of the object at `path`.
    pub(super) fn of_object(path: &str, error: &object_store::Error) -> Self {
        use object_store::Error as E;
        let trouble = match error {
            E::NotFound { .. } => Trouble::Missing,
            E::AlreadyExists { .. } | E::Precondition { .. } => {
                Trouble::Fenced("it is there already".into())
            }
            E::Generic { source, .. } => Trouble::Transient(roots(source.as_ref())),
            E::JoinError { .. } => Trouble::Transient(error.to_string()),
            _ => Trouble::Refused(error.to_string()),
        };
        Self::new(path, trouble)
    }

    /// What the codec said of the object at `path`, of which `found` bytes were there.
    pub(super) fn of_codec(path: &str, found: u64, error: CodecError) -> Self {
        let trouble = match error {
            CodecError::Truncated { needed, .. } => {
                Trouble::Truncated { expected: needed as u64, found }
            }
            CodecError::UnknownVersion { found, supported } => Trouble::Newer { found, supported },
            CodecError::WrongKind { .. }
            | CodecError::OtherSchema { .. }
            | CodecError::Checksum
            | CodecError::Malformed(_) => Trouble::Damaged(error.to_string()),
        };
        Self::new(path, trouble)
    }
}

/// An error with the causes behind it that its own text leaves out.
fn roots(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.trouble {
            Trouble::Address(why) => write!(f, "cannot open the store {path:?}: {why}"),
            Trouble::Missing => write!(f, "{path} is missing from the store"),
            Trouble::Truncated { expected, found } => {
                write!(f, "{path} is truncated: {expected} bytes expected, {found} found")
            }
            Trouble::Damaged(why) => write!(f, "{path} is damaged: {why}"),
            Trouble::NoSavepoint(why) => write!(f, "{path} is no savepoint: {why}"),
            Trouble::Declined(why) => write!(f, "{path}: {why}"),
            Trouble::Foreign(why) => write!(f, "{path} is foreign: {why}"),
            Trouble::Newer { found, supported } => write!(
                f,
                "{path} is newer: format {found}, but {supported} is the newest known here; start \
                 a newer version"
            ),
            Trouble::Fenced(why) => write!(f, "{path} is fenced: {why}"),
            Trouble::Refused(why) => write!(f, "{path} is refused by the store: {why}"),
            Trouble::Transient(why) => write!(f, "{path} cannot be reached now: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}

//! How a command ends: one number per kind of failure, the same for every verb, and one sentence.
//! Never prints: whoever holds `main` prints the sentence on stderr and exits with the number. Codes
//! from 10 on belong to the harness's verdicts and are named there.

use std::fmt;

use slackwater_dataflow::task::PlanError;
use slackwater_runtime::store::{StoreError, Trouble};

/// The exit codes of the engine's verbs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The command was not understood: an unknown verb, job or parameter, a value that cannot be
    /// read.
    Usage = 2,
    /// What the command was given to read is missing, unreadable or malformed.
    BadInput = 3,
    /// The job failed for another reason than its input.
    JobFailed = 4,
    /// The surroundings refused: a port in use, a file that cannot be written, no permission.
    Environment = 5,
    /// The other side speaks another version.
    OtherVersion = 6,
    /// Nobody answers: no job manager where one was expected.
    Unreachable = 7,
    /// A savepoint was asked for and could not be taken.
    SavepointFailed = 8,
    /// What the job is to start from does not fit it.
    Incompatible = 9,
}

/// The same for whoever reads the help.
pub const CODES: &str = "Exit codes: 0 done; 2 the command was not understood; 3 what it was given to \
read is missing or malformed; 4 the job failed; 5 the surroundings refused (a port, a file); 6 the other \
side speaks another version; 7 no job manager answers; 8 no savepoint was taken; 9 the savepoint does not \
fit the job";

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which kind of failure.
    pub exit: Exit,
    /// For a person: the thing, what was expected, what to do.
    pub message: String,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    /// The number to exit with.
    pub fn code(&self) -> u8 {
        self.exit as u8
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        let message = match &error {
            PlanError::UnknownProgram { name, known } => {
                let names = known.iter().map(String::as_str);
                match nearest(name, names) {
                    Some(near) => format!("unknown job {name:?}: did you mean {near:?}?"),
                    None => format!("unknown job {name:?}: known are {}", known.join(", ")),
                }
            }
            other => other.to_string(),
        };
        Self::new(Exit::Usage, message)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error.trouble() {
            Trouble::Declined(_) => Exit::Usage,
            Trouble::Address(_) | Trouble::Refused(_) | Trouble::Transient(_) => Exit::Environment,
            _ => Exit::BadInput,
        };
        Self::new(exit, error)
    }
}

/// The known name nearest to `name`, if one is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, known)| *distance <= known.len().div_ceil(3))
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_job_is_answered_with_the_nearest_name() {
        let known = vec!["flights".to_owned(), "oscon".to_owned()];
        let said = |name: &str| {
            let error = PlanError::UnknownProgram { name: name.into(), known: known.clone() };
            Failure::from(error).message
        };
        assert_eq!(said("osocn"), r#"unknown job "osocn": did you mean "oscon"?"#);
        assert_eq!(said("wordcount"), r#"unknown job "wordcount": known are flights, oscon"#);
    }
}

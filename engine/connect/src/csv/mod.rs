//! CSV files: a bounded source of typed rows and a sink. Errors name file, line, column and what was
//! expected. Nothing here opens a file by itself: the host's files are read in chunks and written
//! by appending. Order and meaning of the rows are the job's.

use serde::{Deserialize, Serialize};

mod sink;
mod source;
mod transactional;

pub use sink::{CsvSink, CsvWriter, sink};
pub use source::{CsvReader, CsvSource, source};
pub use transactional::{TransactionalCsv, TransactionalCsvWriter};

/// A row with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Row<T> {
    /// Which record of the file, from 1, the header not counted.
    pub record: u64,
    /// What it says.
    pub value: T,
}

/// What a source does with a record that it cannot read.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum OnBadRecord {
    /// Fails the job.
    #[default]
    Fail,
    /// Leaves the record out, counts it and tells of it.
    Skip,
}

impl std::str::FromStr for OnBadRecord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fail" => Ok(Self::Fail),
            "skip" => Ok(Self::Skip),
            other => Err(format!("expected \"fail\" or \"skip\", found {other:?}")),
        }
    }
}

/// An error of the host's files, with the file's name once.
fn about(path: &str, error: &std::io::Error) -> String {
    let words = error.to_string();
    if words.contains(path) { words } else { format!("{path}: {words}") }
}

#[cfg(test)]
mod tests;

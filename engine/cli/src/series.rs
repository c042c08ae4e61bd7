//! The verb `series`: what a local run has stored, as CSV on stdout.
//! Reads the file and nothing else; a run that still holds it open is named.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use slackwater_connect::series::disk::{DiskStore, write_csv};

use crate::exit::{Exit, Failure};

/// The name of the store in a data folder.
const FILE: &str = "series.redb";

/// What can be asked of a data folder.
#[derive(Clone, Debug, Subcommand)]
pub enum SeriesVerb {
    /// Print the visible rows as CSV: series, key, time_ms, fields
    Export(ExportArgs),
}

/// Which rows.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// The folder that `run --local` wrote to
    #[arg(long, value_name = "DIR", default_value = "slackwater-data")]
    pub data: PathBuf,
    /// One series only, such as `sensors`
    #[arg(long, value_name = "NAME")]
    pub series: Option<String>,
}

/// The store in a data folder.
pub fn file_in(data: &Path) -> PathBuf {
    data.join(FILE)
}

/// Does what was asked.
///
/// # Errors
/// [`Exit::BadInput`] if there is no store, or it cannot be read, or has no such series;
/// [`Exit::Environment`] if stdout refuses.
pub fn execute(verb: &SeriesVerb) -> Result<(), Failure> {
    let SeriesVerb::Export(args) = verb;
    let bad = |error: &dyn std::fmt::Display| Failure::new(Exit::BadInput, error);
    let store = DiskStore::open(&file_in(&args.data)).map_err(|error| bad(&error))?;
    let points = store.export(args.series.as_deref()).map_err(|error| bad(&error))?;
    if let (Some(series), true) = (&args.series, points.is_empty()) {
        let folder = args.data.display();
        return Err(bad(&format!("there is no series {series:?} in {folder}")));
    }
    match write_csv(&points, io::stdout().lock()) {
        // Whoever reads our output has had enough: `| head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::new(Exit::Environment, error)),
    }
}

//! The verb `series`: what a local run has stored, as CSV on stdout; and an InfluxDB to write to.
//! A file that another process holds open is named, and never opened twice. What is stored, and how it
//! is asked for, is `slackwater_connect`'s: `series` and `influxd`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use slackwater_connect::influxd::{self, Influxd, Store};
use slackwater_connect::series::disk::{DiskStore, write_csv};
use slackwater_runtime::host::Host;
use slackwater_runtime::host::real::{self, RealHost};

use crate::exit::{Exit, Failure};
use crate::node::stop_asked;

/// The name of the store in a data folder.
const FILE: &str = "series.redb";
/// The name of the file of served databases.
const INFLUX_FILE: &str = "influx.redb";

/// What can be asked of a data folder.
#[derive(Clone, Debug, Subcommand)]
pub enum SeriesVerb {
    /// Print the visible rows as CSV: series, key, time_ms, fields
    Export(ExportArgs),
    /// Serve an InfluxDB 1.x on this machine until Ctrl-C: what jobs write with
    /// `--set db=http://localhost:8086/NAME`, and what Grafana asks
    Serve(ServeArgs),
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

/// How to serve.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// The folder that keeps the databases, in one file
    #[arg(long, value_name = "DIR", default_value = "slackwater-data")]
    pub data: PathBuf,
    /// The port to listen on; 0 takes any
    #[arg(long, value_name = "PORT", default_value_t = influxd::PORT)]
    pub port: u16,
}

/// The store in a data folder.
pub fn file_in(data: &Path) -> PathBuf {
    data.join(FILE)
}

/// Does what was asked.
///
/// # Errors
/// [`Exit::BadInput`] if there is no store, or it cannot be read, or has no such series;
/// [`Exit::Environment`] if stdout refuses, or a port or a file to serve.
pub fn execute(verb: &SeriesVerb) -> Result<(), Failure> {
    match verb {
        SeriesVerb::Export(args) => export(args),
        SeriesVerb::Serve(args) => serve(args),
    }
}

fn serve(args: &ServeArgs) -> Result<(), Failure> {
    let environment = |error: io::Error| Failure::new(Exit::Environment, error);
    let host = RealHost::named("db").map_err(environment)?;
    let file = args.data.join(INFLUX_FILE);
    let port = args.port;
    let serving = real::run(host, |host: Arc<dyn Host>| async move {
        let stopped = stop_asked()?;
        let refused = |error: &dyn std::fmt::Display| Failure::new(Exit::Environment, error);
        // Makes the folder, if it is not there.
        host.files()
            .append(&file.display().to_string(), b"")
            .map_err(|error| refused(&format!("cannot write to {}: {error}", file.display())))?;
        let store = Store::open(&file).map_err(|error| refused(&error))?;
        let server = Influxd::bind(host, port, store).await.map_err(|error| {
            refused(&format!("the series database: port {port}: {error}: choose another --port"))
        })?;
        println!("databases are served at http://localhost:{}", server.port());
        tokio::select! {
            biased;
            () = stopped => Ok(()),
            ended = server.run() => ended.map_err(|error| refused(&error)),
        }
    });
    serving.map_err(environment)?
}

fn export(args: &ExportArgs) -> Result<(), Failure> {
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

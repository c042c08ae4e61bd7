//! REST beside a job manager, as the verb `jobmanager` starts it: its port, its token.
//! Never keeps a job manager from starting because a port is taken that nobody chose. What is
//! answered is in `slackwater-rest`; where it is started, in [`crate::node`].

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use slackwater_rest::{PORT, Rest, RestConfig};
use slackwater_runtime::host::Host;
use slackwater_runtime::wire::handshake::Handshake;

use crate::exit::{Exit, Failure};
use crate::node::JobManagerArgs;
use crate::panels::Databases;

/// What is to be served.
pub(crate) struct Wanted {
    config: RestConfig,
    name: String,
    /// Whether a person named the port.
    chosen: bool,
}

/// The server as it runs, until it fails.
type Serving = Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

/// What the arguments say; `None`: REST is not served.
///
/// # Errors
/// If there is no token where one is needed, or it cannot be read.
pub(crate) fn config(
    args: &JobManagerArgs,
    (store, savepoints): (Option<&str>, Option<&str>),
) -> Result<Option<Wanted>, Failure> {
    let port = args.rest_port.unwrap_or(PORT);
    if port == 0 {
        return Ok(None);
    }
    let handshake = args.network.handshake()?;
    let said = |key: &str, value: Option<&str>| Some((key.to_owned(), value?.to_owned()));
    let settings = [
        said("jobmanager.rpc.address", Some(&args.name)),
        said("rest.port", Some(&port.to_string())),
        said("high-availability.storageDir", store),
        said("execution.checkpointing.savepoint-dir", savepoints),
    ];
    let config = RestConfig {
        port,
        job_manager: String::new(),
        handshake,
        exposed: args.network.is_exposed(),
        token: handshake.token.map(|token| token.text().to_owned()),
        settings: settings.into_iter().flatten().collect(),
    };
    Ok(Some(Wanted { config, name: args.name.clone(), chosen: args.rest_port.is_some() }))
}

/// Binds the port of REST beside a job manager that listens on `job_manager`, and says so.
///
/// # Errors
/// [`Exit::Environment`] if the port was chosen and is taken.
pub(crate) async fn serve(
    host: Arc<dyn Host>,
    wanted: Option<Wanted>,
    job_manager: u16,
) -> Result<Serving, Failure> {
    let Some(Wanted { mut config, name, chosen }) = wanted else { return Ok(nothing()) };
    config.job_manager = format!("{name}:{job_manager}");
    config.settings.push(("jobmanager.rpc.port".into(), job_manager.to_string()));
    let port = config.port;
    let panels = Box::new(Databases(Arc::clone(&host)));
    match Rest::bind(host, config).await {
        Ok(rest) => {
            let rest = rest.with_panels(panels);
            println!(
                "REST is served on port {0}, the dashboard at http://localhost:{0}/",
                rest.port()
            );
            Ok(Box::pin(async move { rest.serve().await.map_err(|error| broken(port, &error)) }))
        }
        Err(error) if chosen => Err(broken(port, &error)),
        Err(error) => {
            eprintln!("REST is not served: port {port}: {error}: choose one with --rest-port");
            Ok(nothing())
        }
    }
}

/// Serves REST with its dashboard beside a local run whose job manager listens at `job_manager`, until
/// the process ends, and says where. `port`: which one was chosen, if one was; else Flink's, or any if
/// that is taken.
///
/// # Errors
/// [`Exit::Environment`] if no port can be had.
pub(crate) async fn beside(
    host: &Arc<dyn Host>,
    port: Option<u16>,
    job_manager: &str,
) -> Result<(), Failure> {
    let config = |port| RestConfig {
        port,
        job_manager: job_manager.to_owned(),
        handshake: Handshake::default(),
        exposed: false,
        token: None,
        settings: vec![("rest.port".into(), port.to_string())],
    };
    let wanted = port.unwrap_or(PORT);
    let mut bound = Rest::bind(Arc::clone(host), config(wanted)).await;
    if bound.is_err() && port.is_none() {
        bound = Rest::bind(Arc::clone(host), config(0)).await;
    }
    let rest = bound.map_err(|error| {
        let words = format!(
            "the dashboard cannot be served on port {wanted}: {error}: choose another --ui"
        );
        Failure::new(Exit::Environment, words)
    })?;
    println!("the dashboard is at http://localhost:{}/", rest.port());
    let rest = rest.with_panels(Box::new(Databases(Arc::clone(host))));
    host.spawn("dashboard", Box::pin(async move { drop(rest.serve().await) }));
    Ok(())
}

fn nothing() -> Serving {
    Box::pin(std::future::pending())
}

fn broken(port: u16, error: &io::Error) -> Failure {
    let words =
        format!("REST cannot be served on port {port}: {error}: choose another --rest-port");
    Failure::new(Exit::Environment, words)
}

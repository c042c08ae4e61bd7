//! What is asked of the job manager, over the wire as any client asks it.
//! Never retries and never remembers an answer. What is made of the answers is in the rooms beside.
//! The other end is `slackwater_runtime::jobmanager`.

use hyper::StatusCode;
use serde_json::json;
use slackwater_control::view::JobDetail;
use slackwater_core::id::JobId;
use slackwater_runtime::client::{Client, ClientError};
use slackwater_runtime::wire::message::Overview;

use crate::api::{Api, Asked};
use crate::clock::Times;
use crate::jobs::state;
use crate::reply::{Called, Trouble, ok};

/// A job, and the clock of all that is told of it.
pub(crate) struct Job {
    pub times: Times,
    pub detail: JobDetail,
}

/// A connection to the job manager that leads.
pub(crate) async fn connect(api: &Api) -> Result<Client, ClientError> {
    Client::connect(&*api.host, &api.config.job_manager, api.config.handshake).await
}

/// Jobs and task managers.
pub(crate) async fn overview(api: &Api) -> Result<Overview, Trouble> {
    Ok(connect(api).await?.overview(&*api.host).await?)
}

/// The job that the path names.
pub(crate) async fn job(api: &Api, asked: &Asked<'_>) -> Result<Job, Trouble> {
    let id: JobId = asked.parameter("jobid")?;
    find(api, id).await?.ok_or_else(|| Trouble::not_found(&format!("Job {id}")))
}

/// A job, if it is known.
pub(crate) async fn find(api: &Api, id: JobId) -> Result<Option<Job>, Trouble> {
    let (clock, detail) = connect(api).await?.job(&*api.host, id).await?;
    Ok(detail.map(|detail| Job { times: Times(clock), detail }))
}

/// Its state alone.
pub(crate) async fn status(api: &Api, asked: &Asked<'_>) -> Called {
    let id: JobId = asked.parameter("jobid")?;
    match find(api, id).await? {
        Some(job) => ok(&json!({ "status": state(&job.detail.summary) })),
        // As Flink answers this one.
        None => {
            let class = "org.apache.flink.runtime.messages.FlinkJobNotFoundException";
            let why =
                format!("<Exception on server side:\n{class}: Could not find Flink job ({id})");
            let errors = vec!["Internal server error.".into(), why];
            Err(Trouble(StatusCode::INTERNAL_SERVER_ERROR, errors))
        }
    }
}

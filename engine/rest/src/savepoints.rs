//! What changes a job: cancel, savepoint, stop; and how far a savepoint is.
//! Never asks twice for one request: its trigger id names it, also when it is asked again.
//! What the job manager refuses is told when the request is looked after, as Flink does.

use std::collections::VecDeque;

use hyper::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use slackwater_core::fact::JobStatus;
use slackwater_core::id::{JobId, TriggerId};
use slackwater_core::savepoint::{Ending, SavepointStatus};
use slackwater_runtime::client::{ClientError, Wanted};
use slackwater_runtime::wire::message::Refused;

use crate::api::{Api, Asked};
use crate::ask::{connect, find};
use crate::jobs::state;
use crate::reply::{Called, Trouble, accepted, ok};
use crate::route::Call;
use crate::throwable;

/// How many refusals are kept for those that look after their requests.
const REFUSALS_KEPT: usize = 256;

/// Requests for savepoints that the job manager has refused: newest last.
#[derive(Default)]
pub(crate) struct Refusals(VecDeque<(TriggerId, JobId, String)>);

impl Refusals {
    fn keep(&mut self, trigger: TriggerId, job: JobId, why: String) {
        self.0.push_back((trigger, job, why));
        if self.0.len() > REFUSALS_KEPT {
            self.0.pop_front();
        }
    }

    fn find(&self, trigger: TriggerId, job: JobId) -> Option<String> {
        let is = |kept: &&(TriggerId, JobId, String)| (kept.0, kept.1) == (trigger, job);
        self.0.iter().rev().find(is).map(|(_, _, why)| why.clone())
    }
}

/// The body of `POST /jobs/:id/savepoints`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct SavepointTriggerRequestBody {
    target_directory: Option<String>,
    cancel_job: Option<bool>,
    #[serde(rename = "triggerId")]
    trigger_id: Option<String>,
}

/// The body of `POST /jobs/:id/stop`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StopWithSavepointRequestBody {
    target_directory: Option<String>,
    drain: Option<bool>,
    trigger_id: Option<String>,
}

/// `PATCH /jobs/:id?mode=cancel`, and the same as a `GET` for those that can say no other.
pub(crate) async fn cancel(api: &Api, call: Call, asked: &Asked<'_>) -> Called {
    let id: JobId = asked.parameter("jobid")?;
    if call == Call::Cancel
        && let Some(mode) = asked.query("mode").filter(|mode| mode != "cancel")
    {
        return Err(match mode.as_str() {
            "stop" => Trouble::refused(
                StatusCode::PERMANENT_REDIRECT,
                "The termination mode \"stop\" has been removed. For a graceful shutdown use \
                 POST /jobs/:jobid/stop.",
            ),
            _ => Trouble::parameter("query", "mode", &mode),
        });
    }
    let Some(job) = find(api, id).await? else {
        return Err(Trouble::refused(StatusCode::NOT_FOUND, "Job could not be found."));
    };
    let summary = &job.detail.summary;
    let over = || {
        let why = format!(
            "Job cancellation failed because the job has already reached another terminal state ({}).",
            state(summary)
        );
        Trouble::refused(StatusCode::CONFLICT, &why)
    };
    match summary.status {
        JobStatus::Canceled => accepted(&json!({})),
        JobStatus::Finished | JobStatus::Failed => Err(over()),
        _ => {
            connect(api).await?.cancel(&*api.host, &id.to_string()).await?;
            accepted(&json!({}))
        }
    }
}

/// `POST /jobs/:id/savepoints`.
pub(crate) async fn savepoint(api: &Api, asked: &Asked<'_>) -> Called {
    let body: SavepointTriggerRequestBody = read(asked.body, "SavepointTriggerRequestBody")?;
    // Flink would cancel the job once the savepoint is there, and write out what comes in between:
    // ours ends with the savepoint.
    let ending = body.cancel_job.unwrap_or_default().then_some(Ending::Stop);
    trigger(api, asked, (body.target_directory, ending, body.trigger_id)).await
}

/// `POST /jobs/:id/stop`.
pub(crate) async fn stop(api: &Api, asked: &Asked<'_>) -> Called {
    let body: StopWithSavepointRequestBody = read(asked.body, "StopWithSavepointRequestBody")?;
    let ending = if body.drain.unwrap_or_default() { Ending::Drain } else { Ending::Stop };
    trigger(api, asked, (body.target_directory, Some(ending), body.trigger_id)).await
}

/// `GET /jobs/:id/savepoints/:trigger`.
pub(crate) async fn status(api: &Api, asked: &Asked<'_>) -> Called {
    let id: JobId = asked.parameter("jobid")?;
    let trigger: TriggerId = asked.parameter("triggerid")?;
    let refused = api.refusals.borrow().find(trigger, id);
    if let Some(why) = refused {
        return ok(&failed(&why));
    }
    let unknown = || {
        let why = format!("There is no savepoint operation with triggerId={trigger} for job {id}.");
        Trouble::refused(StatusCode::NOT_FOUND, &why)
    };
    match connect(api).await?.savepoint_status(&*api.host, trigger).await {
        Ok((job, status)) if job == id => ok(&told(&status)),
        Ok(_) | Err(ClientError::Refused(Refused::UnknownTrigger(_))) => Err(unknown()),
        Err(error) => Err(error.into()),
    }
}

async fn trigger(
    api: &Api,
    asked: &Asked<'_>,
    (target, ending, named): (Option<String>, Option<Ending>, Option<String>),
) -> Called {
    let id: JobId = asked.parameter("jobid")?;
    let trigger = match named {
        Some(text) => text.parse().map_err(|_| Trouble::parameter("body", "triggerId", &text))?,
        None => api.draw_trigger(),
    };
    let target = target.filter(|target| !target.is_empty()).map(|target| whole(&target));
    let wanted = Wanted { trigger, target, ending };
    match connect(api).await?.savepoint(&*api.host, &id.to_string(), &wanted).await {
        Ok(_) => {}
        Err(ClientError::Refused(why)) => {
            let why = ClientError::Refused(why).to_string();
            api.refusals.borrow_mut().keep(trigger, id, why);
        }
        Err(error) => return Err(error.into()),
    }
    accepted(&json!({ "request-id": trigger.to_string() }))
}

/// A folder as stores name it: Flink also writes `file:/folder`.
pub(crate) fn whole(target: &str) -> String {
    match target.strip_prefix("file:/") {
        Some(path) if !path.starts_with("//") => {
            format!("file:///{}", path.trim_start_matches('/'))
        }
        _ => target.to_owned(),
    }
}

/// The body of a request, of the form that Flink calls `name`.
pub(crate) fn read<T: DeserializeOwned + Default>(body: &[u8], name: &str) -> Result<T, Trouble> {
    if body.is_empty() {
        return Ok(T::default());
    }
    let why = || format!("Request did not match expected format {name}.");
    serde_json::from_slice(body).map_err(|_| Trouble::refused(StatusCode::BAD_REQUEST, &why()))
}

fn told(status: &SavepointStatus) -> Value {
    match status {
        SavepointStatus::InProgress => {
            json!({ "status": { "id": "IN_PROGRESS" }, "operation": null })
        }
        SavepointStatus::Completed { path, .. } => {
            json!({ "status": { "id": "COMPLETED" }, "operation": { "location": path } })
        }
        SavepointStatus::Failed { cause } => failed(cause),
    }
}

/// What was asked for has failed.
pub(crate) fn failed(why: &str) -> Value {
    let class = "org.apache.flink.runtime.checkpoint.CheckpointException";
    let cause = throwable::told(class, why);
    json!({ "status": { "id": "COMPLETED" }, "operation": { "failure-cause": cause } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_may_be_written_as_flink_writes_it() {
        for (told, expected) in [
            ("file:/var/sp", "file:///var/sp"),
            ("file:///var/sp", "file:///var/sp"),
            ("/var/sp", "/var/sp"),
            ("jobmanager://savepoints", "jobmanager://savepoints"),
        ] {
            assert_eq!(whole(told), expected);
        }
    }
}

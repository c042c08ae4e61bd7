//! The table of calls: what each of them asks the job manager, and whose answer it is.
//! Decides nothing. The answers are made in [`crate::jobs`], [`crate::detail`] and their neighbours;
//! what a path means in [`crate::route`].

use crate::api::{Api, Asked};
use crate::ask;
use crate::reply::{Called, Trouble, ok};
use crate::route::Call;
use crate::{
    attempts, checkpoints, cluster, dashboard, detail, disposal, jobs, metrics, operators, panels,
    prometheus, savepoints, vertices,
};

/// Answers a call.
pub(crate) async fn call(api: &Api, call: Call, asked: &Asked<'_>) -> Called {
    match call {
        Call::Dashboard | Call::DashboardIndex => Ok(dashboard::page()),
        Call::DashboardPart => dashboard::part(asked),
        Call::Series => panels::series(api, asked).await,
        Call::Config => ok(&cluster::config()),
        Call::JobManagerConfig | Call::JobsJobManagerConfig => ok(&cluster::settings(&api.config)),
        Call::DataSets => ok(&serde_json::json!({ "dataSets": [] })),
        Call::JobsMetrics => metrics::jobs(api, asked).await,
        Call::Prometheus => prometheus::scrape(api, asked).await,
        Call::JobManagerMetrics => ok(&metrics::job_manager(&ask::overview(api).await?, asked)),
        Call::TaskManagersMetrics => {
            ok(&metrics::task_managers(&ask::overview(api).await?, asked)?)
        }
        Call::TaskManagerMetrics => ok(&metrics::task_manager(&ask::overview(api).await?, asked)?),
        Call::Overview => ok(&cluster::overview(&ask::overview(api).await?)),
        Call::TaskManagers => ok(&cluster::task_managers(&ask::overview(api).await?)),
        Call::TaskManager => {
            let name = asked.path.get("taskmanagerid").map_or("", String::as_str);
            let found = cluster::task_manager(&ask::overview(api).await?, name);
            ok(&found.ok_or_else(|| cluster::unknown(name))?)
        }
        Call::Jobs => ok(&jobs::ids(&ask::overview(api).await?)),
        Call::JobsOverview => ok(&jobs::overview(&ask::overview(api).await?)),
        Call::Applications => ok(&jobs::applications(&ask::overview(api).await?)),
        Call::Cancel | Call::YarnCancel => savepoints::cancel(api, call, asked).await,
        Call::Savepoint => savepoints::savepoint(api, asked).await,
        Call::Stop => savepoints::stop(api, asked).await,
        Call::SavepointStatus => savepoints::status(api, asked).await,
        Call::Disposal => disposal::begin(api, asked),
        Call::DisposalStatus => disposal::status(api, asked),
        Call::Status => ask::status(api, asked).await,
        _ => of_job(api, call, asked).await,
    }
}

/// What is told of one job.
async fn of_job(api: &Api, call: Call, asked: &Asked<'_>) -> Called {
    let job = &ask::job(api, asked).await?;
    let of_vertex = |tell: fn(&ask::Job, &slackwater_core::graph::Vertex) -> serde_json::Value| {
        vertices::find(job, asked).map(|vertex| tell(job, vertex))
    };
    let value = match call {
        Call::Plan => serde_json::json!({ "plan": detail::plan(&job.detail) }),
        Call::JobConfig => detail::config(&job.detail),
        Call::Exceptions => detail::exceptions(job, asked.query("maxExceptions").as_deref()),
        Call::ExecutionResult => detail::execution_result(job),
        Call::Attempts => attempts::all(job),
        Call::Operators => operators::all(job),
        Call::Accumulators => detail::accumulators(),
        Call::Checkpoints => checkpoints::all(job)?,
        Call::CheckpointsConfig => checkpoints::config(job)?,
        Call::Checkpoint => checkpoints::one(job, asked)?,
        Call::CheckpointPart => checkpoints::part(job, vertices::find(job, asked)?, asked)?,
        Call::Vertex => of_vertex(vertices::vertex)?,
        Call::JobMetrics => metrics::job(job, asked),
        Call::VertexMetrics => metrics::of_vertex(job, vertices::find(job, asked)?, asked),
        Call::Watermarks => of_vertex(metrics::watermarks)?,
        Call::Backpressure => of_vertex(metrics::backpressure)?,
        Call::SubtasksMetrics => metrics::of_all_subtasks(job, vertices::find(job, asked)?, asked)?,
        Call::SubtaskMetrics => metrics::of_subtask(job, vertices::find(job, asked)?, asked)?,
        Call::Subtask => vertices::one_subtask(job, vertices::find(job, asked)?, asked)?,
        Call::SubtaskTimes => of_vertex(vertices::subtask_times)?,
        Call::VertexTaskManagers => of_vertex(vertices::task_managers)?,
        Call::Job => detail::job(job),
        _ => return Err(Trouble::not_found("the call")),
    };
    ok(&value)
}

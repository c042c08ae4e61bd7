//! A cluster in one process: one job manager and one task manager on one host, over loopback.
//! The same job manager and task manager as in a real cluster; nothing is shortened.
//! What a person types to get one is in `slackwater-cli`; the simulated cluster is in `slackwater-sim`.

use std::sync::Arc;

use slackwater_core::fact::Fact;
use slackwater_dataflow::task::Programs;
use tokio::sync::oneshot;

use crate::host::{Host, TaskHandle};
use crate::jobmanager::{JobManager, JobManagerConfig, JobManagerError};
use crate::taskmanager::{self, TaskManagerConfig, TaskManagerError};

/// A running cluster.
#[derive(Debug)]
pub struct LocalCluster {
    /// Where its job manager listens, `name:port`.
    pub address: String,
    job_manager: TaskHandle,
    task_manager: TaskHandle,
    ended: oneshot::Receiver<TaskManagerError>,
}

impl LocalCluster {
    /// Starts a job manager and a task manager on `host`. Port 0 takes any free port; the address
    /// in `task_manager` is filled in.
    ///
    /// # Errors
    /// If the job manager's port is taken.
    pub async fn start(
        host: &Arc<dyn Host>,
        job_manager: JobManagerConfig,
        mut task_manager: TaskManagerConfig,
        programs: Arc<dyn Programs>,
    ) -> Result<Self, JobManagerError> {
        let bound = JobManager::bind(Arc::clone(host), job_manager, Arc::clone(&programs)).await?;
        let address = format!("{}:{}", host.name(), bound.port());
        task_manager.job_manager.clone_from(&address);
        let serve = async move {
            // The listener of a loopback port fails only with the process.
            let _ = bound.serve().await;
        };
        let job_manager = host.spawn("job manager", Box::pin(serve));
        let (tell, ended) = oneshot::channel();
        let running = taskmanager::run(Arc::clone(host), task_manager, programs);
        let teller = Arc::clone(host);
        let run = async move {
            if let Err(error) = running.await {
                let (task, message) = ("task manager".to_owned(), error.to_string());
                teller.tell(Fact::Panicked { task, message });
                // Nobody may be waiting for it.
                let _ = tell.send(error);
            }
        };
        let task_manager = host.spawn("task manager", Box::pin(run));
        Ok(Self { address, job_manager, task_manager, ended })
    }

    /// Waits until the task manager has ended by itself, which only an error makes it do.
    pub async fn ended(&mut self) -> TaskManagerError {
        let gone = |_| TaskManagerError::WorkerLost("the task manager was stopped".into());
        (&mut self.ended).await.unwrap_or_else(gone)
    }

    /// Ends the cluster at once. Cancel jobs first if they are to end well.
    pub fn stop(&self) {
        self.task_manager.abort();
        self.job_manager.abort();
    }
}

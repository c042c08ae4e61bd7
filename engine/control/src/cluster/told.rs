//! What a cluster says of itself to whoever asks: jobs, tasks, slots.
//! Changes nothing and decides nothing: every answer is a copy. The decisions are [`super`]'s; what
//! the copies look like is [`crate::view`].

use slackwater_core::id::{JobId, TaskManagerId};

use super::Cluster;
use crate::job::Job;
use crate::view::{JobDetail, JobSummary, TaskManagerView};

impl Cluster {
    /// Jobs, tasks and slots, as far as they are known.
    pub fn overview(&self) -> (Vec<JobSummary>, Vec<TaskManagerView>) {
        let held = |id: &TaskManagerId| {
            let tasks = |job: &Job| (job.plan().job, job.live_tasks(id));
            self.jobs.iter().map(tasks).filter(|(_, tasks)| *tasks > 0).collect::<Vec<_>>()
        };
        let view = |(id, slots, free): (&TaskManagerId, u32, u32)| TaskManagerView {
            name: id.0.clone(),
            slots,
            free,
            heard: None,
            workers: self.pool.addresses(id),
            holders: self.pool.holders(id),
            tasks: held(id),
        };
        (self.jobs.iter().map(Job::summary).collect(), self.pool.overview().map(view).collect())
    }

    /// All that is known of a job.
    pub fn job(&self, id: JobId) -> Option<JobDetail> {
        self.find(id).map(|index| self.jobs[index].detail())
    }
}

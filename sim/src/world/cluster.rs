//! The cast of a Slackwater cluster: job manager, task managers, databases, and a client.
//! Each runs what the engine runs on real machines; nothing is shortened or stubbed here.
//! Put on stage by [`Cluster::on`]; what happens to it is scripted in [`super::World::at`].

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use slackwater_connect::influxd;
use slackwater_connect::log;
pub use slackwater_connect::log::MemoryLog;
use slackwater_connect::series;
pub use slackwater_connect::series::MemoryStore;
use slackwater_connect::socket;
use slackwater_core::fact::Fact;
use slackwater_core::id::JobId;
use slackwater_core::program::Program;
use slackwater_dataflow::task::Programs;
use slackwater_runtime::client::{Client, ClientError};
use slackwater_runtime::host::Host;
use slackwater_runtime::jobmanager::{self, JobManagerConfig};
use slackwater_runtime::taskmanager::process::Launching;
use slackwater_runtime::taskmanager::{self, TaskManagerConfig};
use slackwater_runtime::wire::handshake::Handshake;

use super::delivered::Binaries;
use super::{Action, Main, World};

/// The node of the job manager; further ones are `jm-2` and so on.
pub const JOB_MANAGER: &str = "jm";
/// How many job managers a cluster has at most.
pub const JOB_MANAGERS_MAX: u32 = 3;
/// Where job managers keep what outlives them: the store that every node of a world reaches.
pub const STORE: &str = "file:///slackwater";
/// The node of the series database.
pub const DATABASE: &str = "db";
/// The node of the partitioned log.
pub const LOG: &str = "log";
/// The node of the control server: what one says to it, all who listen are told.
pub const CONTROL: &str = "control";
/// The node from which jobs are submitted and cancelled.
pub const CLIENT: &str = "client";

/// How long a person waits before trying a command again that reached nobody.
pub(crate) const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// A cluster: a job manager or several, some task managers, what their jobs read and write.
#[derive(Clone)]
pub struct Cluster {
    /// The catalogue of every process.
    pub programs: Arc<dyn Programs>,
    /// Of every job manager.
    pub job_manager: JobManagerConfig,
    /// How many job managers there are: `jm`, `jm-2` and so on.
    pub job_managers: u32,
    /// Of every task manager.
    pub task_manager: TaskManagerConfig,
    /// How many task managers there are: `tm-1` and so on.
    pub task_managers: u32,
    /// The disk of the series database.
    pub store: MemoryStore,
    /// The disk of the partitioned log, if there is one.
    pub log: Option<MemoryLog>,
    /// Whether there is a control server.
    pub control: bool,
    /// The disk of an InfluxDB, if the database is one: it is written to over HTTP then.
    pub influx: Option<influxd::Store>,
}

impl Cluster {
    /// One task manager with one slot, a series database and no log.
    pub fn new(programs: Arc<dyn Programs>) -> Self {
        let job_manager = addresses(1);
        let launching = Launching(Some(Arc::new(Binaries(Arc::clone(&programs)))));
        Self {
            programs,
            job_manager: JobManagerConfig::default(),
            job_managers: 1,
            task_manager: TaskManagerConfig { job_manager, launching, ..Default::default() },
            task_managers: 1,
            store: MemoryStore::default(),
            log: None,
            control: false,
            influx: None,
        }
    }

    /// This many task managers with this many slots each.
    #[must_use]
    pub fn task_managers(mut self, number: u32, slots: u32) -> Self {
        self.task_managers = number;
        self.task_manager.slots = slots;
        self
    }

    /// This many job managers over the world's store: one leads and the others stand by. Also one
    /// alone takes up its jobs again after a restart then.
    #[must_use]
    pub fn job_managers(mut self, number: u32) -> Self {
        assert!((1..=JOB_MANAGERS_MAX).contains(&number), "a cluster of {number} job managers");
        self.job_managers = number;
        self.job_manager.store = Some(STORE.to_owned());
        self.task_manager.job_manager = addresses(number);
        self
    }

    /// A partitioned log beside the database; what `log` holds already can be read from the start.
    #[must_use]
    pub fn log(mut self, log: MemoryLog) -> Self {
        self.log = Some(log);
        self
    }

    /// A database that speaks as InfluxDB does: `http://db:8086/NAME`.
    #[must_use]
    pub fn influx(self) -> Self {
        Self { influx: Some(influxd::Store::memory()), ..self }
    }

    /// A control server beside the database.
    #[must_use]
    pub fn control(self) -> Self {
        Self { control: true, ..self }
    }

    /// Puts the cluster into a world, each role on a node of its own.
    #[must_use]
    pub fn on(self, world: World) -> World {
        let Self { programs, job_manager, job_managers, task_manager, task_managers, .. } = self;
        let Self { store, log, control, influx, .. } = self;
        let world = (1..=job_managers).fold(world, |world, number| {
            let main = run_job_manager(job_manager.clone(), Arc::clone(&programs));
            world.node(job_manager_node(number), main)
        });
        let world = (1..=task_managers).fold(world, |world, number| {
            let main = run_task_manager(task_manager.clone(), Arc::clone(&programs));
            world.node(format!("tm-{number}"), main)
        });
        let world = world.node(
            DATABASE,
            match influx {
                Some(influx) => run_influx(influx),
                None => run_database(store),
            },
        );
        let world = match log {
            Some(log) => world.node(LOG, run_log(log)),
            None => world,
        };
        let world = if control { world.node(CONTROL, run_control()) } else { world };
        world.idle_node(CLIENT)
    }
}

/// The node of the n-th job manager, from 1.
pub fn job_manager_node(number: u32) -> String {
    match number {
        1 => JOB_MANAGER.to_owned(),
        number => format!("{JOB_MANAGER}-{number}"),
    }
}

/// The addresses of so many job managers, parted by commas.
pub(crate) fn addresses(job_managers: u32) -> String {
    let address = |number| format!("{}:{}", job_manager_node(number), jobmanager::PORT);
    (1..=job_managers).map(address).collect::<Vec<_>>().join(",")
}

/// A process that ends with an error says so as a panic does: nobody reads its standard error.
fn report<T>(host: &dyn Host, task: &str, ended: Result<T, impl Display>) {
    if let Err(error) = ended {
        host.tell(Fact::Panicked { task: task.to_owned(), message: error.to_string() });
    }
}

fn run_job_manager(config: JobManagerConfig, programs: Arc<dyn Programs>) -> Main {
    Arc::new(move |host| {
        let running = jobmanager::run(Arc::clone(&host), config.clone(), Arc::clone(&programs));
        Box::pin(async move { report(&*host, "job manager", running.await) })
    })
}

fn run_task_manager(config: TaskManagerConfig, programs: Arc<dyn Programs>) -> Main {
    Arc::new(move |host| {
        let running = taskmanager::run(Arc::clone(&host), config.clone(), Arc::clone(&programs));
        Box::pin(async move { report(&*host, "task manager", running.await) })
    })
}

fn run_database(store: MemoryStore) -> Main {
    Arc::new(move |host| {
        let running = series::serve(Arc::clone(&host), series::PORT, store.clone());
        Box::pin(async move { report(&*host, "series database", running.await) })
    })
}

fn run_influx(store: influxd::Store) -> Main {
    Arc::new(move |host| {
        let running = influxd::serve(Arc::clone(&host), influxd::PORT, store.clone());
        Box::pin(async move { report(&*host, "series database", running.await) })
    })
}

fn run_log(log: MemoryLog) -> Main {
    Arc::new(move |host| {
        let running = log::serve(Arc::clone(&host), log::PORT, log.clone());
        Box::pin(async move { report(&*host, "partitioned log", running.await) })
    })
}

fn run_control() -> Main {
    Arc::new(move |host| {
        let running = socket::server::serve(Arc::clone(&host), socket::server::PORT);
        Box::pin(async move { report(&*host, "control server", running.await) })
    })
}

/// Submits a program through the engine's client, trying again until somebody answers. `label`
/// names the job for [`cancel`]; a refusal is told as [`Fact::JobRefused`].
pub fn submit(label: &str, program: Program) -> Action {
    command(label, move |host, mut client, job| {
        let program = program.clone();
        Box::pin(async move { client.submit(&*host, job, program).await.map(|_| ()) })
    })
}

/// Cancels the job that was submitted under `label`.
pub fn cancel(label: &str) -> Action {
    command(label, |host, mut client, job| {
        Box::pin(async move { client.cancel(&*host, &job.to_string()).await.map(|_| ()) })
    })
}

type Done = futures::future::LocalBoxFuture<'static, Result<(), ClientError>>;

fn command(
    label: &str,
    verb: impl Fn(Arc<dyn Host>, Client, JobId) -> Done + Send + Sync + 'static,
) -> Action {
    let (label, verb) = (label.to_owned(), Arc::new(verb));
    let main: Main = Arc::new(move |host| {
        let (label, verb) = (label.clone(), Arc::clone(&verb));
        Box::pin(async move {
            // Drawn anew by each command of the label, and equal every time.
            let job = JobId(host.random(&format!("job-id/{label}")).next_u128());
            // Whoever of them is there and leads.
            let addresses = addresses(JOB_MANAGERS_MAX);
            loop {
                let tried = match Client::connect(&*host, &addresses, Handshake::default()).await {
                    Ok(client) => verb(Arc::clone(&host), client, job).await,
                    Err(error) => Err(error),
                };
                match tried {
                    Ok(()) => return,
                    Err(ClientError::Unreachable { .. }) => host.sleep(TRY_AGAIN_AFTER).await,
                    Err(error) => {
                        let cause = error.to_string();
                        return host.tell(Fact::JobRefused { job, cause });
                    }
                }
            }
        })
    });
    Action::Run { node: CLIENT.to_owned(), main }
}

#[cfg(test)]
mod tests {
    use slackwater_core::fact::Detail;
    use slackwater_core::time::ms;
    use slackwater_dataflow::stream::Catalog;

    use super::*;
    use crate::fault::Fault;
    use crate::world::{Delay, End, Stop};

    #[test]
    fn a_task_manager_that_is_stopped_in_its_greeting_registers_when_it_goes_on() {
        for at in (0..150).step_by(10) {
            let tm = || "tm-1".to_owned();
            let run = Cluster::new(Arc::new(Catalog::new()))
                .on(World::new(1).detail(Detail::Control).delay(Delay::fixed(ms(20))))
                .at(ms(at), Fault::Pause { node: tm() })
                .at(ms(9_000), Fault::Resume { node: tm() })
                .until_seen("task_manager.registered", if at < 100 { 1 } else { 2 })
                .run();
            assert_eq!(
                run.end,
                End::Stopped(Stop::Seen),
                "stopped at {at}: {}",
                run.journal.text()
            );
        }
    }
}

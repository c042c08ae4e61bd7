//! A whole cluster in this process: job manager, task manager, series database, log.
//! The same servers as anywhere, on loopback; only who is where is made up here. Ends with its jobs,
//! with Ctrl-C, or when the time is up, and always by cancelling first.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use slackwater_connect::log::{self, LogServer, MemoryLog};
use slackwater_connect::series::disk::DiskStore;
use slackwater_connect::series::{self, SeriesServer};
use slackwater_core::fact::{Detail, JobStatus};
use slackwater_core::id::JobId;
use slackwater_core::program::Program;
use slackwater_core::savepoint::StartFrom;
use slackwater_core::time::{EventTime, secs};
use slackwater_dataflow::task::Programs;
use slackwater_runtime::client::{Client, ClientError, new_job_id};
use slackwater_runtime::host::real::{self, RealHost};
use slackwater_runtime::host::{Host, within};
use slackwater_runtime::jobmanager::JobManagerConfig;
use slackwater_runtime::local::LocalCluster;
use slackwater_runtime::taskmanager::TaskManagerConfig;
use slackwater_runtime::wire::handshake::Handshake;
use slackwater_runtime::wire::message::{JobLine, Refused};
use tokio::sync::oneshot;

use crate::exit::{Exit, Failure};
use crate::node::stop_asked;
use crate::rest;
use crate::tally::{Checkpoints, Tally};
use crate::watch::{Headline, Watch};

/// How often the picture is drawn and the job asked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How many threads the slots are spread over at most.
const WORKERS_MAX: u32 = 8;
/// How long others may still ask for the savepoints that were taken.
const LAST_ANSWERS: Duration = Duration::from_millis(600);
/// How long a cancelled job may take to end.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Jobs and their surroundings.
pub struct LocalRun {
    /// What to run.
    pub jobs: Vec<Program>,
    /// The catalogue.
    pub programs: Arc<dyn Programs>,
    /// How many slots the jobs need together.
    pub slots: u32,
    /// The folder for the series database, if a job writes series.
    pub data: Option<PathBuf>,
    /// With what they start, if not with nothing.
    pub from: Option<StartFrom>,
    /// The folder for the checkpoints of jobs that do not name one.
    pub checkpoints: PathBuf,
    /// The folder for savepoints, unless whoever asks for one says where.
    pub savepoints: PathBuf,
    /// Stop after this time.
    pub span: Option<Duration>,
    /// The ports of job manager and series database; 0 for any.
    pub ports: (u16, u16),
    /// Whether the dashboard is served, and on which port if one was chosen.
    pub ui: Option<Option<u16>>,
}

/// Where nodes are, by `name:port`, as the hosts ask for them.
type Places = Arc<Mutex<BTreeMap<String, String>>>;

/// Runs the jobs until they end or are stopped, and says what they did.
///
/// # Errors
/// [`Exit::Environment`] if a port or a file is refused; [`Exit::BadInput`] and
/// [`Exit::JobFailed`] if a job failed.
pub fn run(run: LocalRun) -> Result<(), Failure> {
    let environment = |error: io::Error| Failure::new(Exit::Environment, error);
    let (tally, places) = (Tally::default(), Places::default());
    let (heard, asked) = (tally.clone(), Arc::clone(&places));
    let resolve = move |address: &str| {
        asked.lock().unwrap_or_else(PoisonError::into_inner).get(address).cloned()
    };
    let host = RealHost::named("local")
        .map_err(environment)?
        .telling(Detail::Flow, Arc::new(move |fact| heard.hear(fact)))
        .resolving(Arc::new(resolve));
    real::run(host, |host| drive(host, run, tally, places)).map_err(environment)?
}

async fn drive(
    host: Arc<dyn Host>,
    run: LocalRun,
    tally: Tally,
    places: Places,
) -> Result<(), Failure> {
    // Asked for first: a Ctrl-C while things start is not lost.
    let stopped = stop_asked()?;
    let store = match &run.data {
        Some(data) => Some(open_store(host.as_ref(), data)?),
        None => None,
    };
    if let Some(store) = &store {
        serve_series(&host, &places, run.ports.1, store.clone()).await?;
    }
    serve_log(&host, &places).await?;

    // What a task loses comes back from there; the jobs themselves end with this process.
    let storage = Some(run.checkpoints.display().to_string());
    // These outlive it: a path of this process is told to nobody else as it is.
    let savepoints = std::path::absolute(&run.savepoints);
    let savepoints = savepoints.map_err(|error| Failure::new(Exit::Usage, error))?;
    let savepoints = Some(format!("file://{}", savepoints.display()));
    let port = run.ports.0;
    let job_manager = JobManagerConfig { port, storage, savepoints, ..Default::default() };
    let workers = run.slots.clamp(1, WORKERS_MAX);
    let task_manager = TaskManagerConfig { slots: run.slots, workers, ..Default::default() };
    let cluster =
        LocalCluster::start(&host, job_manager, task_manager, Arc::clone(&run.programs)).await;
    let cluster = cluster.map_err(Failure::from)?;
    if let Some(port) = run.ui {
        rest::beside(&host, port, &cluster.address).await?;
    }
    let handshake = Handshake::default();
    let client = Client::connect(host.as_ref(), &cluster.address, handshake).await;
    let mut session = Session { client: client?, host: Arc::clone(&host), run, tally, store };
    let ended = session.follow(stopped).await;
    if !session.tally.counts().savepoints.is_empty() {
        // Whoever has ended a job with a savepoint elsewhere is about to ask how far it is.
        host.sleep(LAST_ANSWERS).await;
    }
    cluster.stop();
    session.report(&ended?)
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::OtherVersion(_) => Exit::OtherVersion,
            ClientError::Refused(Refused::BadStart(_)) => Exit::BadInput,
            ClientError::Refused(Refused::Incompatible(_)) => Exit::Incompatible,
            ClientError::Refused(_) => Exit::Usage,
            ClientError::Unreachable { .. } | ClientError::Forgotten(_) => Exit::Unreachable,
        };
        Self::new(exit, error)
    }
}

/// Opens the store in the folder, which is made if need be.
fn open_store(host: &dyn Host, data: &std::path::Path) -> Result<DiskStore, Failure> {
    let file = crate::series::file_in(data);
    let made = host.files().append(&file.display().to_string(), b"");
    made.map_err(|error| {
        Failure::new(
            Exit::Environment,
            format!("cannot write to --data {}: {error}", data.display()),
        )
    })?;
    DiskStore::create(&file).map_err(|error| Failure::new(Exit::Environment, error))
}

/// Serves the store from a thread of its own: a durable write waits for the disk.
async fn serve_series(
    host: &Arc<dyn Host>,
    places: &Places,
    port: u16,
    store: DiskStore,
) -> Result<(), Failure> {
    let (tell, bound) = oneshot::channel();
    let serve = move |host: Arc<dyn Host>| async move {
        match SeriesServer::bind(host, port).await {
            Ok(server) => {
                // Whoever asked waits for the answer.
                let _ = tell.send(Ok(server.port()));
                drop(server.run(store).await);
            }
            Err(error) => drop(tell.send(Err(error))),
        }
    };
    host.spawn_worker("series database", Box::new(move |host| Box::pin(serve(host))));
    let gone = |_| Err(io::Error::other("the series database could not start"));
    let port = bound.await.unwrap_or_else(gone);
    let port = port.map_err(|error| {
        let words = format!("the series database {error}: choose another --db-port");
        Failure::new(Exit::Environment, words)
    })?;
    place(places, series::ADDRESS, port);
    Ok(())
}

async fn serve_log(host: &Arc<dyn Host>, places: &Places) -> Result<(), Failure> {
    let server = LogServer::bind(Arc::clone(host), 0).await;
    let server = server.map_err(|error| Failure::new(Exit::Environment, error))?;
    place(places, log::ADDRESS, server.port());
    let serve = async move { drop(server.run(MemoryLog::default()).await) };
    host.spawn("log", Box::pin(serve));
    Ok(())
}

fn place(places: &Places, address: &str, port: u16) {
    let found = format!("{}:{port}", Ipv4Addr::LOCALHOST);
    places.lock().unwrap_or_else(PoisonError::into_inner).insert(address.to_owned(), found);
}

/// Jobs that run, and the person who looks at them.
struct Session {
    host: Arc<dyn Host>,
    client: Client,
    run: LocalRun,
    tally: Tally,
    store: Option<DiskStore>,
}

impl Session {
    /// Submits the jobs and looks at them until they have ended, or until that was asked for. A job
    /// that has failed ends the others.
    async fn follow(
        &mut self,
        mut stopped: Pin<Box<dyn Future<Output = ()>>>,
    ) -> Result<Vec<JobLine>, Failure> {
        let host = Arc::clone(&self.host);
        let started = host.elapsed();
        for (number, program) in self.run.jobs.clone().into_iter().enumerate() {
            // The host's stream begins anew at each call.
            let id = JobId(new_job_id(&host).0 ^ number as u128);
            let from = self.run.from.clone();
            self.client.submit_from(host.as_ref(), id, program, from).await?;
        }
        let tag = self.run.jobs.iter().find_map(|job| job.settings.get("tag"));
        let this_second = EventTime::from_millis(host.wall().as_millis()).minus(secs(1));
        let mut watch = Watch::new(tag.map_or("", String::as_str), this_second);
        loop {
            let stop = tokio::select! {
                biased;
                () = &mut stopped => true,
                () = host.sleep(LOOK_EVERY) => false,
            };
            let gone = host.elapsed().saturating_sub(started);
            let mut lines = self.client.jobs(host.as_ref()).await?;
            self.show(&mut watch, &lines, gone)?;
            let is_over = stop
                || self.run.span.is_some_and(|span| gone >= span)
                || lines.iter().any(|line| line.status == JobStatus::Failed);
            if is_over {
                lines = self.stop(lines).await?;
                self.show(&mut watch, &lines, host.elapsed().saturating_sub(started))?;
            }
            if lines.iter().all(|line| line.status.is_final()) {
                return Ok(lines);
            }
        }
    }

    /// Cancels what has not ended, and waits for it.
    async fn stop(&mut self, lines: Vec<JobLine>) -> Result<Vec<JobLine>, Failure> {
        let host = Arc::clone(&self.host);
        for line in lines.iter().filter(|line| !line.status.is_final()) {
            match self.client.cancel(host.as_ref(), &line.id.to_string()).await {
                // It has ended meanwhile.
                Ok(_) | Err(ClientError::Refused(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let client = &mut self.client;
        let ended = within(host.as_ref(), STOP_PATIENCE, async {
            let mut ended = Vec::new();
            for line in lines {
                ended.push(client.wait(host.as_ref(), line.id).await?);
            }
            Ok::<_, ClientError>(ended)
        });
        let late = || Failure::new(Exit::JobFailed, "the jobs do not stop");
        Ok(ended.await.ok_or_else(late)??)
    }

    fn show(&self, watch: &mut Watch, lines: &[JobLine], gone: Duration) -> Result<(), Failure> {
        let counts = self.tally.counts();
        let jobs: Vec<_> =
            lines.iter().map(|line| format!("{} {}", line.name, line.status)).collect();
        // How a job ended is said behind the picture.
        let in_trouble =
            lines.iter().find(|line| line.status != JobStatus::Running && !line.status.is_final());
        let headline = Headline {
            job: jobs.join(", "),
            ended: lines.iter().all(|line| line.status.is_final()),
            seconds: gone.as_secs(),
            read: counts.read.values().sum(),
            written: counts.written.values().sum(),
            late: counts.late,
            checkpoints: match counts.checkpoints {
                none if none == Checkpoints::default() => String::new(),
                some => some.to_string(),
            },
            restarts: counts.restarts,
            trouble: in_trouble.map_or(String::new(), |line| line.cause.clone()),
        };
        let store = self.store.as_ref().map(|store| store as &dyn series::SeriesStore);
        watch.show(&headline, store).map_err(|error| Failure::new(Exit::Environment, error))
    }

    /// Says how the jobs ended and where their data is.
    fn report(&self, ended: &[JobLine]) -> Result<(), Failure> {
        let counts = self.tally.counts();
        if let Some(failed) = ended.iter().find(|line| line.status == JobStatus::Failed) {
            return Err(self.failure(failed));
        }
        for line in ended {
            println!("{} {}", line.name, line.status);
        }
        println!("{counts}");
        if let Some(data) = self.run.data.as_ref().filter(|_| counts.points > 0) {
            let data = data.display();
            println!("the series are in {data}: slackwater series export --data {data}");
        }
        match counts.panics.first() {
            Some(panic) => Err(Failure::new(Exit::JobFailed, panic)),
            None => Ok(()),
        }
    }

    /// Messages about files name them, wherever they come from: so the kind of failure is told.
    fn failure(&self, line: &JobLine) -> Failure {
        let names = |setting: &str| {
            let mut paths = self.run.jobs.iter().filter_map(|job| job.settings.get(setting));
            paths.any(|path| line.cause.contains(path.as_str()))
        };
        let exit = match (names("input"), names("out")) {
            (true, _) => Exit::BadInput,
            (_, true) => Exit::Environment,
            _ => Exit::JobFailed,
        };
        Failure::new(exit, format!("{} failed: {}", line.name, line.cause))
    }
}

//! What a test says of a pipeline before it runs: cluster, seeds, faults, claims.
//! Plays nothing: all of it becomes a scenario document ([`super::document`]) and a catalogue, and
//! these are played as any scenario is, see [`super::play`].

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::program::Program;
use slackwater_core::time::{ms, secs};
use slackwater_dataflow::stream::{Catalog, Env, Settings};
use slackwater_dataflow::task::{PlanError, Programs};
use toml::{Table, Value};

use super::cast::{JobManagers, TaskManagers, jm, tm};
use super::claim::{self, Claim, When};
use super::document::{self, Until, table};
use super::during::During;
use super::faults::{Fault, Faults, Spans};
use super::observed::Observed;
use super::oracle::{self, Oracle};
use super::play::{self, Failure, Report, Shrink};
use super::script::{self, ScriptError, Sim};
use super::verdict::Verdict;

/// Every series that a job writes.
pub const ALL: [&str; 0] = [];

/// No settings: a job runs as it does by default.
pub const DEFAULTS: [(&str, &str); 0] = [];

/// A pipeline about to be checked; made by [`super::check`].
#[must_use = "nothing is checked until it runs: end with `.run()`"]
pub struct Checking {
    pub(super) name: String,
    catalog: Catalog,
    program: String,
    settings: BTreeMap<String, String>,
    seeds: Vec<u64>,
    until: Until,
    rest: Duration,
    cluster: Table,
    faults: Faults,
    sweep: Option<Table>,
    script: Option<String>,
    expect: Vec<Table>,
    without: Vec<String>,
    jobs_may_fail: bool,
}

impl Checking {
    pub(super) fn of<J, K, V>(job: J, args: impl IntoIterator<Item = (K, V)>) -> Self
    where
        J: Fn(&Env, &mut Settings) -> Result<(), PlanError> + Send + Sync + 'static,
        K: Into<String>,
        V: fmt::Display,
    {
        let program = program_of::<J>();
        let settings = args.into_iter().map(|(name, value)| (name.into(), value.to_string()));
        let checking = Self {
            name: play::name_of_test().unwrap_or_else(|| program.clone()),
            catalog: Catalog::new().job(&program, "v1", job),
            program,
            settings: settings.collect(),
            seeds: (0..10).collect(),
            until: Until::Finished(secs(300)),
            rest: secs(1),
            cluster: Table::new(),
            faults: Faults::none(),
            sweep: None,
            script: None,
            expect: Vec::new(),
            without: Vec::new(),
            jobs_may_fail: false,
        };
        checking.cluster(jm(1), tm(1)).net(ms(1)..ms(30))
    }

    /// Another name than the test's, by which reports speak of this check.
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// One more setting of the job.
    pub fn set(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.settings.insert(name.to_owned(), value.to_string());
        self
    }

    /// The nodes. Default: one job manager, and one task manager with one slot.
    pub fn cluster(mut self, job_managers: JobManagers, task_managers: TaskManagers) -> Self {
        self.cluster.extend(job_managers.keys());
        self.cluster.extend(task_managers.keys());
        self
    }

    /// How long segments take on every link. Default: 1 to 30 ms.
    pub fn net(self, delay: impl Into<Spans>) -> Self {
        self.with_cluster("net", table([("delay", delay.into().into())]))
    }

    /// Adds a partitioned log to the cluster, for jobs that read or write topics.
    pub fn log(self) -> Self {
        self.with_cluster("log", true)
    }

    /// A key of `[cluster]` for which there is no function here, such as `credits` or `clock`.
    pub fn with_cluster(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.cluster.insert(key.to_owned(), value.into());
        self
    }

    /// A world for each of these seeds. Default: ten.
    pub fn seeds(mut self, seeds: Range<u64>) -> Self {
        self.seeds = seeds.collect();
        self
    }

    /// Ends each run after this much virtual time: for jobs that never end.
    pub fn run_for(mut self, time: Duration) -> Self {
        self.until = Until::Time(time);
        self
    }

    /// Ends each run when every job has: the default, within 300 s of virtual time.
    pub fn until_finished(self) -> Self {
        self.until_finished_within(secs(300))
    }

    /// Ends each run when every job has. If one has not within this much virtual time, it is stuck,
    /// and that is a failure.
    pub fn until_finished_within(mut self, time: Duration) -> Self {
        self.until = Until::Finished(time);
        self
    }

    /// Lets each run go on for so long when its end has come: time to tidy up in. Default: a second.
    pub fn rest(mut self, span: Duration) -> Self {
        self.rest = span;
        self
    }

    /// A job may end as FAILED, for a script to see and to go on from; else that is a failure of the
    /// check.
    pub fn jobs_may_fail(mut self) -> Self {
        self.jobs_may_fail = true;
        self
    }

    /// What befalls every run. Default: nothing.
    pub fn faults(mut self, faults: impl Into<Faults>) -> Self {
        self.faults = faults.into();
        self
    }

    /// Plays the story once for every step of a window of it, and kills `victim` there.
    pub fn crash_sweep(mut self, victim: &str, during: During) -> Self {
        self.sweep = Some(during.table(victim));
        self
    }

    /// These series must be committed as the same seed commits them without faults: byte for byte.
    /// [`ALL`] of them, if none is named.
    pub fn same_output_as_without_faults<const N: usize>(self, series: [&str; N]) -> Self {
        let check = || Oracle::of("same_output_as_without_faults");
        match series.is_empty() {
            true => self.expect(check()),
            false => series.iter().fold(self, |c, name| c.expect(check().with("series", *name))),
        }
    }

    /// What must hold each time something has become visible.
    pub fn always<V: Into<Verdict>>(
        self,
        claim: &str,
        holds: impl Fn(&Observed<'_>) -> V + Send + Sync + 'static,
    ) -> Self {
        self.claim(claim, When::Always, holds)
    }

    /// What must hold when the run has ended.
    pub fn eventually<V: Into<Verdict>>(
        self,
        claim: &str,
        holds: impl Fn(&Observed<'_>) -> V + Send + Sync + 'static,
    ) -> Self {
        self.claim(claim, When::AtTheEnd, holds)
    }

    fn claim<V: Into<Verdict>>(
        self,
        claim: &str,
        when: When,
        holds: impl Fn(&Observed<'_>) -> V + Send + Sync + 'static,
    ) -> Self {
        let by = format!("{}: {claim}", self.name);
        let judge = Arc::new(move |observed: &Observed<'_>| holds(observed).into());
        claim::make(&by, Claim { when, judge });
        self.expect(Oracle::of("claim").with("by", by))
    }

    /// One more job that a script may submit.
    pub fn also<J>(mut self, job: J) -> Self
    where
        J: Fn(&Env, &mut Settings) -> Result<(), PlanError> + Send + Sync + 'static,
    {
        self.catalog = self.catalog.job(&program_of::<J>(), "v1", job);
        self
    }

    /// Another version of the job that is checked, such as `"v2"`: a script may start it from what the
    /// first has left ([`Sim::submit_from`], [`Sim::upgrade`]).
    ///
    /// # Panics
    /// If the job has this version already; the one that is checked is `"v1"`.
    pub fn version<J>(mut self, version: &str, job: J) -> Self
    where
        J: Fn(&Env, &mut Settings) -> Result<(), PlanError> + Send + Sync + 'static,
    {
        let program = Program { version: version.to_owned(), ..Program::named(&*self.program) };
        script::make_version::<J>(&self.name, program);
        self.catalog = self.catalog.job(&self.program, version, job);
        self
    }

    /// Plays a person on the client node: nothing is submitted but by the script, and the run has
    /// finished when the script and every job have.
    ///
    /// ```no_run
    /// # use slackwater_sim::{check, prelude::*};
    /// # fn clicks(_: &Env, _: &mut Settings) -> Result<(), PlanError> { Ok(()) }
    /// check(clicks, DEFAULTS)
    ///     .script(|sim| async move {
    ///         let job = sim.submit(clicks, [("clicks", 600)]).await?;
    ///         sim.sleep(secs(3)).await;
    ///         sim.cancel(job).await?;
    ///         match sim.wait(job).await?.status {
    ///             JobStatus::Canceled => Ok(()),
    ///             other => Err(format!("it is {other}").into()),
    ///         }
    ///     })
    ///     .run();
    /// ```
    pub fn script<F, Done>(mut self, script: F) -> Self
    where
        F: Fn(Sim) -> Done + Send + Sync + 'static,
        Done: Future<Output = Result<(), ScriptError>> + 'static,
    {
        script::make(&self.name, script);
        self.script = Some(self.name.clone());
        self.eventually("the script comes to its end", |o| o.count("script.ended") == 1)
    }

    /// What one of the oracles must find; by name, or with its keys as an [`Oracle`].
    pub fn expect(mut self, oracle: impl Into<Oracle>) -> Self {
        self.expect.push(oracle.into().table());
        self
    }

    /// Leaves out one of the oracles that are asked of every pipeline, see [`super::check`].
    pub fn without(mut self, oracle: &str) -> Self {
        self.without.push(oracle.to_owned());
        self
    }

    /// Plays it all, under every seed, on all cores.
    ///
    /// # Panics
    /// If anything is wrong: with what broke, under which seed, and how to see it again.
    #[track_caller]
    pub fn run(self) -> Report {
        match play::run(&self, Shrink::Yes) {
            Ok(report) => report,
            Err(failure) => panic!("{failure}"),
        }
    }

    /// As [`Checking::run`], for whoever goes on after a failure, such as proptest.
    ///
    /// # Errors
    /// What is wrong: what broke, under which seed, and how to see it again.
    pub fn try_run(self) -> Result<Report, Failure> {
        play::run(&self, Shrink::No)
    }

    /// The programs of its world.
    pub(super) fn programs(&self) -> Arc<dyn Programs> {
        Arc::new(self.catalog.clone())
    }

    /// Whether somebody has to say within which time faults come: they do not, and the end does not.
    pub(super) fn needs_horizon(&self) -> bool {
        matches!(self.until, Until::Finished(_)) && self.faults.list.iter().any(Fault::is_timeless)
    }

    /// The same pipeline, left in peace.
    pub(super) fn in_peace(&self) -> Table {
        let mut calm = self.document(Some(&self.seeds[..1]), Duration::ZERO);
        for part in ["fault", "sweep"] {
            calm.remove(part);
        }
        let only = Oracle::of("legal_states").table();
        calm.insert("expect".into(), Value::Array(vec![only.into()]));
        calm
    }

    /// The whole as a scenario document, for `seeds` if they are not its own; faults that name no
    /// time come within `horizon`, if it does not say itself how long it runs.
    pub(super) fn document(&self, seeds: Option<&[u64]>, horizon: Duration) -> Table {
        let story = format!("Made by the test {:?}.", self.name);
        let mut run = document::run(seeds.unwrap_or(&self.seeds), self.until, self.rest);
        if self.jobs_may_fail {
            run.insert("jobs_may_fail".to_owned(), true.into());
        }
        let mut all = table([
            ("format", 1.into()),
            ("title", self.name.as_str().into()),
            ("story", story.into()),
            ("run", run.into()),
        ]);
        match &self.script {
            Some(script) => all.insert("script".into(), script.as_str().into()),
            None => {
                let job = document::job(&self.program, &self.settings);
                all.insert("job".into(), job.into())
            }
        };
        let mut cluster = self.cluster.clone();
        if let Some(delay) = &self.faults.delay {
            cluster.insert("net".into(), table([("delay", delay.clone().into())]).into());
        }
        all.insert("cluster".into(), cluster.into());
        let horizon = match self.until {
            Until::Time(time) => time * 3 / 4,
            Until::Finished(_) => horizon,
        };
        let faults = self.faults.tables(horizon);
        if !faults.is_empty() {
            all.insert("fault".into(), faults.into());
        }
        if let Some(sweep) = &self.sweep {
            all.insert("sweep".into(), sweep.clone().into());
        }
        let program =
            Program { settings: self.settings.clone(), ..Program::named(self.program.clone()) };
        let plan = self.catalog.plan(&program).ok();
        let own = self.expect.iter().cloned();
        let ends = matches!(self.until, Until::Finished(_));
        let asked = self.expect.iter().filter_map(|asked| asked["check"].as_str());
        let without: Vec<String> =
            self.without.iter().cloned().chain(asked.map(str::to_owned)).collect();
        let usual = oracle::usual(plan.as_ref(), ends, &without);
        let expect: Vec<Value> = own.chain(usual).map(Value::from).collect();
        all.insert("expect".into(), expect.into());
        all
    }
}

impl fmt::Debug for Checking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checking({}: {} under {} seeds)", self.name, self.program, self.seeds.len())
    }
}

/// The last word of a function's path: what its program is called.
pub(super) fn program_of<J>() -> String {
    let path = std::any::type_name::<J>();
    let words = path.split("::").filter(|word| !word.contains("{{"));
    let word = words.last().unwrap_or("job");
    word.split('<').next().unwrap_or(word).to_owned()
}

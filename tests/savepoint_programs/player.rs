//! Plays a program on a simulated cluster, as a script of a person and as faults, and holds what was
//! written against the model.
//! Knows of the engine what any client knows. What it keeps in mind is the story: which job began
//! with what, and how far event time was in each savepoint.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slackwater_core::fact::Fact;
use slackwater_core::id::{Attempt, CheckpointId, JobId};
use slackwater_core::time::EventTime;
use slackwater_jobs::ledger::{ledger, ledger_v2};
use slackwater_sim::{check, prelude::*};

use crate::model::{self, Place, Tally, cut, is_behind, rows};
use crate::program::{Act, Ambush, Crash, Deed, From, How, Program, Start};

/// Something that a job can start from.
#[derive(Clone, Debug)]
struct Kept {
    savepoint: Savepoint,
    /// Whose it is, by its place among the lives.
    of: usize,
    cut: EventTime,
    /// Its number, and the attempt that took it: what later ones of its job do is not behind it.
    taken: (CheckpointId, Attempt),
    /// Whether the first version cannot read it.
    is_of_v2: bool,
    /// Whether its job was stopped with it.
    stopped: bool,
}

/// A job from its start to its end.
#[derive(Clone, Debug)]
struct Life {
    job: JobId,
    from: Option<usize>,
    /// How much there was to start from.
    there: usize,
    start: Start,
}

/// What a person remembers.
#[derive(Default)]
struct Story {
    lives: Vec<Life>,
    kept: Vec<Kept>,
}

/// What programs came to: one that does nothing holds whatever is promised.
#[derive(Copy, Clone, Debug, Default)]
pub struct Met {
    /// Starts from a savepoint that was taken of a job which then went on.
    from_plain: u32,
    /// Starts from a savepoint with which its job was stopped.
    from_stop: u32,
    /// Starts from what was not the newest.
    from_older: u32,
    /// Starts at another parallelism than the job that left the state.
    rescales: u32,
    /// Starts of the second version with state of the first.
    upgrades: u32,
}

impl AddAssign for Met {
    fn add_assign(&mut self, other: Self) {
        self.from_plain += other.from_plain;
        self.from_stop += other.from_stop;
        self.from_older += other.from_older;
        self.rescales += other.rescales;
        self.upgrades += other.upgrades;
    }
}

impl Met {
    /// Whether so many programs have come to enough of everything.
    pub fn is_enough_of(&self, programs: u32) -> bool {
        let Self { from_plain, from_stop, from_older, rescales, upgrades } = *self;
        let least = [from_plain, from_stop, from_older, rescales, upgrades].into_iter().min();
        least >= Some(programs / 12)
    }
}

impl Story {
    fn met(&self) -> Met {
        let mut met = Met::default();
        for life in &self.lives {
            let Some(index) = life.from else { continue };
            let from = &self.kept[index];
            let before = &self.lives[from.of].start;
            met += Met {
                from_plain: u32::from(!from.stopped),
                from_stop: u32::from(from.stopped),
                from_older: u32::from(index + 1 < life.there),
                rescales: u32::from(before.parallelism != life.start.parallelism),
                upgrades: u32::from(life.start.next_version && !from.is_of_v2),
            };
        }
        met
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Life { job, from, start, .. }) in self.lives.iter().enumerate() {
            let from = from.map_or("nothing".to_owned(), |kept| format!("K{kept}"));
            writeln!(f, "J{number} {job} from {from} p{}", start.parallelism)?;
        }
        for (number, kept) in self.kept.iter().enumerate() {
            let Kept { savepoint, of, cut, taken: (checkpoint, attempt), is_of_v2, stopped } = kept;
            let stopped = if *stopped { ", which stopped" } else { "" };
            let version = if *is_of_v2 { "v2" } else { "v1" };
            write!(
                f,
                "K{number} of J{of}{stopped} {version}, checkpoint {checkpoint} of attempt "
            )?;
            writeln!(f, "{attempt}, cut {cut}: {savepoint}")?;
        }
        Ok(())
    }
}

type Shared = Arc<Mutex<Story>>;

fn locked(story: &Shared) -> MutexGuard<'_, Story> {
    story.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plays a program, and says what it came to. `called`: by whoever plays no two at once.
///
/// # Errors
/// What broke, and how to play it again.
pub fn play(called: &str, program: &Program) -> Result<Met, String> {
    let story = Shared::default();
    let (told, typed, seen) = (Arc::clone(&story), program.clone(), Arc::clone(&story));
    let script = move |sim: Sim| {
        let (story, program) = (Arc::clone(&told), typed.clone());
        async move {
            // Whoever plays it again begins anew.
            *locked(&story) = Story::default();
            Person { sim, story, program }.acts().await
        }
    };
    let is_two_phase = program.two_phase;
    // Nobody settles what a job has prepared that failed for good: another may start with it.
    let left_out = (program.two_phase && program.may_fail()).then_some("census");
    let checking = check(ledger, DEFAULTS)
        .named(called)
        .version("v2", ledger_v2)
        .cluster(jm(1), tm(3).slots(4))
        .seeds(program.seed..program.seed + 1)
        .until_finished_within(secs(300))
        .jobs_may_fail()
        .faults(faults(program))
        .script(script)
        .eventually("the output is that of an undisturbed run", move |o| {
            let story = locked(&seen);
            judge(o, &story, is_two_phase).map_err(|why| format!("{why}\n{story}"))
        });
    let played = left_out.into_iter().fold(checking, Checking::without).try_run();
    let replay = "cargo test --test savepoint_programs what_broke_the_promise_once";
    played.map(|_| locked(&story).met()).map_err(|failure| {
        format!("{program}\n{failure}\nREPLAY   SLACKWATER_PROGRAM='{program}' {replay}\n")
    })
}

/// What befalls the cluster: crashes at their nominal times, as if a person took no time.
fn faults(program: &Program) -> Faults {
    let crash = |Crash { how, node, down }: &Crash| {
        let fault = match how {
            How::Crash => Fault::crash(*node),
            How::Dark => Fault::power_loss(*node),
            How::Pause => Fault::pause(*node),
        };
        fault.lasts((*down).max(ms(10))).may_miss()
    };
    let mut now = ms(0);
    let mut all = Vec::new();
    for Act { after, deed } in &program.acts {
        now += *after;
        if let Deed::Crash(what) = deed {
            all.push(crash(what).at(now));
        }
    }
    let ambush =
        |Ambush { crash: what, nth, probe }: &Ambush| crash(what).on_event(probe).nth(*nth);
    all.extend(program.ambushes.iter().map(ambush));
    Faults::from(all)
}

struct Person {
    sim: Sim,
    story: Shared,
    program: Program,
}

impl Person {
    async fn acts(&self) -> Result<(), ScriptError> {
        let first =
            Start { from: From::Nothing, parallelism: 2, next_version: false, fragile: false };
        let mut running = Some(self.start(first).await?);
        for Act { after, deed } in self.program.acts.clone() {
            self.sim.sleep(after).await;
            running = match (deed, running) {
                (Deed::Crash(_), running) => running,
                (Deed::Start(start), running) => {
                    if let Some(job) = running {
                        self.cancel(job).await?;
                    }
                    Some(self.start(start).await?)
                }
                (_, None) => None,
                (Deed::Cancel, Some(job)) => {
                    self.cancel(job).await?;
                    None
                }
                (Deed::Savepoint, Some(job)) => {
                    self.savepoint(job, false).await?;
                    Some(job)
                }
                (Deed::Stop, Some(job)) => (!self.savepoint(job, true).await?).then_some(job),
            };
        }
        self.ends(running).await
    }

    /// Lets the job come to its end, and starts it again until it does.
    async fn ends(&self, mut running: Option<JobId>) -> Result<(), ScriptError> {
        loop {
            let last =
                Start { from: From::Newest, parallelism: 2, next_version: false, fragile: false };
            let job = match running.take() {
                Some(job) => job,
                None => self.start(last).await?,
            };
            if self.sim.wait(job).await?.status == JobStatus::Finished {
                return Ok(());
            }
            self.failed(job).await?;
        }
    }

    /// A job has failed for good: what it has kept can be started from.
    async fn failed(&self, job: JobId) -> Result<(), ScriptError> {
        let line = self.sim.wait(job).await?;
        let of = locked(&self.story).lives.len() - 1;
        let life = locked(&self.story).lives[of].clone();
        if line.status == JobStatus::Canceled {
            return Ok(());
        }
        if !life.start.fragile || !self.program.may_fail() {
            return Err(format!("job {job} is {}: {}", line.status, line.cause).into());
        }
        for kept in self.sim.kept_checkpoints(job).await? {
            self.keep(kept, (of, false)).await?;
        }
        Ok(())
    }

    async fn cancel(&self, job: JobId) -> Result<(), ScriptError> {
        let canceled = self.sim.cancel(job).await;
        let status = self.sim.wait(job).await?.status;
        match (canceled, status) {
            (_, JobStatus::Failed) => self.failed(job).await,
            (Ok(()), JobStatus::Canceled | JobStatus::Finished) => Ok(()),
            // It had come to its end before.
            (Err(_), JobStatus::Finished) => Ok(()),
            (canceled, status) => Err(format!("{canceled:?}, and job {job} is {status}").into()),
        }
    }

    /// Takes a savepoint, and perhaps stops the job with it; whether there is one now.
    async fn savepoint(&self, job: JobId, stops: bool) -> Result<bool, ScriptError> {
        if !self.program.is_disturbed() {
            // If it has ended meanwhile, the savepoint says so.
            drop(self.sim.wait_until_running(job).await);
        }
        let taken = match stops {
            true => self.sim.stop(job).await,
            false => self.sim.savepoint(job).await,
        };
        match taken {
            Ok(savepoint) => {
                let of = locked(&self.story).lives.len() - 1;
                self.keep(savepoint, (of, stops)).await?;
                if stops {
                    match self.sim.wait(job).await?.status {
                        JobStatus::Finished => {}
                        // Its tasks died before they had committed what the savepoint holds.
                        JobStatus::Failed => self.failed(job).await?,
                        status => {
                            return Err(format!("job {job} was stopped, and is {status}").into());
                        }
                    }
                }
                Ok(true)
            }
            Err(why) => {
                let lines = self.sim.list().await?;
                let is_over = lines.iter().any(|line| line.id == job && line.status.is_final());
                match is_over || self.program.is_disturbed() || why.to_string().contains("end") {
                    true => Ok(false),
                    false => Err(why),
                }
            }
        }
    }

    async fn keep(
        &self,
        savepoint: Savepoint,
        (of, stopped): (usize, bool),
    ) -> Result<(), ScriptError> {
        let metadata = self.sim.look_into(&savepoint).await?;
        let cut = cut(&metadata).map_err(|why| format!("{savepoint}: {why}"))?;
        let is_of_v2 = metadata.program.version == "v2";
        let taken = (metadata.checkpoint, metadata.attempt);
        locked(&self.story).kept.push(Kept { savepoint, of, cut, taken, is_of_v2, stopped });
        Ok(())
    }

    async fn start(&self, start: Start) -> Result<JobId, ScriptError> {
        let kept = locked(&self.story).kept.clone();
        let from = match start.from {
            From::Nothing => None,
            From::Newest => kept.len().checked_sub(1),
            From::Which(which) => which.checked_rem(kept.len()),
        };
        let chosen = from.map(|index| &kept[index]);
        let v2 = start.next_version || chosen.is_some_and(|kept| kept.is_of_v2);
        let settings = self.settings(&start);
        let job = match (chosen, v2) {
            (None, false) => self.sim.submit(ledger, settings).await?,
            (None, true) => self.sim.submit(ledger_v2, settings).await?,
            (Some(kept), false) => self.sim.submit_from(&kept.savepoint, ledger, settings).await?,
            (Some(kept), true) => {
                self.sim.submit_from(&kept.savepoint, ledger_v2, settings).await?
            }
        };
        locked(&self.story).lives.push(Life { job, from, there: kept.len(), start });
        Ok(job)
    }

    fn settings(&self, start: &Start) -> Vec<(&'static str, String)> {
        let sink = if self.program.two_phase { "two_phase" } else { "idempotent" };
        let restarts = if start.fragile { 0 } else { 1_000 };
        vec![
            ("partitions", model::PARTITIONS.to_string()),
            ("rows", model::ROWS.to_string()),
            ("accounts", model::ACCOUNTS.to_string()),
            ("step", format!("{}ms", model::STEP_MS)),
            ("disorder", format!("{}ms", model::DISORDER_MS)),
            ("every", "20ms".to_owned()),
            ("parallelism", start.parallelism.to_string()),
            ("sink", sink.to_owned()),
            ("checkpoint", "700ms".to_owned()),
            ("storage", "file:///checkpoints".to_owned()),
            ("retained", "2".to_owned()),
            ("restarts", restarts.to_string()),
            ("restart_delay", "200ms".to_owned()),
        ]
    }
}

fn judge(o: &Observed<'_>, story: &Story, is_two_phase: bool) -> Result<(), String> {
    let model = rows();
    let table = o.table("ledger");
    for row in table.rows() {
        is_right(row, &model)?;
    }
    if let Some(missing) = missing(&model, table.rows()) {
        let (rows, there) = (model.len(), table.len());
        return Err(format!("{} of {rows} rows are missing, such as {missing:?}", rows - there));
    }
    if let Some(late) = o.table("ledger-late").rows().first() {
        return Err(format!("late, though none is: {}", late.point()));
    }
    for row in o.ledger("ledger").rows() {
        is_right(row, &model).map_err(|why| format!("for a while: {why}"))?;
    }
    for row in o.table("ledger-gross").rows() {
        let (gross, most) = (row.integer("gross"), model.get(&place(row)).map(|(_, most)| *most));
        if gross.is_none() || gross > most {
            return Err(format!("{} of a gross of {most:?}", row.point()));
        }
    }
    if is_two_phase { once(o, story, &model) } else { Ok(()) }
}

fn place(row: &Row<'_>) -> Place {
    (row.key().to_owned(), row.time().as_millis())
}

fn is_right(row: &Row<'_>, model: &BTreeMap<Place, (Tally, i64)>) -> Result<(), String> {
    let fields = ["count", "sum", "xor"].map(|field| row.integer(field).unwrap_or(i64::MIN));
    match model.get(&place(row)) {
        Some(((count, sum, xor), _)) if fields == [*count, *sum, *xor] => Ok(()),
        expected => Err(format!("{} where {expected:?} belongs", row.point())),
    }
}

fn missing(model: &BTreeMap<Place, (Tally, i64)>, rows: &[Row<'_>]) -> Option<Place> {
    let there: BTreeSet<Place> = rows.iter().map(place).collect();
    model.keys().find(|place| !there.contains(*place)).cloned()
}

/// Of two-phase sinks. While a job runs it makes a row visible at most once, none that was written
/// before its start, none behind what it was stopped with. What is committed of it later is held by
/// a savepoint that another job began with. And along the line of the job that came to its end, each
/// row was written once: by the job that was at work when it was due, before that was left.
fn once(
    o: &Observed<'_>,
    story: &Story,
    model: &BTreeMap<Place, (Tally, i64)>,
) -> Result<(), String> {
    let written = written(o)?;
    for (life, Life { job, .. }) in story.lives.iter().enumerate() {
        let own = written.get(job).into_iter().flatten();
        let stop = story.kept.iter().find(|kept| kept.of == life && kept.stopped);
        let begun_with = |kept: &&Kept| {
            kept.of == life && story.lives.iter().any(|l| l.from.is_some_and(|k| story.is(k, kept)))
        };
        let mut seen = BTreeSet::new();
        for Written { place, by, alive } in own {
            if *alive && !seen.insert(place) {
                return Err(format!("job {job} made {place:?} visible twice"));
            }
            if is_behind(place, story.began(life)) {
                return Err(format!(
                    "job {job} wrote {place:?}, which was written before its start"
                ));
            }
            if *alive && stop.is_some_and(|stop| !is_behind(place, stop.cut)) {
                return Err(format!("job {job} wrote {place:?} behind what it was stopped with"));
            }
            if !alive && !story.kept.iter().filter(begun_with).any(|kept| *by <= kept.taken) {
                return Err(format!("{place:?} of job {job} was committed, and nobody holds it"));
            }
        }
    }
    let (mut life, mut until, mut by_then) = (story.lives.len() - 1, EventTime::MAX, None);
    loop {
        let (job, since) = (story.lives[life].job, story.began(life));
        let due = |place: &&Place| is_behind(place, until) && !is_behind(place, since);
        let on_line = |w: &&Written| {
            by_then.is_none_or(|(number, attempt)| w.by.0 <= number && w.by.1 <= attempt)
        };
        let mut times = BTreeMap::<&Place, u32>::new();
        for write in written.get(&job).into_iter().flatten().filter(on_line) {
            *times.entry(&write.place).or_default() += 1;
        }
        for place in model.keys().filter(due) {
            match times.get(place) {
                Some(1) => {}
                None => return Err(format!("job {job} was to write {place:?}, and did not")),
                Some(times) => return Err(format!("job {job} wrote {place:?} {times} times")),
            }
        }
        let Some(from) = story.lives[life].from else { return Ok(()) };
        (life, until, by_then) = (story.kept[from].of, since, Some(story.kept[from].taken));
    }
}

impl Story {
    /// How far event time was when a job began.
    fn began(&self, life: usize) -> EventTime {
        self.lives[life].from.map_or(EventTime::MIN, |kept| self.kept[kept].cut)
    }

    /// Whether this is what the index means.
    fn is(&self, index: usize, kept: &Kept) -> bool {
        self.kept[index].savepoint == kept.savepoint
    }
}

/// A row that a job made visible, whoever committed it.
struct Written {
    place: Place,
    /// The checkpoint that it was prepared for, and the attempt that wrote it.
    by: (CheckpointId, Attempt),
    /// Whether its job had not ended.
    alive: bool,
}

fn written(o: &Observed<'_>) -> Result<BTreeMap<JobId, Vec<Written>>, String> {
    let (mut written, mut ended) = (BTreeMap::<JobId, Vec<_>>::new(), BTreeSet::new());
    let mut prepared = BTreeMap::new();
    for entry in o.entries() {
        match &entry.fact {
            Fact::TransactionPrepared { id, checkpoint, .. } => {
                prepared.insert(id.as_str(), *checkpoint);
            }
            Fact::JobStatusChanged { job, to, .. } if to.is_final() => {
                ended.insert(*job);
            }
            Fact::PointWritten { point, transaction, .. } if point.series == "ledger" => {
                let strange = || format!("{point} is in transaction {transaction:?}");
                let checkpoint = prepared.get(transaction.as_str()).ok_or_else(strange)?;
                let (job, attempt) = named(transaction).ok_or_else(strange)?;
                let place = (point.key.clone(), point.time.as_millis());
                let (by, alive) = ((*checkpoint, attempt), !ended.contains(&job));
                written.entry(job).or_default().push(Written { place, by, alive });
            }
            _ => {}
        }
    }
    Ok(written)
}

/// The job and the attempt of a transaction: `job/uid/subtask/e1a2/number`.
fn named(transaction: &str) -> Option<(JobId, Attempt)> {
    let parts: Vec<&str> = transaction.split('/').collect();
    let attempt = parts.get(3)?.split_once('a')?.1.parse().ok()?;
    Some((parts[0].parse().ok()?, Attempt(attempt)))
}

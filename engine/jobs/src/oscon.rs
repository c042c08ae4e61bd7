//! The walkthrough's job: three sensors made from one sawtooth, stored, and summed by the second.
//! Also its two halves around a log, as two jobs: what makes the sensors and what sums them.
//! The sums of `pressure` are zero only if nothing was lost, doubled or filed under another second.

use std::f64::consts::TAU;
use std::str::FromStr;

use slackwater::prelude::*;

use crate::amplifier::amplify;
use crate::survival::{self, Contract, DEMO_RESTARTS};

/// What a sensor said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Which sensor.
    pub key: String,
    /// When.
    pub at: EventTime,
    /// What.
    pub value: f64,
}

impl Reading {
    fn of(key: &str, at: EventTime, value: f64) -> Self {
        Self { key: key.to_owned(), at, value }
    }

    pub(crate) fn point(&self, series: &str) -> Point {
        Point::new(series, &self.key, self.at, [("value", self.value.into())])
    }
}

/// The topic between the two halves.
const TOPIC: &str = "sensors";
/// How far the log variant's watermark stays behind the greatest timestamp (walkthrough T4).
const LOG_BOUND: std::time::Duration = secs(1);

/// The demo in one job. Settings: `wave` (steps of the sawtooth), `bad_phase` (what becomes of a
/// restored step that this wave does not have: `refuse` or `wrap`), `time` (`event` or
/// `processing`), `every`, `jitter`, `slowdown`, `until`, `parallelism` of the sums, `chaining`,
/// `tag`, `db`; `control` (the address of a server of lines such as `pressure 2`: amplifies); `sink` (`idempotent`, `two_phase` or `naive`); `checkpoint` (a span or `off`, the
/// default), `storage`, `restarts`, `restart_delay`, `latency`.
///
/// # Errors
/// If a setting cannot be read.
pub fn oscon(env: &Env, settings: &mut Settings) -> Result<(), PlanError> {
    let slowdown = settings.take("slowdown", 1)?;
    let sensors = sensors(env, settings, slowdown)?;
    store_and_sum(env, settings, &sensors)
}

/// The next version of [`oscon`]: the sawtooth also counts its turns, which a fourth sensor tells. It
/// takes up what the first version has left: a bare step, and no turns. Settings: as [`oscon`].
///
/// # Errors
/// If a setting cannot be read.
pub fn oscon_v2(env: &Env, settings: &mut Settings) -> Result<(), PlanError> {
    let slowdown = settings.take("slowdown", 1)?;
    let (wave, bad_phase) = (wave(settings)?, settings.take("bad_phase", BadPhase::Refuse)?);
    let sawtooth = test_data(env, settings, slowdown)?
        .scan("sawtooth", Sawtooth::default(), move |saw: &mut Sawtooth, at| {
            let (phase, turns) = (f64::from(saw.step) / f64::from(wave), saw.turns);
            saw.step = (saw.step + 1) % wave;
            saw.turns += u64::from(saw.step == 0);
            (at, phase, turns)
        })
        .migrate(|step: u32| Sawtooth { step, turns: 0 })
        .restored(move |saw: Sawtooth| {
            Ok(Sawtooth { step: bad_phase.settle(saw.step, wave)?, ..saw })
        })
        .named("sawTooth");
    let turns = sawtooth.map(|(at, _, turns)| Reading::of("turns", at, turns as f64));
    let phases = sawtooth.map(|(at, phase, _)| (at, phase));
    let sensors = union([&of_phases(&phases), &turns.named("assignKey(turns)")]);
    store_and_sum(env, settings, &sensors)
}

/// What the sawtooth of the second version remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sawtooth {
    /// Within the turn.
    step: u32,
    /// How often it has come round.
    turns: u64,
}

/// The setting `bad_phase`: what becomes of a restored step that the wave does not have, such as
/// step 57 of a hundred when there are ten (walkthrough T10).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum BadPhase {
    /// The job fails and says so.
    Refuse,
    /// The step is taken modulo the wave: the wave has a jump.
    Wrap,
}

impl FromStr for BadPhase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "refuse" => Ok(Self::Refuse),
            "wrap" => Ok(Self::Wrap),
            other => Err(format!("expected \"refuse\" or \"wrap\", found {other:?}")),
        }
    }
}

impl BadPhase {
    fn settle(self, step: u32, wave: u32) -> Result<u32, String> {
        match self {
            _ if step < wave => Ok(step),
            Self::Wrap => Ok(step % wave),
            Self::Refuse => Err(format!(
                "step {step} was saved, and a wave of {wave} has none: start it with a longer wave, or \
                 with bad_phase=wrap"
            )),
        }
    }
}

/// The first half of the log variant: the sensors, written to a topic. Settings: as [`oscon`], and
/// `partitions`, `out_of_order` (how much later than its turn a record may appear), `log`; its sink
/// writes at least once.
///
/// # Errors
/// If a setting cannot be read.
pub fn sensor_simulator(env: &Env, settings: &mut Settings) -> Result<(), PlanError> {
    let slowdown: u32 = settings.take("slowdown", 1)?;
    // In event time, as the watermark's bound is: slowed down, it takes longer on the clock.
    let disorder = settings.take_span("out_of_order", ms(0))? * slowdown.max(1);
    let (partitions, at) = topic(settings)?;
    survive_and_chain(env, settings)?;
    let by_sensor = |reading: &Reading| reading.key.bytes().map(u64::from).sum();
    sensors(env, settings, slowdown)?
        .sink("log-sink", log::sink(TOPIC, partitions, by_sensor).at(at).disorder(disorder));
    Ok(())
}

/// The second half: reads the topic, with a watermark of timestamp − 1000 ms after every record.
/// Settings: as [`oscon`] without the waves, and `partitions`, `readers`, `idle_after`, `log`.
///
/// # Errors
/// If a setting cannot be read.
pub fn oscon_log(env: &Env, settings: &mut Settings) -> Result<(), PlanError> {
    let (partitions, at) = topic(settings)?;
    let readers = settings.take("readers", 1)?;
    let idle_after = settings.take_span("idle_after", ms(0))?;
    let mut watermarks = Watermarks::punctuated(|_: &Reading, at| Some(at.minus(LOG_BOUND)));
    if !idle_after.is_zero() {
        watermarks = watermarks.idle_after(idle_after);
    }
    let source = log::source(TOPIC, partitions, |reading: &Reading| reading.at).at(at);
    let sensors = env.source("log-source", source, watermarks).parallelism(readers);
    store_and_sum(env, settings, &sensors)
}

fn topic(settings: &mut Settings) -> Result<(u32, String), PlanError> {
    let partitions: u32 = settings.take("partitions", 1)?;
    if partitions == 0 {
        let (name, message) = ("partitions".to_owned(), "a topic has a partition".to_owned());
        return Err(PlanError::BadParameter { name, message });
    }
    Ok((partitions, settings.take("log", log::ADDRESS.to_owned())?))
}

/// Ticks, sawtooth, and the three sensors: one reading of each per tick.
fn sensors(
    env: &Env,
    settings: &mut Settings,
    slowdown: u32,
) -> Result<Stream<Reading>, PlanError> {
    let (wave, bad_phase) = (wave(settings)?, settings.take("bad_phase", BadPhase::Refuse)?);
    let sawtooth = test_data(env, settings, slowdown)?
        .scan("sawtooth", 0, move |step: &mut u32, at| {
            let phase = f64::from(*step) / f64::from(wave);
            *step = (*step + 1) % wave;
            (at, phase)
        })
        .restored(move |step: u32| bad_phase.settle(step, wave))
        .named("sawTooth");
    Ok(of_phases(&sawtooth))
}

fn wave(settings: &mut Settings) -> Result<u32, PlanError> {
    let wave = settings.take("wave", 10)?;
    if wave == 0 {
        let (name, message) = ("wave".to_owned(), "a wave has a step".to_owned());
        return Err(PlanError::BadParameter { name, message });
    }
    Ok(wave)
}

/// One tick every `every`.
fn test_data(
    env: &Env,
    settings: &mut Settings,
    slowdown: u32,
) -> Result<Stream<EventTime>, PlanError> {
    let ticks = ticks(settings, slowdown)?;
    Ok(env.source("ticks", ticks, Watermarks::ascending()).named("test data"))
}

/// The three sensors of a sawtooth.
fn of_phases(sawtooth: &Stream<(EventTime, f64)>) -> Stream<Reading> {
    let temp = assign_key("temp", sawtooth);
    let sine = sawtooth.map(|(at, phase)| (at, (phase * TAU).sin())).named("sineWave");
    let pressure = assign_key("pressure", &sine);
    let square = sawtooth.map(|(at, phase)| (at, if phase > 0.4 { 1.0 } else { 0.0 }));
    let door = assign_key("door", &square.named("squareWave"));
    union([&temp, &pressure, &door])
}

/// The readings of one sensor, counted: how many, and how many by the second (walkthrough W33).
fn assign_key(key: &'static str, values: &Stream<(EventTime, f64)>) -> Stream<Reading> {
    let open = move |metrics: &Metrics| {
        let (datapoints, throughput) = (metrics.counter("datapoints"), metrics.meter("throughput"));
        move |(at, value)| {
            datapoints.inc();
            throughput.mark();
            Reading::of(key, at, value)
        }
    };
    values.map_with(open).named(&format!("assignKey({key})"))
}

fn ticks(settings: &mut Settings, slowdown: u32) -> Result<ticks::Ticks, PlanError> {
    let every = settings.take_span("every", ms(100))?;
    if every.is_zero() {
        let (name, message) = ("every".to_owned(), "a tick takes at least 1ms".to_owned());
        return Err(PlanError::BadParameter { name, message });
    }
    let ticks =
        ticks::Ticks::every(every).jitter(settings.take_span("jitter", ms(0))?).slowdown(slowdown);
    let until = settings.take_span("until", ms(0))?;
    Ok(if until.is_zero() { ticks } else { ticks.until(until) })
}

/// The readings go to the series `sensors`, their sums by the second to `summedSensors`, and if there
/// is a control server, amplified as it says, to `amplifiedSensors`.
fn store_and_sum(
    env: &Env,
    settings: &mut Settings,
    sensors: &Stream<Reading>,
) -> Result<(), PlanError> {
    env.clock(settings.take("time", Clock::Event)?);
    survive_and_chain(env, settings)?;
    let contract = Contract::take(settings)?;
    let db = settings.take("db", series::ADDRESS.to_owned())?;
    let tag = settings.take("tag", String::new())?;
    let parallelism = settings.take("parallelism", 1)?;

    let readings = series::sink(|reading: &Reading| reading.point("sensors"));
    contract.write(sensors, "sensors-sink", readings.at(&db).tagged(&tag));

    let sums = sensors
        .key_by(|reading| reading.key.clone())
        .window(tumbling(secs(1)))
        .sum_exact("window", |reading| reading.value);
    // Stamped with the window's start, not with whichever reading arrived first (walkthrough T5).
    let summed = series::sink(|pane: &Pane<String, f64>| {
        Reading::of(&pane.key, pane.window.start, pane.value).point("summedSensors")
    });
    let results = sums.results.named("sum(1 s)").parallelism(parallelism);
    contract
        .write(&results, "summed-sensors-sink", summed.at(&db).tagged(&tag))
        .parallelism(parallelism);
    // Walkthrough W14: late readings are counted, and stand in a series of their own.
    let late = series::sink(|reading: &Reading| reading.point("lateSensors"));
    contract
        .write(&sums.late, "late-sensors-sink", late.at(&db).tagged(&tag))
        .parallelism(parallelism);
    amplify(env, settings, sensors, (contract, &db, &tag), parallelism)
}

fn survive_and_chain(env: &Env, settings: &mut Settings) -> Result<(), PlanError> {
    survival::take(env, settings, DEMO_RESTARTS)?;
    env.max_parallelism(8);
    env.chaining(settings.take("chaining", true)?);
    Ok(())
}

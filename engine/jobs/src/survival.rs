//! How a demo job survives a failure: the settings that all of them share, and what they mean.
//! Nothing here runs, and no default takes a checkpoint: the walkthrough turns them on by a line.
//! What the words promise is the engine's; the jobs are beside this file.

use std::str::FromStr;
use std::time::Duration;

use slackwater::core::checkpoint::DEFAULT_STORAGE;
use slackwater::core::time::parse_span;
use slackwater::prelude::*;

/// How often the demo starts again.
pub(crate) const DEMO_RESTARTS: u32 = 1_000;

/// `checkpoint` (a span, `manual` for savepoints alone, or `off`: the default), `storage` of the checkpoints, how many are `retained`
/// (1) and how many may fail in a row (`tolerated`: 0), `restarts` (0 for none; the demo's are 1000)
/// and `restart_delay` (a second), `latency` (how often a source sends a marker that is measured
/// where it ends; none: never).
///
/// # Errors
/// If a setting cannot be read.
pub(crate) fn take(
    env: &Env,
    settings: &mut Settings,
    restarts: u32,
) -> Result<Checkpoints, PlanError> {
    let storage = settings.take("storage", DEFAULT_STORAGE.to_owned())?;
    let every = settings.take("checkpoint", Every::Never)?;
    let retained = settings.take("retained", 1u32)?.max(1);
    let tolerated_failures = settings.take("tolerated", 0)?;
    let interval = match every {
        Every::Never => None,
        Every::Manual => Some(None),
        Every::Span(span) => Some(Some(span)),
    };
    if let Some(interval) = interval {
        let default = CheckpointConfig::default();
        let config =
            CheckpointConfig { interval, storage, retained, tolerated_failures, ..default };
        env.checkpoints(config);
    }
    let attempts = settings.take("restarts", restarts)?;
    let delay = settings.take_span("restart_delay", secs(1))?;
    env.restart(if attempts == 0 { Restart::None } else { Restart::fixed(attempts, delay) });
    let latency = settings.take_span("latency", ms(0))?;
    if !latency.is_zero() {
        env.latency_every(latency);
    }
    Ok(if interval.is_some() { Checkpoints::On } else { Checkpoints::Off })
}

/// Whether a job takes checkpoints.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Checkpoints {
    /// At an interval.
    On,
    /// Never.
    Off,
}

impl Checkpoints {
    /// Writes a stream to a file: in transactions if there are checkpoints to commit them.
    #[track_caller]
    pub(crate) fn write<T: Data>(
        self,
        stream: &Stream<T>,
        uid: &str,
        sink: csv::CsvSink<T>,
    ) -> StreamSink {
        match self {
            Self::On => stream.sink_two_phase(uid, sink.two_phase()),
            Self::Off => stream.sink(uid, sink),
        }
    }
}

/// When checkpoints are taken: a span, `manual`, or `off`.
enum Every {
    Never,
    /// Only savepoints, which a person asks for.
    Manual,
    Span(Duration),
}

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => return Ok(Self::Never),
            "manual" => return Ok(Self::Manual),
            _ => {}
        }
        let words = "\"manual\" or \"off\"";
        match parse_span(text) {
            Ok(span) if span.is_zero() => Err(format!("expected a span above 0, {words}")),
            Ok(span) => Ok(Self::Span(span)),
            Err(error) => Err(format!("{error}, {words}")),
        }
    }
}

/// The setting `sink`: which of the series database's sinks a job writes with.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Contract {
    /// `idempotent`: a replay takes its own place.
    Idempotent,
    /// `two_phase`: seen once a checkpoint holds it.
    TwoPhase,
    /// `naive`: the demo's own, which loses data (walkthrough T6).
    Naive,
}

impl FromStr for Contract {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "idempotent" => Ok(Self::Idempotent),
            "two_phase" => Ok(Self::TwoPhase),
            "naive" => Ok(Self::Naive),
            other => {
                let known = "\"idempotent\", \"two_phase\" or \"naive\"";
                Err(format!("expected {known}, found {other:?}"))
            }
        }
    }
}

impl Contract {
    /// Takes the setting; idempotent unless it says otherwise.
    pub(crate) fn take(settings: &mut Settings) -> Result<Self, PlanError> {
        settings.take("sink", Self::Idempotent)
    }

    /// Writes a stream by a sink of this kind.
    #[track_caller]
    pub(crate) fn write<T: Data>(
        self,
        stream: &Stream<T>,
        uid: &str,
        sink: series::SeriesSink<T>,
    ) -> StreamSink {
        match self {
            Self::Idempotent => stream.sink(uid, sink),
            Self::TwoPhase => stream.sink_two_phase(uid, sink.two_phase()),
            Self::Naive => stream.sink(uid, sink.naive()),
        }
    }
}

//! What users import: the engine's rooms by name, and a prelude with all that a job needs.
//! Re-exports, and the macro that makes a binary of jobs: there is no other code here. A job depends on this crate, and on `serde` for its
//! derive macros (or writes `#[serde(crate = "slackwater::serde")]` and depends on this one alone).

pub use serde;
pub use slackwater_cli as cli;
pub use slackwater_connect as connect;
pub use slackwater_core as core;
pub use slackwater_dataflow as dataflow;

/// Everything that a job needs, for `use slackwater::prelude::*`.
///
/// ```
/// use slackwater::prelude::*;
///
/// #[derive(Clone, Debug, Serialize, Deserialize)]
/// struct Reading {
///     key: String,
///     value: f64,
/// }
///
/// fn waves(env: &Env, settings: &mut Settings) -> Result<(), PlanError> {
///     let steps = settings.take("steps", 10u32)?;
///     let window = settings.take_span("window", secs(1))?;
///     env.clock(settings.take("clock", Clock::Event)?).restart(Restart::fixed(1000, secs(1)));
///
///     let saw = env
///         .source("ticks", ticks::Ticks::every(ms(100)), Watermarks::ascending())
///         .scan("sawtooth", 0, move |step, _| {
///             let phase = f64::from(*step) / f64::from(steps);
///             *step = (*step + 1) % steps;
///             phase
///         });
///     let temp = saw.map(|p| Reading { key: "temp".into(), value: p });
///     let door = saw.map(|p| Reading { key: "door".into(), value: f64::from(p > 0.4) });
///     let sensors = union([&temp, &door]);
///
///     let keyed = sensors.key_by(|r| r.key.clone());
///     let sums = keyed.window(tumbling(window)).sum_exact("sums", |r| r.value);
///     sums.late.discard();
///     let point = |p: &Pane<String, f64>| Point {
///         series: "sums".into(),
///         key: p.key.clone(),
///         time: p.window.start,
///         fields: vec![("value".into(), p.value.into())],
///     };
///     sums.results.sink("sums-sink", series::sink(point));
///     Ok(())
/// }
///
/// let catalog = Catalog::new().job("waves", "v1", waves);
/// let plan = catalog.plan(&Program::named("waves").set("steps", 20)).unwrap();
/// let names: Vec<_> = plan.graph.vertices.iter().map(|v| v.name.as_str()).collect();
/// assert_eq!(names, ["ticks -> sawtooth -> (map, map)", "sums -> sums-sink"]);
/// ```
pub mod prelude {
    pub use serde::{Deserialize, Serialize};
    pub use slackwater_connect::{csv, generate, log, series, socket, ticks};
    pub use slackwater_core::Data;
    pub use slackwater_core::checkpoint::CheckpointConfig;
    pub use slackwater_core::graph::Restart;
    pub use slackwater_core::key::Key;
    pub use slackwater_core::point::{FieldValue, Point};
    pub use slackwater_core::program::Program;
    pub use slackwater_core::time::{Clock, EventTime, mins, ms, secs};
    pub use slackwater_dataflow::metric::{Counter, Meter, Metrics};
    pub use slackwater_dataflow::operator::co_process::{KeyedCoProcess, KeyedContext};
    pub use slackwater_dataflow::stream::{
        Catalog, Connected, Env, Keyed, Settings, Stream, StreamSink, WindowOut, Windowed, union,
    };
    pub use slackwater_dataflow::task::{PlanError, Programs};
    pub use slackwater_dataflow::watermark::Watermarks;
    pub use slackwater_dataflow::window::{Pane, Window, tumbling};
}

/// The `main` of a binary that brings jobs along: functions that build them, each under its own name.
/// The binary has a command line of its own (`NAME run JOB --local`), and a cluster runs it as it is:
/// `slackwater run -d PATH`.
///
/// ```
/// use slackwater::prelude::*;
///
/// fn nothing_yet(_env: &Env, _settings: &mut Settings) -> Result<(), PlanError> {
///     Ok(()) // Sources, operators and sinks go here.
/// }
///
/// slackwater::main!(nothing_yet);
/// ```
#[macro_export]
macro_rules! main {
    ($($job:ident),+ $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            let catalog = $crate::dataflow::stream::Catalog::new();
            $(let catalog = catalog.job(::core::stringify!($job), "v1", $job);)+
            $crate::cli::main(catalog)
        }
    };
}

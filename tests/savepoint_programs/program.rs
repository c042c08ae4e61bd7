//! Programs: what a person does to a job and what befalls its cluster meanwhile, drawn, shrunk and
//! written as a line of text.
//! Nothing is played here, and nothing judged. The plainest comes first everywhere, because shrinking
//! goes that way.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use proptest::prelude::*;
use slackwater_sim::prelude::ms;

/// A whole story.
#[derive(Clone, PartialEq, Eq)]
pub struct Program {
    /// The seed of its world.
    pub seed: u64,
    /// Whether its sinks are two-phase; idempotent otherwise.
    pub two_phase: bool,
    /// What happens, one after the other.
    pub acts: Vec<Act>,
    /// What befalls the cluster at facts of the engine.
    pub ambushes: Vec<Ambush>,
}

impl Program {
    /// Whether anything befalls its cluster.
    pub fn is_disturbed(&self) -> bool {
        let is_crash = |act: &Act| matches!(act.deed, Deed::Crash(_));
        !self.ambushes.is_empty() || self.acts.iter().any(is_crash)
    }

    /// Whether a job may fail for good in it.
    pub fn may_fail(&self) -> bool {
        let is_fragile = |act: &Act| matches!(&act.deed, Deed::Start(start) if start.fragile);
        self.is_disturbed() && self.acts.iter().any(is_fragile)
    }
}

/// Something that happens so long after what came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    pub after: Duration,
    pub deed: Deed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    Savepoint,
    Stop,
    Cancel,
    Start(Start),
    Crash(Crash),
}

/// A start of the job, once the one before it has been cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    pub from: From,
    pub parallelism: u32,
    /// Whether it is the second version, even if the first could go on.
    pub next_version: bool,
    /// Whether it fails for good with its first failure.
    pub fragile: bool,
}

/// With what a job starts.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// The newest savepoint or kept checkpoint; with nothing, if there is none.
    Newest,
    /// One of all that there are by then, counted round and round.
    Which(usize),
    Nothing,
}

/// What befalls a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    pub how: How,
    pub node: &'static str,
    pub down: Duration,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// Its process is killed, and starts again.
    Crash,
    /// It loses its power, and what was not synced.
    Dark,
    /// It stands still, and goes on as if nothing had been.
    Pause,
}

impl How {
    const ALL: [(&'static str, Self); 3] =
        [("crash", Self::Crash), ("dark", Self::Dark), ("pause", Self::Pause)];

    fn word(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, how)| *how == self).map_or("crash", |(word, _)| word)
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == word).map(|(_, how)| how)
    }
}

/// A crash at the n-th fact of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambush {
    pub crash: Crash,
    pub nth: u32,
    pub probe: &'static str,
}

/// The task managers, and who leads them.
const NODES: [&str; 4] = ["tm-1", "tm-2", "tm-3", "jm"];

/// Where crashes hurt.
const PROBES: [&str; 10] = [
    "savepoint.triggered",
    "savepoint.completed",
    "checkpoint.triggered",
    "checkpoint.snapshot.taken",
    "checkpoint.state.written",
    "checkpoint.completed",
    "transaction.prepared",
    "transaction.committed",
    "job.restored",
    "checkpoint.restored",
];

/// Times are drawn in steps of a world's tick.
const STEP: Duration = ms(10);

fn span(longest: Duration) -> impl Strategy<Value = Duration> {
    let steps = (longest.as_millis() / STEP.as_millis()) as u32;
    (0..=steps).prop_map(|steps| STEP * steps)
}

fn crash() -> impl Strategy<Value = Crash> {
    let how = prop_oneof![4 => Just(How::Crash), 1 => Just(How::Dark), 1 => Just(How::Pause)];
    let node = prop_oneof![3 => 0..3usize, 1 => Just(3usize)];
    (how, node, span(ms(2_000))).prop_map(|(how, node, down)| Crash {
        how,
        node: NODES[node],
        down,
    })
}

fn start() -> impl Strategy<Value = Start> {
    let from = prop_oneof![
        2 => Just(From::Newest),
        4 => (0..6usize).prop_map(From::Which),
        1 => Just(From::Nothing),
    ];
    let rest = (1..=8u32, prop::bool::weighted(0.4), prop::bool::weighted(0.2));
    (from, rest).prop_map(|(from, (parallelism, next_version, fragile))| Start {
        from,
        parallelism,
        next_version,
        fragile,
    })
}

fn act() -> impl Strategy<Value = Act> {
    let deed = prop_oneof![
        6 => Just(Deed::Savepoint),
        2 => Just(Deed::Stop),
        1 => Just(Deed::Cancel),
        6 => start().prop_map(Deed::Start),
        2 => crash().prop_map(Deed::Crash),
    ];
    (span(ms(900)), deed).prop_map(|(after, deed)| Act { after, deed })
}

fn ambush() -> impl Strategy<Value = Ambush> {
    (crash(), 1..6u32, 0..PROBES.len()).prop_map(|(crash, nth, probe)| Ambush {
        crash,
        nth,
        probe: PROBES[probe],
    })
}

/// Any program.
pub fn programs() -> impl Strategy<Value = Program> {
    let acts = prop::collection::vec(act(), 1..14);
    let ambushes = prop_oneof![
        1 => Just(Vec::new()),
        2 => prop::collection::vec(ambush(), 0..3),
    ];
    (0..1_000u64, any::<bool>(), acts, ambushes)
        .prop_map(|(seed, two_phase, acts, ambushes)| Program { seed, two_phase, acts, ambushes })
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sink = if self.two_phase { "two_phase" } else { "idempotent" };
        write!(f, "seed {} {sink}", self.seed)?;
        for Act { after, deed } in &self.acts {
            write!(f, "; {} ", after.as_millis())?;
            match deed {
                Deed::Savepoint => f.write_str("savepoint")?,
                Deed::Stop => f.write_str("stop")?,
                Deed::Cancel => f.write_str("cancel")?,
                Deed::Start(Start { from, parallelism, next_version, fragile }) => {
                    match from {
                        From::Newest => f.write_str("start newest")?,
                        From::Which(which) => write!(f, "start {which}")?,
                        From::Nothing => f.write_str("start nothing")?,
                    }
                    let version = if *next_version { "v2" } else { "v1" };
                    write!(f, " p{parallelism} {version}")?;
                    f.write_str(if *fragile { " fragile" } else { "" })?;
                }
                Deed::Crash(crash) => crash.fmt(f)?,
            }
        }
        for Ambush { crash, nth, probe } in &self.ambushes {
            write!(f, "; {crash} at {nth} {probe}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.how.word(), self.node, self.down.as_millis())
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Program {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(';').map(|part| part.split_whitespace().collect::<Vec<_>>());
        let head = parts.next().unwrap_or_default();
        let ["seed", seed, sink @ ("two_phase" | "idempotent")] = head[..] else {
            return Err("a program begins with `seed N two_phase` or `seed N idempotent`".into());
        };
        let two_phase = sink == "two_phase";
        let mut program =
            Self { seed: number(seed)?, two_phase, acts: Vec::new(), ambushes: Vec::new() };
        for part in parts {
            match part[..] {
                [how, node, down, "at", nth, probe] => {
                    let probe = PROBES.into_iter().find(|known| *known == probe);
                    let probe = probe.ok_or_else(|| format!("nobody crashes at {part:?}"))?;
                    let (crash, nth) = (crash_of(how, node, down)?, number(nth)?);
                    program.ambushes.push(Ambush { crash, nth, probe });
                }
                [after, ref deed @ ..] => {
                    let (after, deed) = (ms(number(after)?), deed_of(deed)?);
                    program.acts.push(Act { after, deed });
                }
                [] => return Err("an act is empty".into()),
            }
        }
        Ok(program)
    }
}

fn deed_of(words: &[&str]) -> Result<Deed, String> {
    Ok(match words {
        ["savepoint"] => Deed::Savepoint,
        ["stop"] => Deed::Stop,
        ["cancel"] => Deed::Cancel,
        [how, node, down] => Deed::Crash(crash_of(how, node, down)?),
        ["start", from, parallelism, version @ ("v1" | "v2"), rest @ ..] => {
            let from = match *from {
                "newest" => From::Newest,
                "nothing" => From::Nothing,
                which => From::Which(number(which)?),
            };
            let parallelism = parallelism.strip_prefix('p').ok_or("a parallelism is `p4`")?;
            let (parallelism, fragile) = (number(parallelism)?, rest == ["fragile"]);
            Deed::Start(Start { from, parallelism, next_version: *version == "v2", fragile })
        }
        other => return Err(format!("nobody does {other:?}")),
    })
}

fn crash_of(how: &str, node: &str, down: &str) -> Result<Crash, String> {
    let how = How::of(how).ok_or_else(|| format!("nobody knows how to {how:?}"))?;
    let node = NODES.into_iter().find(|known| *known == node);
    let node = node.ok_or("a node is tm-1, tm-2, tm-3 or jm")?;
    Ok(Crash { how, node, down: ms(number(down)?) })
}

fn number<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

//! A node of the graph under construction: one operator with its typed code behind `Any`.
//! Holds no stage itself: it knows how to make one on the worker that will run it.
//! Built by [`super::flow`] and [`super::keyed`]; chained by [`super::translate`], linked by [`super::open`].

use std::any::Any;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use slackwater_core::Data;
use slackwater_core::graph::{OperatorKind, Partition, StateInfo, Uid};
use slackwater_core::id::Execution;
use slackwater_core::schema::SchemaError;
use slackwater_core::time::Clock;

use crate::connector::{ConnectorError, Opening};
use crate::metric::Metrics;
use crate::operator::entry::Entry;
use crate::operator::exit::{Forward, RoundRobin};
use crate::operator::tap::{Tap, Tapped};
use crate::operator::tee::{Discard, Tee};
use crate::operator::{BoxStage, Stage};
use crate::packet::{ElementCodec, SerdeCodec};
use crate::state::{Rule, Upgrade};
use crate::task::{AnySink, AnySource, Chain};
use crate::watermark::Quantum;

/// One operator, as the program declared it.
pub(super) struct Node {
    pub kind: OperatorKind,
    pub name: String,
    pub uid: Option<Uid>,
    pub note: String,
    /// Where in the program it was declared.
    pub at: &'static Location<'static>,
    /// As asked for; `None` takes the environment's.
    pub parallelism: Option<u32>,
    /// The most subtasks that make sense, and why.
    pub limit: Option<(u32, String)>,
    /// Several only for the reader of a union, or of connected streams.
    pub inputs: Vec<Link>,
    pub outputs: Vec<Arc<dyn Carried>>,
    /// Which watermarks this operator can tell apart.
    pub sees: Quantum,
    /// What it holds, by name.
    pub states: Vec<StateInfo>,
    /// What it was called before.
    pub formerly: Vec<Uid>,
    /// What is done to state that an earlier program has left.
    pub rules: Vec<Rule>,
    pub code: Code,
}

/// Where an input comes from, and how records find their subtask.
#[derive(Clone)]
pub(super) struct Link {
    pub from: usize,
    pub output: usize,
    /// Which logical input of the reader: 1 for the right side of connected streams, else 0.
    pub input: u32,
    pub route: Route,
}

/// How records of a link find their subtask.
#[derive(Clone)]
pub(super) enum Route {
    Forward,
    Rebalance,
    Hash(Arc<dyn Fn(&Exit) -> Erased + Send + Sync>),
}

/// An output port that leads to an edge.
#[derive(Copy, Clone, Debug)]
pub(super) struct Exit {
    pub port: u32,
    pub receivers: u32,
    pub max_parallelism: u16,
}

/// A `BoxStage<T>` of some `T`.
pub(super) type Erased = Box<dyn Any>;

/// Makes the stage of an operator in front of those of its outputs.
pub(super) type MakeStage = Arc<dyn Fn(&Site, Vec<Erased>) -> Erased + Send + Sync>;
/// Makes the head of a chain that two streams feed, in front of the stages of its outputs.
pub(super) type MakeHead = Arc<dyn Fn(&Site, Vec<Erased>) -> Box<dyn Chain> + Send + Sync>;
/// Opens a source.
pub(super) type MakeSource =
    Arc<dyn Fn(Opening, SourceSite) -> Result<Box<dyn AnySource>, ConnectorError> + Send + Sync>;
/// Opens a sink.
pub(super) type MakeSink =
    Arc<dyn Fn(Opening) -> Result<Box<dyn AnySink>, ConnectorError> + Send + Sync>;

/// How an operator comes to life.
#[derive(Clone)]
pub(super) enum Code {
    Source(MakeSource),
    Stage(MakeStage),
    Connect(MakeHead),
    Sink(MakeSink),
}

/// What a source needs to know beyond its [`Opening`].
#[derive(Copy, Clone, Debug)]
pub(super) struct SourceSite {
    pub batch_rows: usize,
    pub quantum: Quantum,
}

/// Where a stage will run.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub task: Execution,
    pub parallelism: u32,
    pub max_parallelism: u16,
    pub clock: Clock,
    /// What the operator declares that it counts.
    pub metrics: Rc<Metrics>,
}

impl Node {
    /// Its uid, which every source and sink has.
    pub fn uid_or_name(&self) -> Uid {
        self.uid.clone().unwrap_or_else(|| Uid(self.name.clone()))
    }

    /// What it holds, with what each state can be made of besides.
    pub fn declared(&self) -> Vec<StateInfo> {
        let migrations = || self.rules.iter().filter(|rule| !rule.is_check());
        let whole = |state: &StateInfo| {
            let migrates = migrations().filter_map(|rule| rule.reads(&state.schema)).collect();
            StateInfo { migrates, ..state.clone() }
        };
        self.states.iter().map(whole).collect()
    }

    /// What it declares of state that an earlier program has left.
    pub fn upgrade(&self) -> Upgrade {
        let state = |state: &StateInfo| (state.name.clone(), state.schema.clone());
        Upgrade {
            uid: self.uid_or_name(),
            formerly: self.formerly.clone(),
            states: self.states.iter().map(state).collect(),
            rules: self.rules.clone(),
        }
    }

    /// The first rule that is for none of its states: the type that it makes or looks at.
    pub fn idle_rule(&self) -> Option<&str> {
        let meant = |rule: &&Rule| self.states.iter().any(|s| rule.reads(&s.schema).is_some());
        self.rules.iter().find(|rule| !meant(rule)).map(|rule| rule.to.as_str())
    }

    /// `"uid"` or the name, and where it was declared: how messages speak of an operator.
    pub fn described(&self) -> String {
        let name = self.uid.as_ref().map_or(&self.name, |uid| &uid.0);
        format!("{name:?} (declared at {})", self.at)
    }
}

impl Route {
    /// The partition of an edge that crosses from `senders` subtasks to `receivers`.
    pub fn partition(&self, senders: u32, receivers: u32) -> Partition {
        match self {
            Self::Hash(_) => Partition::Hash,
            Self::Forward if senders == receivers => Partition::Forward,
            // A change of parallelism spreads the records, as in Flink.
            Self::Forward | Self::Rebalance => Partition::Rebalance,
        }
    }
}

/// A type that travels on a stream: what can be done for it without naming it.
pub(super) trait Carried: Send + Sync {
    fn codec(&self) -> Result<Arc<dyn ElementCodec>, SchemaError>;
    /// One stage in front of all these.
    fn fan_out(&self, branches: Vec<Erased>) -> Erased;
    /// A stage that counts what passes, in front of this one.
    fn tap(&self, tapped: &Tapped, next: Erased) -> Erased;
    /// The stage that leaves the chain for a sink or for the subtask of the same index.
    fn exit(&self, exit: &Exit) -> Erased;
    /// The stage that leaves the chain for all subtasks in turn.
    fn spread(&self, exit: &Exit) -> Erased;
    /// The chain that begins here.
    fn entry(&self, head: Erased) -> Box<dyn Chain>;
}

/// [`Carried`] for `T`.
pub(super) struct Of<T>(PhantomData<fn() -> T>);

/// The outputs of an operator that has one.
pub(super) fn carried<T: Data>() -> Arc<dyn Carried> {
    Arc::new(Of::<T>(PhantomData))
}

impl<T: Data> Carried for Of<T> {
    fn codec(&self) -> Result<Arc<dyn ElementCodec>, SchemaError> {
        Ok(Arc::new(SerdeCodec::<T>::new()?))
    }

    fn fan_out(&self, mut branches: Vec<Erased>) -> Erased {
        match branches.len() {
            0 => erase::<T>(Discard),
            1 => branches.remove(0),
            _ => erase::<T>(Tee::new(branches.into_iter().map(reveal::<T>).collect())),
        }
    }

    fn tap(&self, tapped: &Tapped, next: Erased) -> Erased {
        erase::<T>(Tap::new(tapped.clone(), reveal::<T>(next)))
    }

    fn exit(&self, exit: &Exit) -> Erased {
        erase::<T>(Forward::new(exit.port))
    }

    fn spread(&self, exit: &Exit) -> Erased {
        erase::<T>(RoundRobin::new(exit.port, exit.receivers))
    }

    fn entry(&self, head: Erased) -> Box<dyn Chain> {
        Box::new(Entry::new(reveal::<T>(head)))
    }
}

/// Hides the type of a stage.
pub(super) fn erase<T: 'static>(stage: impl Stage<T> + 'static) -> Erased {
    let stage: BoxStage<T> = Box::new(stage);
    Box::new(stage)
}

/// Finds the type of a stage again.
pub(super) fn reveal<T: 'static>(stage: Erased) -> BoxStage<T> {
    *stage.downcast().expect("a stream's type is fixed where it is declared")
}

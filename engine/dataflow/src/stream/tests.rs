//! Translation, table by table: which operators share a chain, which mistakes are refused and how.
//! Runs nothing: sources and sinks lead nowhere.
//! What the operators do is tried through `crate::harness`.

use std::marker::PhantomData;
use std::task::{Context, Poll};

use serde::{Deserialize, Serialize};
use slackwater_core::checkpoint::CheckpointConfig;
use slackwater_core::element::Batch;
use slackwater_core::graph::{OperatorKind, Partition, TWO_PHASE};
use slackwater_core::id::CheckpointId;
use slackwater_core::program::Program;
use slackwater_core::time::{ProcessingTime, ms, secs};

use super::*;
use crate::connector::{
    ConnectorError, Flush, Flushed, LocalFuture, Opening, Position, Pulled, Recovery, Sink,
    SinkContract, SinkWriter, Source, SourceReader, Splits, Transaction, TwoPhaseSink,
    TwoPhaseWriter,
};
use crate::operator::co_process::{KeyedCoProcess, KeyedContext};
use crate::task::{Plan, PlanError, Programs};
use crate::watermark::Watermarks;
use crate::window::tumbling;

/// A source and a sink of nothing.
struct Nowhere<T>(Splits, PhantomData<fn() -> T>);

fn from_nowhere<T>(splits: Splits) -> Nowhere<T> {
    Nowhere(splits, PhantomData)
}

fn to_nowhere<T>() -> Nowhere<T> {
    Nowhere(Splits::One, PhantomData)
}

impl<T: 'static> Source for Nowhere<T> {
    type Item = T;
    type Reader = Self;
    fn splits(&self) -> Splits {
        self.0
    }
    fn is_bounded(&self) -> bool {
        true
    }
    fn open(&self, _: Opening) -> Result<Self, ConnectorError> {
        Ok(Self(self.0, PhantomData))
    }
}

impl<T> SourceReader for Nowhere<T> {
    type Item = T;
    fn poll_next(
        &mut self,
        _: &mut Context<'_>,
        _: ProcessingTime,
        _: usize,
        _: &mut Batch<T>,
    ) -> Poll<Result<Pulled, ConnectorError>> {
        Poll::Ready(Ok(Pulled::End))
    }

    fn positions(&self) -> Vec<Position> {
        Vec::new()
    }

    fn seek(&mut self, _: &[Position]) -> Result<(), ConnectorError> {
        Ok(())
    }
}

impl<T: 'static> Sink for Nowhere<T> {
    type Item = T;
    type Writer = Self;
    fn contract(&self) -> SinkContract {
        SinkContract::Idempotent
    }
    fn open(&self, _: Opening) -> Result<Self, ConnectorError> {
        Ok(Self(self.0, PhantomData))
    }
}

impl<T> SinkWriter for Nowhere<T> {
    type Item = T;
    fn write(&mut self, _: Batch<T>) -> LocalFuture<'_, Result<(), ConnectorError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn flush(&mut self, flush: Flush) -> LocalFuture<'_, Result<Flushed, ConnectorError>> {
        Box::pin(std::future::ready(Ok(flush.confirmed(0))))
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Reading {
    key: String,
    value: f64,
}

/// The shape of the demo: two branches, a union that is read twice, a window, two sinks.
fn waves(env: &Env) {
    let saw = env.source("ticks", from_nowhere::<()>(Splits::One), Watermarks::ascending()).scan(
        "sawtooth",
        0u32,
        |step, ()| {
            *step += 1;
            f64::from(*step)
        },
    );
    let temp = saw.map(|value| Reading { key: "temp".into(), value }).named("temp");
    let door = saw.map(|value| Reading { key: "door".into(), value }).named("door");
    let sensors = union([&temp, &door]);
    sensors.sink("sensors-sink", to_nowhere());
    let keyed = sensors.key_by(|reading| reading.key.clone());
    let sums = keyed.window(tumbling(secs(1))).sum_exact("window", |reading| reading.value);
    sums.late.discard();
    sums.results.map(|pane| pane.value).sink("sums-sink", to_nowhere());
}

/// The graph in words: a vertex a line, then an edge a line.
fn shown(plan: &Plan) -> Vec<String> {
    let vertex = |v: &slackwater_core::graph::Vertex| format!("{} x{}", v.name, v.parallelism);
    let edge = |e: &slackwater_core::graph::Edge| {
        format!("{}.{} -> {} {:?}", e.from.0, e.port, e.to.0, e.partition)
    };
    let graph = &plan.graph;
    graph.vertices.iter().map(vertex).chain(graph.edges.iter().map(edge)).collect()
}

fn planned(build: impl FnOnce(&Env)) -> Result<Plan, PlanError> {
    let env = Env::new("test");
    build(&env);
    env.plan()
}

#[track_caller]
fn check(build: impl FnOnce(&Env), expected: &[&str]) {
    assert_eq!(shown(&planned(build).expect("a plan")), expected);
}

/// Places in this file are shown as `HERE`.
#[track_caller]
fn check_refused(build: impl FnOnce(&Env), expected: &str) {
    let mut refused = planned(build).expect_err("refused").to_string();
    while let Some(place) = refused.find(file!()) {
        let rest = refused[place + file!().len()..]
            .trim_start_matches(|c: char| ":0123456789".contains(c));
        // A colon behind the place belongs to the sentence.
        let rest = if refused[..refused.len() - rest.len()].ends_with(':') {
            format!(":{rest}")
        } else {
            rest.to_owned()
        };
        refused = format!("{}HERE{rest}", &refused[..place]);
    }
    assert_eq!(refused, expected);
}

#[test]
fn forward_edges_are_chained_and_unions_and_keys_begin_a_vertex() {
    check(
        waves,
        &[
            "ticks -> sawtooth -> (temp, door) x1",
            "sensors-sink x1",
            "window -> map -> sums-sink x1",
            "0.0 -> 1 Forward",
            "0.1 -> 2 Hash",
            "0.2 -> 1 Forward",
            "0.3 -> 2 Hash",
        ],
    );
}

#[test]
fn without_chaining_every_operator_is_a_vertex() {
    let plan = planned(|env| {
        env.chaining(false);
        waves(env);
    });
    let vertices = plan.expect("a plan").graph.vertices;
    let names: Vec<_> = vertices.iter().map(|vertex| vertex.name.as_str()).collect();
    let expected =
        ["ticks", "sawtooth", "temp", "door", "sensors-sink", "window", "map", "sums-sink"];
    assert_eq!(names, expected);
    assert!(vertices.iter().all(|vertex| vertex.operators.len() == 1));
}

#[test]
fn a_change_of_parallelism_spreads_the_records() {
    check(
        |env| {
            env.parallelism(2);
            waves(env);
        },
        &[
            "ticks -> sawtooth x1",
            "temp x2",
            "door x2",
            "sensors-sink x2",
            "window -> map -> sums-sink x2",
            "0.0 -> 1 Rebalance",
            "0.1 -> 2 Rebalance",
            "1.0 -> 3 Forward",
            "1.1 -> 4 Hash",
            "2.0 -> 3 Forward",
            "2.1 -> 4 Hash",
        ],
    );
    let build = |env: &Env| {
        env.parallelism(4);
        let source = from_nowhere::<u64>(Splits::Fixed(3));
        let numbers = env.source("numbers", source, Watermarks::ascending()).named("read");
        numbers.rebalance().map(|n| n).parallelism(3).sink("sink", to_nowhere()).parallelism(1);
    };
    let expected = ["read x3", "map x3", "sink x1", "0.0 -> 1 Rebalance", "1.0 -> 2 Rebalance"];
    check(build, &expected);
}

#[test]
fn operators_are_listed_head_first_with_their_uids_and_contracts() {
    let plan = planned(waves).expect("a plan");
    let list = |vertex: usize| -> Vec<_> {
        let operators = plan.graph.vertices[vertex].operators.iter();
        operators
            .map(|o| (o.kind, o.uid.as_ref().map(|uid| uid.0.as_str()), o.note.as_str()))
            .collect()
    };
    use OperatorKind::{Operator, Sink, Source};
    let head = [
        (Source, Some("ticks"), "one reader"),
        (Operator, Some("sawtooth"), ""),
        (Operator, None, ""),
        (Operator, None, ""),
    ];
    assert_eq!(list(0), head);
    let tail = [
        (Operator, Some("window"), ""),
        (Operator, None, ""),
        (Sink, Some("sums-sink"), "idempotent"),
    ];
    assert_eq!(list(2), tail);
}

#[test]
fn equal_programs_give_equal_graphs() {
    let job = |env: &Env, settings: &mut Settings| -> Result<(), PlanError> {
        env.parallelism(settings.take("parallelism", 1)?);
        waves(env);
        Ok(())
    };
    let program = Program::named("waves").set("parallelism", 2);
    let graphs = [1, 2].map(|_| {
        let catalog = Catalog::new().job("waves", "v1", job);
        catalog.plan(&program).expect("a plan").graph
    });
    assert_eq!(graphs[0], graphs[1]);
    assert_eq!(graphs[0].edges[2].partition, Partition::Forward);
    let reading = slackwater_core::schema::Schema::of::<Reading>().expect("a schema");
    assert_eq!(graphs[0].edges[2].schema, reading.fingerprint());
}

#[test]
fn a_version_or_a_name_that_is_not_in_the_catalogue_is_refused_with_what_there_is() {
    let catalog = Catalog::new()
        .job("waves", "v1", |_, _| Ok(()))
        .job("waves", "v2", |_, _| Ok(()))
        .job("flights", "v1", |_, _| Ok(()));
    let refused = |name: &str, version: &str| {
        let program = Program { version: version.into(), ..Program::named(name) };
        catalog.plan(&program).expect_err("refused").to_string()
    };
    assert_eq!(refused("wave", "v1"), "unknown program \"wave\": known are flights, waves");
    let version = "unknown program \"waves@v3\": known are waves@v1, waves@v2";
    assert_eq!(refused("waves", "v3"), version);
    assert_eq!(Programs::names(&catalog), ["flights", "waves"]);
}

fn numbers(env: &Env, splits: Splits) -> Stream<u64> {
    env.source("numbers", from_nowhere(splits), Watermarks::ascending())
}

#[test]
fn a_uid_given_twice_is_refused_with_both_places() {
    check_refused(
        |env| {
            numbers(env, Splits::One).scan("numbers", 0, |_: &mut u64, n| n).discard();
        },
        "uid \"numbers\" is given twice, at HERE and at HERE: state is found by it, so every \
         operator needs its own",
    );
}

#[test]
fn a_parallelism_that_cannot_be_is_refused_with_the_reason() {
    check_refused(
        |env| numbers(env, Splits::One).parallelism(2).discard(),
        "\"numbers\" (declared at HERE) cannot have parallelism 2, at most 1: the source has no \
         splits",
    );
    check_refused(
        |env| numbers(env, Splits::Fixed(2)).parallelism(3).discard(),
        "\"numbers\" (declared at HERE) cannot have parallelism 3, at most 2: the source has 2 \
         splits",
    );
    check_refused(
        |env| {
            let scan = numbers(env, Splits::Fixed(4)).scan("walk", 0, |_: &mut u64, n| n);
            scan.parallelism(4).discard();
        },
        "\"walk\" (declared at HERE) cannot have parallelism 4, at most 1: its one state, which \
         is not kept by key, can be in one place only; key the stream first, or leave it at \
         parallelism 1",
    );
    check_refused(
        |env| {
            env.max_parallelism(8);
            numbers(env, Splits::Fixed(16)).parallelism(16).discard();
        },
        "\"numbers\" (declared at HERE) has parallelism 16, more than the 8 key groups of the \
         job: lower it, or raise max_parallelism",
    );
    check_refused(
        |env| numbers(env, Splits::One).map(|n| n).parallelism(0).discard(),
        "\"map\" (declared at HERE) has parallelism 0: at least 1 is needed",
    );
    check_refused(
        |env| numbers(env, Splits::Fixed(0)).discard(),
        "\"numbers\" (declared at HERE) cannot run: the source has 0 splits",
    );
}

#[test]
fn what_a_union_is_asked_and_windows_that_cannot_be_are_mistakes() {
    check_refused(
        |env| {
            let numbers = numbers(env, Splits::One);
            union([&numbers, &numbers.map(|n| n)]).named("both").discard();
        },
        "a name at HERE is asked of a union: a union is no operator, ask it of the streams that \
         it joins or of the operator that reads it",
    );
    check_refused(
        |env| {
            let windows = numbers(env, Splits::One).key_by(|n| *n).window(tumbling(ms(0)));
            windows.sum("sums", |n| *n).late.discard();
        },
        "window \"sums\" (declared at HERE): a window has a size of at least 1 ms",
    );
    check_refused(|_| {}, "job \"test\" reads nothing: give it a source");
}

#[test]
fn a_type_without_a_shape_is_refused_by_name_where_it_crosses_between_tasks() {
    #[derive(Clone, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Shapeless {
        Number(u64),
        Text(String),
    }
    let build = |env: &Env| {
        let shapeless = numbers(env, Splits::One).map(|n| match n {
            0 => Shapeless::Text(String::new()),
            n => Shapeless::Number(n),
        });
        shapeless.sink("sink", to_nowhere());
    };
    assert!(planned(build).is_ok(), "within a task its shape does not matter");
    let refused = planned(|env| {
        env.chaining(false);
        build(env);
    });
    let refused = refused.expect_err("refused").to_string();
    assert!(refused.contains("Shapeless has no fixed shape"), "{refused}");
}

/// A source without end.
struct Endless;

impl Source for Endless {
    type Item = u64;
    type Reader = Nowhere<u64>;
    fn splits(&self) -> Splits {
        Splits::One
    }
    fn is_bounded(&self) -> bool {
        false
    }
    fn open(&self, _: Opening) -> Result<Nowhere<u64>, ConnectorError> {
        Ok(from_nowhere(Splits::One))
    }
}

/// A sink that commits when a checkpoint completes.
struct Committing;

impl TwoPhaseSink for Committing {
    type Item = u64;
    type Writer = Nowhere<u64>;
    fn open(&self, _: Opening) -> Result<Nowhere<u64>, ConnectorError> {
        Ok(to_nowhere())
    }
}

impl TwoPhaseWriter for Nowhere<u64> {
    type Item = u64;
    fn write(&mut self, _: Batch<u64>) -> LocalFuture<'_, Result<(), ConnectorError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn prepare(
        &mut self,
        _: CheckpointId,
    ) -> LocalFuture<'_, Result<Option<Transaction>, ConnectorError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    fn commit<'a>(
        &'a mut self,
        _: &'a [Transaction],
    ) -> LocalFuture<'a, Result<(), ConnectorError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn recover<'a>(&'a mut self, _: Recovery<'a>) -> LocalFuture<'a, Result<(), ConnectorError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[test]
fn a_two_phase_sink_without_checkpoints_is_refused_where_nothing_would_ever_commit() {
    let endless = |env: &Env| {
        let numbers = env.source("endless", Endless, Watermarks::ascending());
        numbers.sink_two_phase("ledger", Committing);
    };
    let error = planned(endless).expect_err("refused").to_string();
    assert!(error.starts_with("sink \"ledger\" (declared at "), "{error}");
    let why = "commits when a checkpoint completes, none is taken, and source \"endless\" may never \
               end: take checkpoints at an interval, or use a sink that is not two-phase";
    assert!(error.ends_with(why), "{error}");
    let plan = planned(|env| {
        env.checkpoint_every(secs(1));
        endless(env);
    });
    let graph = plan.expect("with checkpoints it commits").graph;
    assert_eq!(graph.vertices[0].operators[1].note, TWO_PHASE);
    let plan = planned(|env| {
        let source = from_nowhere::<u64>(Splits::One);
        let numbers = env.source("bounded", source, Watermarks::ascending());
        numbers.sink_two_phase("ledger", Committing);
    });
    let graph = plan.expect("a job that ends commits at its end").graph;
    // By one checkpoint for all subtasks, not each at its own end.
    let config = graph.checkpoints.expect("the last one");
    assert_eq!((config.interval, config.is_inline()), (None, true));
}

#[test]
fn an_interval_leaves_what_was_said_of_checkpoints_before() {
    let env = Env::new("checkpointed");
    let storage = "file:///elsewhere".to_owned();
    env.checkpoints(CheckpointConfig { storage: storage.clone(), ..CheckpointConfig::default() });
    env.checkpoint_every(secs(3));
    numbers(&env, Splits::One).discard();
    let config = env.plan().expect("a plan").graph.checkpoints.expect("checkpoints");
    assert_eq!((config.interval, config.storage), (Some(secs(3)), storage));
}

#[test]
fn a_former_uid_is_a_uid_and_names_one_operator_for_ever() {
    let scan = |numbers: &Stream<u64>, uid: &str| numbers.scan(uid, 0, |_: &mut u64, n: u64| n);
    let twice = |uid: &str| {
        format!(
            "uid {uid:?} is given twice, at HERE and at HERE: state is found by it, so every operator \
             needs its own"
        )
    };
    check_refused(
        |env| scan(&numbers(env, Splits::One), "sum").was("total").was("total").discard(),
        &twice("total"),
    );
    check_refused(
        |env| {
            let numbers = numbers(env, Splits::One);
            scan(&numbers, "sum").was("total").discard();
            scan(&numbers, "count").was("total").discard();
        },
        &twice("total"),
    );
    check_refused(
        |env| {
            let numbers = numbers(env, Splits::One);
            scan(&numbers, "sum").was("count").discard();
            scan(&numbers, "count").discard();
        },
        &twice("count"),
    );
    check_refused(
        |env| scan(&numbers(env, Splits::One), "sum").was("sum").discard(),
        &twice("sum"),
    );
    check_refused(
        |env| scan(&numbers(env, Splits::One), "sum").was("").discard(),
        "the uid given at HERE is empty: state is found by it",
    );
    check_refused(
        |env| numbers(env, Splits::One).map(|n| n).was("sum").discard(),
        "\"map\" (declared at HERE) has no uid, and so had none: only what holds state has",
    );
    check_refused(
        |env| scan(&numbers(env, Splits::One), "sum").migrate(|n: u32| n).discard(),
        "\"sum\" (declared at HERE) holds no state of the type u32: what is migrated or looked at is \
         the value of its state, of the type that it has there",
    );
}

#[derive(Clone)]
struct Count;

impl KeyedCoProcess<u32, String> for Count {
    type State = u64;
    type Out = u64;
    fn init(&self) -> u64 {
        0
    }
    fn left(&mut self, _: u32, cx: &mut KeyedContext<'_, u64, u64>) {
        *cx.state += 1;
    }
    fn right(&mut self, _: String, cx: &mut KeyedContext<'_, u64, u64>) {
        cx.emit(*cx.state);
    }
}

#[test]
fn connected_streams_begin_a_chain_and_every_edge_says_which_side_it_leads_to() {
    let env = Env::new("connected");
    env.parallelism(3).max_parallelism(8);
    let asked = env.source("asked", from_nowhere::<String>(Splits::One), Watermarks::ascending());
    let of = |uid: &str| {
        let source = from_nowhere::<u32>(Splits::Fixed(3));
        env.source(uid, source, Watermarks::ascending())
    };
    let numbers = union([&of("one"), &of("two")]).key_by(|n| u64::from(*n));
    numbers
        .connect(&asked.key_by(|text| text.len() as u64))
        .process("count", Count)
        .named("how many")
        .map(|n| n)
        .sink("sink", to_nowhere());
    let graph = env.plan().expect("a plan").graph;
    let names: Vec<_> = graph.vertices.iter().map(|vertex| vertex.name.as_str()).collect();
    assert_eq!(names, ["asked", "one", "two", "how many -> map -> sink"]);
    let edges = graph.edges.iter().map(|edge| (edge.from.0, edge.to.0, edge.input, edge.partition));
    let hash = Partition::Hash;
    assert_eq!(edges.collect::<Vec<_>>(), [(0, 3, 1, hash), (1, 3, 0, hash), (2, 3, 0, hash)]);
    let head = &graph.vertices[3].operators[0];
    let held = (head.uid.clone(), head.states[0].name.as_str(), head.states[0].schema.as_str());
    assert_eq!(held, (Some("count".into()), "co_process", "(u64, u64)"));
}

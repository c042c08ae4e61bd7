//! The verb `plan`: the graph of a job, and what it would make of a savepoint, before anything runs.
//! Starts nothing and asks no cluster: the program is planned here, and of a savepoint only its
//! metadata is read. What is kept and lost is decided by `slackwater-core`'s `compat`, as for a start.

use clap::Args;
use serde::Serialize;
use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::compat::{self, Comparison, Fate, Line};
use slackwater_core::graph::{
    Edge, JobGraph, OperatorInfo, OperatorKind, Partition, StateInfo, Vertex,
};
use slackwater_core::program::Program;
use slackwater_core::savepoint::StartFrom;
use slackwater_core::schema::Schema;
use slackwater_runtime::jobmanager::fits;
use slackwater_runtime::store::savepoint::load;

use crate::exit::{Exit, Failure};
use crate::remote::Terminal;
use crate::run::{described, setting};
use crate::told::{ProgramTold, columns, many};

/// The arguments of `plan`.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// The job, such as `oscon`; `NAME@VERSION` picks a version
    #[arg(value_name = "JOB")]
    pub job: String,
    /// A parameter, as for `run`
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// How many subtasks the job's operators have, as far as they can be parted
    #[arg(short = 'p', long, value_name = "N")]
    pub parallelism: Option<u32>,
    /// The savepoint, or the kept checkpoint, that it is to start from: its folder, or a tag
    #[arg(long, value_name = "SAVEPOINT")]
    pub against: Option<String>,
    /// Leave state behind that no operator of the job takes up
    #[arg(short = 'n', long, requires = "against")]
    pub allow_non_restored_state: bool,
    /// Let event time begin anew: what the savepoint of a drained job needs
    #[arg(long, requires = "against")]
    pub reset_watermarks: bool,
    /// Tell it as JSON
    #[arg(long)]
    pub json: bool,
}

/// A plan as JSON tells it.
#[derive(Debug, Serialize)]
struct PlanTold {
    program: ProgramTold,
    /// The number of key groups: no operator can have more subtasks.
    max_parallelism: u16,
    /// How many slots it needs.
    slots: u32,
    /// The span between two checkpoints in milliseconds; `null` if none are taken by themselves.
    checkpoint_every_ms: Option<u64>,
    /// Whether it can take and be started from savepoints.
    takes_savepoints: bool,
    vertices: Vec<VertexTold>,
    against: Option<AgainstTold>,
}

#[derive(Debug, Serialize)]
struct VertexTold {
    vertex: u32,
    parallelism: u32,
    /// What feeds it: the other vertex, and how its records are parted.
    inputs: Vec<InputTold>,
    /// Head first.
    operators: Vec<OperatorTold>,
}

#[derive(Debug, Serialize)]
struct InputTold {
    from: u32,
    /// Which side of connected streams it is; absent if there are no two.
    #[serde(skip_serializing_if = "Option::is_none")]
    side: Option<&'static str>,
    partition: Partition,
}

#[derive(Debug, Serialize)]
struct OperatorTold {
    kind: OperatorKind,
    name: String,
    /// `null` for an operator that holds nothing and does no I/O.
    uid: Option<String>,
    note: String,
    /// What it was called before.
    formerly: Vec<String>,
    states: Vec<StateTold>,
}

#[derive(Debug, Serialize)]
struct StateTold {
    name: String,
    schema: String,
    fingerprint: String,
    /// Whether it is held by key; else by item.
    keyed: bool,
    /// The types that it can be made of besides.
    migrates: Vec<String>,
}

#[derive(Debug, Serialize)]
struct AgainstTold {
    path: String,
    job: String,
    checkpoint: u64,
    program: ProgramTold,
    /// Whether the job may start like this: else the exit code is 9.
    fits: bool,
    /// Why not.
    refused: Vec<String>,
    /// State by state: `uid`, `state`, `fate` (`kept`, `migrated`, `changed`, `new`, `lost`,
    /// `unknown`) with what belongs to it, `entries`, `bytes`.
    states: Vec<Line>,
    /// The operators with state whose number of subtasks changes.
    rescaled: Vec<RescaledTold>,
    /// What a person should know, though nothing forbids it.
    warnings: Vec<String>,
    #[serde(skip)]
    comparison: String,
}

#[derive(Debug, Serialize)]
struct RescaledTold {
    uid: String,
    from: u32,
    to: u32,
}

impl Terminal<'_> {
    /// Prints what a job is, and what it would make of a savepoint.
    pub(crate) async fn plan(&mut self, args: &PlanArgs) -> Result<(), Failure> {
        let parallelism = args.parallelism.map(|parallelism| parallelism.to_string());
        let parallelism = parallelism.map(|value| ("parallelism".to_owned(), value));
        let settings = args.set.iter().cloned().chain(parallelism);
        let program = described(std::slice::from_ref(&args.job), settings)?.swap_remove(0);
        let graph = self.programs.plan(&program)?.graph;
        let mut told = PlanTold::new(&program, &graph);
        if let Some(path) = &args.against {
            let from = StartFrom {
                path: path.clone(),
                allow_non_restored: args.allow_non_restored_state,
                reset_watermarks: args.reset_watermarks,
            };
            let found = load(self.host, path, None).await?;
            told.against = Some(AgainstTold::new((&found.folder, &found.metadata), &graph, &from));
        }
        self.tell(&told, args.json, PlanTold::text)?;
        match told.against.filter(|against| !against.fits) {
            None => Ok(()),
            Some(AgainstTold { path, refused, .. }) => {
                let why = match refused.as_slice() {
                    [one] => one.clone(),
                    more => format!("{} reasons", more.len()),
                };
                Err(Failure::new(Exit::Incompatible, format!("{path} does not fit the job: {why}")))
            }
        }
    }
}

impl PlanTold {
    fn new(program: &Program, graph: &JobGraph) -> Self {
        let every = graph.checkpoints.as_ref().and_then(|config| config.interval);
        let vertices = graph.vertices.iter().map(|vertex| VertexTold {
            vertex: vertex.id.0,
            parallelism: vertex.parallelism,
            inputs: InputTold::all(graph, vertex),
            operators: vertex.operators.iter().map(OperatorTold::from).collect(),
        });
        Self {
            program: program.into(),
            max_parallelism: graph.max_parallelism,
            slots: graph.slots(),
            checkpoint_every_ms: every.map(|every| every.as_millis() as u64),
            takes_savepoints: graph.checkpoints.is_some(),
            vertices: vertices.collect(),
            against: None,
        }
    }

    /// The same for a person.
    fn text(&self) -> Vec<String> {
        let checkpoints = match (self.checkpoint_every_ms, self.takes_savepoints) {
            (Some(every), _) => format!("a checkpoint every {every} ms"),
            (None, true) => "checkpoints by savepoint only".to_owned(),
            (None, false) => "no checkpoints".to_owned(),
        };
        let program = &self.program;
        let title = match program.settings.is_empty() {
            true => program.title(),
            false => format!("{} {}", program.title(), program.settings()),
        };
        let slots = many(self.slots.into(), "slot");
        let mut lines = vec![title];
        if let Some(against) = &self.against {
            lines.extend(against.text());
            return lines;
        }
        lines.push(format!("{} key groups, {slots}, {checkpoints}", self.max_parallelism));
        for vertex in &self.vertices {
            lines.push(String::new());
            lines.extend(vertex.text());
        }
        lines
    }
}

impl VertexTold {
    fn text(&self) -> Vec<String> {
        let mut fed: Vec<(String, u32)> = Vec::new();
        for InputTold { from, side, partition } in &self.inputs {
            let how = match partition {
                Partition::Forward => "forward",
                Partition::Hash => "by key",
                Partition::Rebalance => "in turn",
                Partition::Broadcast => "to all",
            };
            let side = side.map(|side| format!("{side} ")).unwrap_or_default();
            let how = format!(", {side}from vertex {from} {how}");
            match fed.iter_mut().find(|(known, _)| *known == how) {
                Some((_, times)) => *times += 1,
                None => fed.push((how, 1)),
            }
        }
        let fed = fed.into_iter().map(|(how, times)| match times {
            1 => how,
            times => format!("{how} ({times} streams)"),
        });
        let subtasks = many(self.parallelism.into(), "subtask");
        let head = format!("vertex {}: {subtasks}{}", self.vertex, fed.collect::<String>());
        let rows: Vec<_> = self.operators.iter().flat_map(OperatorTold::rows).collect();
        let rows = columns(&rows, &[]).into_iter().map(|line| format!("  {line}"));
        std::iter::once(head).chain(rows).collect()
    }
}

impl InputTold {
    fn all(graph: &JobGraph, vertex: &Vertex) -> Vec<Self> {
        let connected = graph.inputs(vertex.id).any(|(_, edge)| edge.input > 0);
        let side = |edge: &Edge| if edge.input == 0 { "left" } else { "right" };
        let told = |(_, edge): (u32, &Edge)| Self {
            from: edge.from.0,
            side: connected.then(|| side(edge)),
            partition: edge.partition,
        };
        graph.inputs(vertex.id).map(told).collect()
    }
}

impl OperatorTold {
    /// A row for itself, and one for each of its states.
    fn rows(&self) -> Vec<Vec<String>> {
        let Self { kind, name, uid, note, formerly, states } = self;
        let kind = match kind {
            OperatorKind::Source => "source",
            OperatorKind::Operator => "operator",
            OperatorKind::Sink => "sink",
        };
        let uid = uid.as_ref().map(|uid| format!("{uid:?}")).unwrap_or_default();
        let was = formerly.iter().map(|was| format!("was {was:?}"));
        let note = Some(note.clone()).filter(|note| !note.is_empty());
        let more = note.into_iter().chain(was).collect::<Vec<_>>().join(", ");
        let own = [kind.to_owned(), uid, name.clone(), more];
        let states = states.iter().map(|state| {
            let by = if state.keyed { "by key" } else { "by item" };
            let made = state.migrates.iter().map(|from| format!(", or made of {from}"));
            let schema = format!("{}{}", state.schema, made.collect::<String>());
            [String::new(), format!("state {:?}", state.name), by.to_owned(), schema]
        });
        std::iter::once(own).chain(states).map(Vec::from).collect()
    }
}

impl From<&OperatorInfo> for OperatorTold {
    fn from(info: &OperatorInfo) -> Self {
        Self {
            kind: info.kind,
            name: info.name.clone(),
            uid: info.uid.as_ref().map(|uid| uid.0.clone()),
            note: info.note.clone(),
            formerly: info.formerly.iter().map(|uid| uid.0.clone()).collect(),
            states: info.states.iter().map(StateTold::from).collect(),
        }
    }
}

impl From<&StateInfo> for StateTold {
    fn from(info: &StateInfo) -> Self {
        let StateInfo { name, schema, keyed, migrates } = info.clone();
        let fingerprint = Schema::of_text(schema.as_str()).fingerprint().to_string();
        Self { name, schema, fingerprint, keyed, migrates }
    }
}

impl AgainstTold {
    fn new(
        (path, metadata): (&str, &CheckpointMetadata),
        graph: &JobGraph,
        from: &StartFrom,
    ) -> Self {
        let comparison = compat::compare(metadata, graph);
        let refused = fits(metadata, graph, from).err().unwrap_or_default();
        let text = comparison.to_string();
        let Comparison { lines: states, warnings, .. } = comparison;
        Self {
            path: path.to_owned(),
            job: metadata.job.to_string(),
            checkpoint: metadata.checkpoint.0,
            program: (&metadata.program).into(),
            fits: refused.is_empty(),
            refused,
            states,
            rescaled: rescaled(metadata, graph),
            warnings,
            comparison: text,
        }
    }

    fn text(&self) -> Vec<String> {
        let Self { path, checkpoint, job, .. } = self;
        // Its name and not its path: what is printed is kept beside the code, on any machine.
        let name = path.rsplit_once('/').map_or(path.as_str(), |(_, name)| name);
        let program = self.program.title();
        let mut lines = vec![
            format!("against {name}: checkpoint {checkpoint} of {program}, job {job}"),
            String::new(),
        ];
        lines.extend(self.comparison.lines().map(str::to_owned));
        lines.extend(self.rescaled.iter().map(|RescaledTold { uid, from, to }| {
            format!("rescaled  {uid}: {from} -> {}", many((*to).into(), "subtask"))
        }));
        let lost = self.states.iter().filter(|line| line.fate == Fate::Lost).count();
        lines.push(String::new());
        lines.push(match (self.fits, lost) {
            (true, 0) => "it fits: nothing is lost".to_owned(),
            (true, lost) => format!("it fits: {} left behind", many(lost as u64, "state")),
            (false, _) => "it does not fit:".to_owned(),
        });
        lines.extend(self.refused.iter().map(|why| format!("  {why}")));
        lines
    }
}

/// The operators with state whose number of subtasks changes, in the order of the graph.
fn rescaled(metadata: &CheckpointMetadata, graph: &JobGraph) -> Vec<RescaledTold> {
    let mut rescaled = Vec::new();
    for vertex in &graph.vertices {
        for operator in vertex.operators.iter().filter(|operator| !operator.states.is_empty()) {
            let Some(uid) = &operator.uid else { continue };
            let names: Vec<_> = std::iter::once(uid).chain(&operator.formerly).collect();
            let was = |other: &&slackwater_core::checkpoint::VertexState| {
                other.uids.iter().any(|uid| names.contains(&uid))
            };
            if let Some(before) = metadata.vertices.iter().find(was)
                && before.parallelism != vertex.parallelism
            {
                let (from, to) = (before.parallelism, vertex.parallelism);
                rescaled.push(RescaledTold { uid: uid.0.clone(), from, to });
            }
        }
    }
    rescaled
}

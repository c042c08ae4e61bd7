//! What a `[[fault]]` does to whom: its keys are checked here, and its deeds made.
//! Nothing is drawn: spans and nodes come drawn from [`super::schedule`]; a key that the deed does
//! not have is a mistake with its place. The shape of the keys is [`super::fault`]'s.

use std::time::Duration;

use serde_spanned::Spanned;
use slackwater_core::fact::PROBES;
use slackwater_core::time::parse_span;

use super::diagnostic::{File, Mistake, suggest};
use super::fault::{Deed, DiskFate, FaultPart, SweepPart, Ways};
use super::format::{Cluster, Document, Role};
use super::values::Pick;
use crate::fault::{Fault, Object, StoreFault};
use crate::world::Delay;

/// What a deed asks for.
struct Wants {
    /// A node, `on`.
    node: bool,
    /// Another node, `on.peer`.
    peer: bool,
    /// `down`.
    down: bool,
    /// `for`, and whether it must be there.
    lasts: bool,
    must_end: bool,
    by: bool,
    ppm: bool,
    object: bool,
    disk: bool,
    ways: bool,
}

fn wants(deed: Deed) -> Wants {
    use Deed::*;
    let link = matches!(deed, Partition | PartitionOneWay | Reset | HalfOpen | Delay);
    Wants {
        node: !deed.is_a_persons()
            && !matches!(deed, StoreSlow | StoreFull | StoreFlip | StoreDelete | StoreForeign),
        peer: link,
        down: matches!(deed, Crash | PowerLoss),
        lasts: matches!(
            deed,
            Pause
                | Partition
                | PartitionOneWay
                | Slow
                | Delay
                | StoreSlow
                | StoreRefuse
                | StoreFull
        ),
        must_end: deed == Pause,
        by: matches!(deed, Slow | Delay | ClockStep | StoreSlow),
        ppm: deed == ClockDrift,
        object: matches!(deed, StoreFlip | StoreDelete | StoreForeign),
        disk: deed == Crash,
        ways: deed == Partition,
    }
}

/// How many nodes of a role there are.
pub(super) fn nodes_of(role: Role, cluster: &Cluster) -> u32 {
    let number = |part: &Option<Spanned<u32>>| part.as_ref().map_or(1, |n| *n.get_ref());
    match role {
        Role::TaskManager => number(&cluster.task_managers),
        Role::JobManager => number(&cluster.job_managers),
        Role::SeriesDatabase => 1,
        Role::Log => u32::from(cluster.log),
        Role::Control => u32::from(cluster.control),
        Role::Any => number(&cluster.task_managers) + number(&cluster.job_managers),
        Role::Standby => number(&cluster.job_managers).saturating_sub(1),
        Role::Leader | Role::Sender | Role::Receiver => 1,
    }
}

/// Looks whether a fault can be.
pub(super) fn check(file: &File, document: &Document, part: &FaultPart) -> Result<(), Mistake> {
    let wants = wants(*part.deed.get_ref());
    super::when::check(file, document, &part.when)?;
    if let Some(until) = &part.until {
        super::when::check_until(file, document, until)?;
    }
    check_target(file, document, part, &wants)?;
    let spans = [
        ("down", part.down.as_ref().map(Spanned::span), wants.down, false),
        ("for", part.lasts.as_ref().map(Spanned::span), wants.lasts, wants.must_end),
        ("by", part.by.as_ref().map(Spanned::span), wants.by, wants.by),
        ("ppm", part.ppm.as_ref().map(Spanned::span), wants.ppm, wants.ppm),
        ("object", part.object.as_ref().map(Spanned::span), wants.object, wants.object),
        ("disk", part.disk.as_ref().map(Spanned::span), wants.disk, false),
        ("until", part.until.as_ref().map(Spanned::span), wants.lasts || wants.down, false),
        ("ways", part.ways.as_ref().map(Spanned::span), wants.ways, false),
    ];
    for (key, span, wanted, needed) in spans {
        match span {
            Some(span) if !wanted => {
                let has = match (wants.down, wants.lasts) {
                    (true, _) => ": use `down`",
                    (_, true) => ": use `for`",
                    _ => "",
                };
                let message = format!("this deed has no `{key}`{has}");
                return Err(Mistake::new(file, span, message));
            }
            None if needed && !(key == "for" && part.until.is_some()) => {
                let message = format!("this deed needs `{key} = …`");
                return Err(Mistake::new(file, part.deed.span(), message));
            }
            _ => {}
        }
    }
    if let Some(by) = &part.by {
        signed_millis(by.get_ref()).map_err(|why| Mistake::new(file, by.span(), why))?;
    }
    Ok(())
}

pub(super) fn known_probe(file: &File, probe: &Spanned<String>) -> Result<(), Mistake> {
    let name = probe.get_ref();
    if PROBES.iter().any(|(known, _)| known == name) {
        return Ok(());
    }
    let help = suggest(name, PROBES.iter().map(|(known, _)| *known));
    Err(Mistake::new(file, probe.span(), format!("unknown event {name:?}")).help(Some(help)))
}

fn check_target(
    file: &File,
    document: &Document,
    part: &FaultPart,
    wants: &Wants,
) -> Result<(), Mistake> {
    let Some(target) = &part.on else {
        let needed = wants.node && *part.deed.get_ref() != Deed::StoreRefuse;
        let message = "this deed needs `on = { role = … }`";
        return if needed { Err(Mistake::new(file, part.deed.span(), message)) } else { Ok(()) };
    };
    let (span, target) = (target.span(), target.get_ref());
    if !wants.node {
        return Err(Mistake::new(file, span, "this deed is done to no node and has no `on`"));
    }
    if target.peer.is_some() != wants.peer {
        let message = match wants.peer {
            true => "this deed is done to a link: add `peer = { role = … }`",
            false => "this deed is done to a node and has no `peer`",
        };
        return Err(Mistake::new(file, span, message));
    }
    let peer = target.peer.as_ref().map(|peer| (peer.role, &peer.pick));
    let roles = [Some(target.role), peer.map(|peer| peer.0)];
    let of_message = |role: &Role| matches!(role, Role::Sender | Role::Receiver);
    if roles.iter().flatten().any(of_message) && part.when.get_ref().message.is_none() {
        let message = "only a message has a sender and a receiver: when = { message = … }";
        return Err(Mistake::new(file, span, message));
    }
    for (role, pick) in [Some((target.role, &target.pick)), peer].into_iter().flatten() {
        let nodes = nodes_of(role, &document.cluster);
        if nodes == 0 {
            let message = match role {
                Role::Standby => "nobody stands by: add `job_managers = 2` to [cluster]",
                Role::Control => {
                    "the cluster has no control server: add `control = true` to [cluster]"
                }
                _ => "the cluster has no log: add `log = true` to [cluster]",
            };
            return Err(Mistake::new(file, part.name.span(), message));
        }
        if let Some(pick) = pick
            && let Pick::Number(number) = pick.get_ref()
            && *number >= nodes
        {
            let message =
                format!("there is no number {number}: the cluster has {nodes} of this role");
            return Err(Mistake::new(file, pick.span(), message));
        }
    }
    Ok(())
}

/// Looks whether a sweep can be.
pub(super) fn check_sweep(
    file: &File,
    document: &Document,
    sweep: &Spanned<SweepPart>,
) -> Result<(), Mistake> {
    let (span, part) = (sweep.span(), sweep.get_ref());
    let mistake = |message: &str| Err(Mistake::new(file, span.clone(), message));
    match (&part.window, &part.times, &part.between) {
        (Some(window), None, None) => {
            for probe in [&window.get_ref().0, &window.get_ref().1] {
                known_probe(file, &Spanned::new(window.span(), probe.clone()))?;
            }
        }
        (None, Some(times), Some((from, to))) if *times.get_ref() > 0 && from.0 < to.0 => {}
        _ => {
            return mistake(
                "a sweep has `window = [PROBE, PROBE]`, or `times = N` and `between = [FROM, TO]`",
            );
        }
    }
    if part.victims.is_empty() {
        return mistake("a sweep has at least one victim");
    }
    let known = node_names(&document.cluster);
    for victim in &part.victims {
        if !known.contains(victim.get_ref()) {
            let help = suggest(victim.get_ref(), known.iter().map(String::as_str));
            let message = format!("there is no node {:?}", victim.get_ref());
            return Err(Mistake::new(file, victim.span(), message).help(Some(help)));
        }
    }
    Ok(())
}

fn node_names(cluster: &Cluster) -> Vec<String> {
    use Role::{Control, JobManager, Log, SeriesDatabase, TaskManager};
    let roles = [JobManager, TaskManager, SeriesDatabase, Log, Control];
    let of = |role| (0..nodes_of(role, cluster)).map(move |number| node_name(role, number));
    roles.into_iter().flat_map(of).collect()
}

/// What somebody is called of whom only the run can tell who he is; `of` tells two such apart.
pub(super) fn called(role: Role, touched_by: Option<&str>, of: &str) -> String {
    let name = match role {
        Role::Leader => "leader",
        Role::Standby => "standby",
        Role::Sender => "sender",
        Role::Receiver => "receiver",
        Role::TaskManager => "task_manager",
        Role::JobManager => "job_manager",
        Role::SeriesDatabase => "series_database",
        Role::Log => "log",
        Role::Control => "control",
        Role::Any => "any",
    };
    match touched_by {
        Some(what) if of == "peer" => format!("{name} touched by {what}, the peer"),
        Some(what) => format!("{name} touched by {what}"),
        None => name.to_owned(),
    }
}

/// The node of a role with this number, from 0.
pub(super) fn node_name(role: Role, number: u32) -> String {
    use crate::world::cluster::{CONTROL, DATABASE, LOG, job_manager_node};
    match role {
        Role::JobManager => job_manager_node(number + 1),
        Role::SeriesDatabase => DATABASE.to_owned(),
        Role::Log => LOG.to_owned(),
        Role::Control => CONTROL.to_owned(),
        Role::TaskManager => format!("tm-{}", number + 1),
        Role::Any => called(role, None, "node"),
        Role::Leader | Role::Standby | Role::Sender | Role::Receiver => called(role, None, ""),
    }
}

/// The deeds with which a fault begins and, if it does, ends; `usual` is how long the links of this
/// world take.
pub(super) fn deeds(
    part: &FaultPart,
    (node, peer): (&str, &str),
    bit: u64,
    usual: Delay,
) -> (Vec<Fault>, Vec<Fault>) {
    let (node, peer) = (node.to_owned(), peer.to_owned());
    let millis = part.by.as_ref().and_then(|by| signed_millis(by.get_ref()).ok()).unwrap_or(0);
    let by = Duration::from_millis(millis.unsigned_abs());
    let one = |begin: Fault| (vec![begin], Vec::new());
    let start = || vec![Fault::Start { node: node.clone() }];
    let hold = |from: &String, to: &String| Fault::Hold { from: from.clone(), to: to.clone() };
    let release = || vec![Fault::Release { between: (node.clone(), peer.clone()) }];
    let store = |fault: StoreFault| vec![Fault::Store(fault)];
    let healed = || store(StoreFault::Heal);
    let object = || object(part);
    let one_way = part.ways.as_ref().is_some_and(|ways| *ways.get_ref() == Ways::OneWay);
    let typed = || one(super::act::deed(part));
    match *part.deed.get_ref() {
        Deed::Crash => (crash(part, node.clone()), start()),
        Deed::PowerLoss => (vec![Fault::PowerLoss { node: node.clone() }], start()),
        Deed::Pause => {
            let resume = vec![Fault::Resume { node: node.clone() }];
            (vec![Fault::Pause { node: node.clone() }], resume)
        }
        Deed::Partition if one_way => (vec![hold(&node, &peer)], release()),
        Deed::Partition => (vec![hold(&node, &peer), hold(&peer, &node)], release()),
        Deed::PartitionOneWay => (vec![hold(&node, &peer)], release()),
        Deed::Reset => one(Fault::Reset { between: (node, peer) }),
        Deed::HalfOpen => one(Fault::HalfOpen { gone: node, unaware: peer }),
        Deed::Slow => {
            let fast = vec![Fault::Slow { node: node.clone(), by: Duration::ZERO }];
            (vec![Fault::Slow { node: node.clone(), by }], fast)
        }
        Deed::Delay => {
            let takes = |delay| Fault::Delay { between: (node.clone(), peer.clone()), delay };
            (vec![takes(usual.longer(by))], vec![takes(usual)])
        }
        Deed::ClockStep => one(Fault::ClockStep { node, by_ms: millis }),
        Deed::ClockDrift => {
            let ppm = part.ppm.as_ref().map_or(0, |ppm| *ppm.get_ref());
            one(Fault::ClockDrift { node, ppm })
        }
        Deed::StoreSlow => (store(StoreFault::Slow { by }), healed()),
        Deed::StoreRefuse => {
            let node = part.on.is_some().then_some(node);
            (store(StoreFault::Refuse { node }), healed())
        }
        Deed::StoreFull => (store(StoreFault::Full), healed()),
        Deed::StoreTear => (store(StoreFault::Tear { node }), Vec::new()),
        Deed::List | Deed::Savepoint | Deed::StopResume | Deed::SavepointCancelResume => typed(),
        Deed::CancelResubmit | Deed::CancelTwiceResubmit | Deed::SubmitCancel => typed(),
        Deed::StoreFlip => (store(StoreFault::Flip { object: object(), bit }), Vec::new()),
        Deed::StoreDelete => (store(StoreFault::Delete { object: object() }), Vec::new()),
        Deed::StoreForeign => (store(StoreFault::Foreign { object: object() }), Vec::new()),
    }
}

/// A crash, by what it leaves of the node's writes.
fn crash(part: &FaultPart, node: String) -> Vec<Fault> {
    let fate = part.disk.as_ref().map_or(DiskFate::Keep, |disk| *disk.get_ref());
    match fate {
        DiskFate::Keep => vec![Fault::Kill { node }],
        DiskFate::LoseUnsynced => vec![Fault::PowerLoss { node }],
        DiskFate::TornLastWrite => {
            let tear = Fault::Store(StoreFault::Tear { node: node.clone() });
            vec![tear, Fault::PowerLoss { node }]
        }
    }
}

fn object(part: &FaultPart) -> Object {
    match part.object.as_ref().map_or("", |object| object.get_ref().as_str()) {
        "state" => Object::State,
        "metadata" => Object::Metadata,
        "log_entry" => Object::LogEntry,
        path => Object::Path(path.to_owned()),
    }
}

/// `"2s"` or `"-2s"` in milliseconds.
fn signed_millis(text: &str) -> Result<i64, String> {
    let (sign, span) = text.strip_prefix('-').map_or((1, text), |span| (-1, span));
    let span = parse_span(span)?;
    Ok(sign * i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}

//! Whom faults are done to, where the cluster alone decides: any of a role, both ends of a link.
//! Whom only the run can tell stays as it is: the leader, a sender, who had to do with something. Drawn
//! from streams that the faults name, by [`super`].

use serde_spanned::Spanned;

use super::Drawing;
use crate::scenario::tree::{self, Node, Table};

/// Deeds that are done to the link between two nodes.
const LINKS: &[&str] = &["partition", "partition_one_way", "hold", "reset", "half_open", "delay"];

impl Drawing<'_> {
    /// Every target that the cluster alone decides.
    pub(super) fn targets(&mut self, part: &mut Table, name: &str) {
        let is_link = tree::str(part, "do").is_some_and(|deed| LINKS.contains(&deed));
        let of_message = tree::table(part, "when").is_some_and(|when| when.contains_key("message"));
        if is_link && !part.contains_key("on") && of_message {
            let span = part.get("do").map_or(0..0, Spanned::span);
            let on = Spanned::new(span.clone(), Node::Table(ends(&span, "sender", "receiver")));
            tree::put(part, "on", on);
        }
        if is_link && !part.contains_key("on") {
            let span = part.get("do").map_or(0..0, Spanned::span);
            let peer = Spanned::new(span.clone(), Node::Table(any(span.clone())));
            let mut on = any(span.clone());
            tree::put(&mut on, "peer", peer);
            tree::put(part, "on", Spanned::new(span, Node::Table(on)));
        }
        let Some(on) = tree::table_mut(part, "on") else { return };
        let link = tree::str(on, "link").and_then(|link| link.split_once("->"));
        if let Some((from, to)) = link.map(|(from, to)| (from.trim(), to.trim())) {
            let span = on.get("link").map_or(0..0, Spanned::span);
            *on = ends(&span, from, to);
        }
        self.pick(on, &format!("fault/{name}/on"), &ENGINE[..], None);
        let own = (
            tree::str(on, "role").map(str::to_owned),
            on.get("pick").and_then(|value| value.get_ref().as_integer()),
        );
        if let Some(peer) = tree::table_mut(on, "peer") {
            let own = own.0.map(|role| (role, own.1.unwrap_or(0)));
            self.pick(peer, &format!("fault/{name}/peer"), &ALL[..], own);
        }
    }

    fn pick(
        &mut self,
        target: &mut Table,
        stream: &str,
        roles: &[&str],
        but: Option<(String, i64)>,
    ) {
        let span = target.get("pick").or(target.get("role")).map_or(0..0, Spanned::span);
        let is_any = tree::str(target, "pick") == Some("any");
        let Some(role) = tree::str(target, "role").map(str::to_owned) else { return };
        if target.contains_key("where") || !(is_any || role == "any") {
            return;
        }
        let of = |role: &str| nodes(self.document, role);
        let nodes: Vec<(String, i64)> = match role.as_str() {
            "any" => {
                roles.iter().flat_map(|role| of(role)).filter(|n| Some(n) != but.as_ref()).collect()
            }
            role => of(role).into_iter().filter(|node| Some(node) != but.as_ref()).collect(),
        };
        // A role that is not there is told where the shape is read.
        if let Some((role, number)) = nodes.get(self.luck.index(stream, nodes.len())) {
            tree::put(target, "role", tree::text(span.clone(), role.as_str()));
            tree::put(target, "pick", tree::literal(span, *number));
        }
    }
}

/// The nodes of a role.
pub(in crate::scenario) fn nodes(document: &Table, role: &str) -> Vec<(String, i64)> {
    let cluster = tree::table(document, "cluster");
    let number = |key: &str| {
        let number = cluster.and_then(|cluster| cluster.get(key));
        number.and_then(|value| value.get_ref().as_integer()).unwrap_or(1)
    };
    let count = match role {
        "task_manager" => number("task_managers"),
        "job_manager" => number("job_managers"),
        "series_database" => 1,
        "log" => {
            let log = cluster.and_then(|cluster| cluster.get("log"));
            i64::from(log.and_then(|log| log.get_ref().as_bool()).unwrap_or(false))
        }
        _ => 0,
    };
    (0..count).map(|number| (role.to_owned(), number)).collect()
}

/// The processes of the engine.
const ENGINE: [&str; 2] = ["job_manager", "task_manager"];
/// And whom they talk to.
pub(in crate::scenario) const ALL: [&str; 4] =
    ["job_manager", "task_manager", "series_database", "log"];

/// A link, by the roles of its ends.
fn ends(span: &std::ops::Range<usize>, from: &str, to: &str) -> Table {
    let role = |role: &str| {
        let mut table = Table::new();
        tree::put(&mut table, "role", tree::text(span.clone(), role));
        table
    };
    let mut on = role(from);
    tree::put(&mut on, "peer", Spanned::new(span.clone(), Node::Table(role(to))));
    on
}

fn any(span: std::ops::Range<usize>) -> Table {
    let mut any = Table::new();
    tree::put(&mut any, "role", tree::text(span.clone(), "any"));
    tree::put(&mut any, "pick", tree::text(span, "any"));
    any
}

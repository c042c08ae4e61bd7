//! Every key group has a key, and every key was summed by the subtask that owns its group.
//! Knows owners by arithmetic of its own (semantics rule 10), and writers by their names only.
//! How many records each subtask had is [`super::subtasks`].

use std::collections::{BTreeMap, BTreeSet};

use slackwater_core::key::Key;

use super::{Args, Broken, Check, Evidence, Kind, Needs, Outcome};

pub(super) const CHECK: Check = Check {
    name: "every_key_group",
    about: "the ledger's accounts lie in every key group, and each is written by its group's owner",
    keys: &[("groups", Kind::Number), ("parallelism", Kind::Number)],
    measures: &["covered"],
    needs: Needs::Run,
    judge,
};

fn judge(run: &Evidence<'_>, args: &Args) -> Outcome {
    let groups = args.number("groups", 128.0) as u64;
    let parallelism = args.number("parallelism", 1.0) as u64;
    let rows = run.rows("ledger");
    let (mut seen, mut wrong) = (BTreeSet::new(), None);
    let mut owners = BTreeMap::<u64, BTreeSet<u64>>::new();
    for ((account, _), row) in &rows {
        let Ok(key) = account.parse::<u32>() else {
            wrong.get_or_insert(Broken::at(row.at, format!("{account:?} is no account")));
            continue;
        };
        let group = key.hash64() % groups.max(1);
        let owner = group * parallelism / groups.max(1);
        seen.insert(group);
        owners.entry(owner).or_default().insert(group);
        let by = subtask(&row.writer);
        if by != Some(owner) {
            let writer = &row.writer;
            let what = format!(
                "account {account} of group {group}: {writer:?} wrote it, not subtask {owner}"
            );
            wrong.get_or_insert(Broken::at(row.at, what));
        }
    }
    let absent = (0..groups).find(|group| !seen.contains(group));
    let shares: Vec<_> = owners.values().map(|groups| groups.len().to_string()).collect();
    let summary = format!("{} of {groups} groups, by subtask {}", seen.len(), shares.join(" "));
    Outcome::saw(rows.len() as u64, summary)
        .measured("covered", seen.len() as f64)
        .broken_by(wrong)
        .broken_by(absent.map(|group| Broken::somewhere(format!("group {group} has no key"))))
}

/// The index in a writer's name such as `ledger-sink v2[1]#3`.
fn subtask(writer: &str) -> Option<u64> {
    let (_, rest) = writer.rsplit_once('[')?;
    rest.split_once(']')?.0.parse().ok()
}

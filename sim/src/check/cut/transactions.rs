//! The transactions that a checkpoint lists are those that its sinks had prepared and nobody had
//! committed when its barrier passed them.
//! Reads what the database told of them; whether they commit in the end is [`crate::check`]'s
//! `ledger`. Their names say whose they are.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use slackwater_core::checkpoint::CheckpointMetadata;
use slackwater_core::fact::Fact;
use slackwater_core::id::CheckpointId;

use super::Parts;
use crate::check::sections::Share;

/// What the database was told of transactions.
#[derive(Default)]
pub(super) struct Transactions {
    prepared: BTreeMap<String, (CheckpointId, u64)>,
    committed: BTreeSet<String>,
}

/// A transaction as a checkpoint lists it.
#[derive(Clone, Debug, Deserialize)]
struct Listed {
    id: String,
    checkpoint: CheckpointId,
    rows: u64,
}

impl Transactions {
    pub(super) fn note(&mut self, fact: &Fact) {
        match fact {
            Fact::TransactionPrepared { id, checkpoint, rows, .. } => {
                self.prepared.insert(id.clone(), (*checkpoint, *rows));
            }
            Fact::TransactionCommitted { id, .. } => {
                self.committed.insert(id.clone());
            }
            _ => {}
        }
    }

    /// Holds what a checkpoint lists against what was prepared. Whether it lists any.
    pub(super) fn hold(
        &self,
        complete: &CheckpointMetadata,
        parts: &Parts,
    ) -> Result<bool, String> {
        let mut any = false;
        for section in parts.values().flatten().filter(|s| s.state == "transactions") {
            let Share::Item(index) = section.share else {
                return Err(format!("{} is no subtask's", section.name()));
            };
            let listed: Vec<Listed> =
                section.only().map_err(|why| format!("{}: {why}", section.name()))?;
            any |= !listed.is_empty();
            for Listed { id, checkpoint, rows } in &listed {
                let prepared = self.prepared.get(id);
                if prepared != Some(&(*checkpoint, *rows)) || *checkpoint > complete.checkpoint {
                    return Err(format!(
                        "it lists {id} of {rows} rows for checkpoint {checkpoint}, and the \
                         database holds {prepared:?}"
                    ));
                }
            }
            let CheckpointMetadata { job, epoch, attempt, .. } = complete;
            let own = format!("{job}/{}/{index}/e{epoch}a{attempt}/", section.uid);
            let mut due = self.prepared.range(own.clone()..);
            let forgotten = due.by_ref().take_while(|(id, _)| id.starts_with(&own)).find(
                |(id, (checkpoint, _))| {
                    *checkpoint <= complete.checkpoint
                        && !self.committed.contains(*id)
                        && !listed.iter().any(|listed| listed.id == **id)
                },
            );
            if let Some((id, _)) = forgotten {
                return Err(format!("{id} is prepared, and the checkpoint does not list it"));
            }
        }
        Ok(any)
    }
}

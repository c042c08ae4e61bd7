//! The verb `probes`: every event that the engine and its world tell, with its fields.
//! Nothing is played. The catalogue is the engine's own: a name that is not in it cannot be waited
//! for, expected or counted, and one that is in it is told by [`slackwater_core::fact::Fact`].

use std::io::Write;

use slackwater_cli::exit::Exit;
use slackwater_core::fact::{PROBES, fields_of};

use super::Refusal;
use crate::scenario::{Class, nearest};

/// What `probes` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct ProbesArgs {
    /// Only those whose name has this in it: checkpoint
    pub name: Option<String>,
}

/// Prints the catalogue, or the part of it that was asked for.
pub(super) fn probes(args: &ProbesArgs) -> Result<Option<Class>, Refusal> {
    let wanted = args.name.as_deref().unwrap_or_default();
    let found: Vec<_> = PROBES.iter().filter(|(name, _)| name.contains(wanted)).collect();
    if found.is_empty() {
        let help = nearest(wanted, PROBES.iter().map(|(name, _)| *name));
        return Err((Exit::Usage, format!("error: no event has {wanted:?} in its name: {help}")));
    }
    let mut out = std::io::stdout().lock();
    for (name, about) in found {
        // A reader that has gone away has seen enough.
        let _ = writeln!(out, "{name}\n    {}", about.trim());
        let fields = fields_of(name).iter().map(|(field, kind)| format!("{field}: {kind}"));
        let fields: Vec<_> = fields.collect();
        if !fields.is_empty() {
            let _ = writeln!(out, "    {}", fields.join(", "));
        }
    }
    Ok(None)
}

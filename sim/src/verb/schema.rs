//! The verb `schema`: the JSON Schema of scenario files.
//! Nothing is read and nothing is played. What stands in it is [`crate::scenario::schema`]'s.

use std::io::Write;

use super::Refusal;
use crate::scenario::{Class, schema as of_scenarios};

/// Prints the schema.
pub(super) fn schema() -> Result<Option<Class>, Refusal> {
    // A reader that has gone away has seen enough.
    let _ = writeln!(std::io::stdout().lock(), "{:#}", of_scenarios());
    Ok(None)
}

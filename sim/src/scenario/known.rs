//! Whether the fields that a scenario speaks of are those of the event: `where = { checkpoint = 3 }`.
//! A field that an event does not have would never be shown, and the story would wait for ever.
//! Which fields there are is said by the facts themselves; events by [`super::befall`].

use serde_spanned::Spanned;
use slackwater_core::fact::fields_of;

use super::diagnostic::{File, Mistake, suggest};

/// Looks whether an event has these fields; an event that nobody knows is told elsewhere.
pub(super) fn fields<'a>(
    file: &File,
    event: &Spanned<String>,
    fields: impl IntoIterator<Item = &'a str>,
) -> Result<(), Mistake> {
    let name = event.get_ref();
    let known = || fields_of(name).iter().map(|(field, _)| *field);
    match fields.into_iter().find(|field| !known().any(|known| known == *field)) {
        None => Ok(()),
        Some(field) => {
            let message = format!("the event {name} has no field `{field}`");
            let help = suggest(field, known());
            Err(Mistake::new(file, event.span(), message).help(Some(help)))
        }
    }
}

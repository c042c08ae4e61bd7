//! `flat_map`: one record in, any number out, all with the timestamp of the one.
//! Holds no state; a watermark passes behind everything that came before it.
//! Its typed front is [`crate::stream::Stream::flat_map`].

use slackwater_core::element::Batch;

use super::{BoxStage, Context, Stage, Step, pass_on, rewrite};

/// Turns every record into a sequence of records.
pub struct FlatMap<F, U> {
    f: F,
    next: BoxStage<U>,
}

impl<F, U> FlatMap<F, U> {
    /// Flattens what `f` gives, in front of `next`.
    pub fn new(f: F, next: BoxStage<U>) -> Self {
        Self { f, next }
    }
}

impl<T, U, I, F> Stage<T> for FlatMap<F, U>
where
    I: IntoIterator<Item = U>,
    F: FnMut(T) -> I,
{
    fn batch(&mut self, batch: Batch<T>, cx: &mut Context<'_>) -> Step {
        let flat = rewrite(batch, |time, value, out| {
            (self.f)(value).into_iter().for_each(|value| out.push(time, value));
        });
        if flat.is_empty() { Ok(()) } else { self.next.batch(flat, cx) }
    }

    pass_on!();
}

//! A stream parted by key: what follows keeps its state by key, and runs in parallel.
//! Owns no state: it names a stream and a key function.
//! Unkeyed streams are in [`super::flow`].

use super::flow::Stream;
use std::marker::PhantomData;
/// keyed
pub struct Keyed<K, T, F> {
    stream: Stream<T>,
    key: F,
    of: PhantomData<fn() -> K>,
}
impl<K, T, F> Keyed<K, T, F> {
    pub(super) fn new(stream: Stream<T>, key: F) -> Self {
        Self { stream, key, of: PhantomData }
    }
}

//! The nouns of the engine: time, elements and batches, keys and key groups, the job graph, facts,
//! the versioned codec. Plain data: nothing here waits, does I/O, reads a clock or decides anything.
//! What is done to elements lives in `slackwater-dataflow`; who decides, in `slackwater-control`.

pub mod checkpoint;
pub mod codec;
pub mod compat;
pub mod element;
pub mod fact;
pub mod graph;
pub mod id;
pub mod joblog;
pub mod key;
pub mod measure;
pub mod message;
pub mod point;
pub mod program;
pub mod random;
pub mod savepoint;
pub mod schema;
pub mod time;

/// What a record must be to travel on a stream: owned, cloneable, and serializable by serde.
///
/// Implemented for every type that qualifies; there is nothing to write.
pub trait Data: Clone + Send + serde::Serialize + serde::de::DeserializeOwned + 'static {}
impl<T> Data for T where T: Clone + Send + serde::Serialize + serde::de::DeserializeOwned + 'static {}

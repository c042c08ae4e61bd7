//! What crosses from one task to another: a batch whose type only its two ends know, or a signal.
//! Between tasks of one process a batch moves by pointer; across processes it is encoded once, by
//! the [`ElementCodec`] of its edge. Channels, credits and frames are in `runtime::exchange`.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

use slackwater_core::Data;
use slackwater_core::codec::{CodecError, decode_batch, encode_batch};
use slackwater_core::element::{Batch, Mark, Signal};
use slackwater_core::schema::{Schema, SchemaError};
use slackwater_core::time::EventTime;

/// A batch of some type, behind one pointer.
pub struct AnyBatch(Box<dyn Columns>);

trait Columns: Send {
    fn rows(&self) -> usize;
    fn marks(&mut self) -> &mut Vec<Mark>;
    fn as_any(&self) -> &dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<T: Send + 'static> Columns for Batch<T> {
    fn rows(&self) -> usize {
        self.values.len()
    }
    fn marks(&mut self) -> &mut Vec<Mark> {
        &mut self.marks
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl AnyBatch {
    /// Hides the type of a batch.
    pub fn new<T: Send + 'static>(batch: Batch<T>) -> Self {
        Self(Box::new(batch))
    }

    /// Hides the type of a batch that is boxed already: nothing is allocated.
    pub fn from_box<T: Send + 'static>(batch: Box<Batch<T>>) -> Self {
        Self(batch)
    }

    /// A watermark alone, which needs no type: it becomes a batch of whatever is asked for.
    pub fn of_watermark(watermark: EventTime) -> Self {
        Self::new(Batch::<()>::of_watermark(watermark))
    }

    /// How many records it holds.
    pub fn rows(&self) -> usize {
        self.0.rows()
    }

    /// Its watermarks: a gate rewrites them to the minimum over its channels.
    pub fn marks_mut(&mut self) -> &mut Vec<Mark> {
        self.0.marks()
    }

    /// The batch, if it holds `T`s.
    pub fn downcast_ref<T: 'static>(&self) -> Option<&Batch<T>> {
        self.0.as_any().downcast_ref()
    }

    /// The batch as what it is.
    ///
    /// # Panics
    /// If it holds another type: the graph fixed the type of every edge when it was built. A batch
    /// without rows has no type.
    pub fn downcast<T: 'static>(mut self) -> Box<Batch<T>> {
        if self.rows() == 0 {
            let marks = std::mem::take(self.marks_mut());
            return Box::new(Batch { marks, ..Batch::default() });
        }
        self.0.into_any().downcast().expect("an edge carries the type that it was built for")
    }
}

impl fmt::Debug for AnyBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyBatch({} rows)", self.rows())
    }
}

/// What travels on a channel.
#[derive(Debug)]
pub enum Packet {
    /// Records and watermarks.
    Batch(AnyBatch),
    /// Idle, active, a barrier, a latency marker, the end.
    Signal(Signal),
}

/// How the batches of one edge become bytes and come back.
pub trait ElementCodec: Send + Sync {
    /// The type that travels.
    fn schema(&self) -> &Schema;
    /// # Errors
    /// If a value refuses to be serialized.
    fn encode(&self, batch: &AnyBatch) -> Result<Vec<u8>, CodecError>;
    /// # Errors
    /// If the bytes are not a batch of this type.
    fn decode(&self, bytes: &[u8]) -> Result<AnyBatch, CodecError>;
}

/// The codec of `T`s.
pub struct SerdeCodec<T> {
    schema: Schema,
    of: PhantomData<fn() -> T>,
}

impl<T: Data> SerdeCodec<T> {
    /// # Errors
    /// If `T` has no fixed shape.
    pub fn new() -> Result<Self, SchemaError> {
        Ok(Self { schema: Schema::of::<T>()?, of: PhantomData })
    }
}

impl<T: Data> ElementCodec for SerdeCodec<T> {
    fn schema(&self) -> &Schema {
        &self.schema
    }
    fn encode(&self, batch: &AnyBatch) -> Result<Vec<u8>, CodecError> {
        let batch = batch.downcast_ref::<T>();
        encode_batch(batch.expect("an edge carries the type that it was built for"))
    }
    fn decode(&self, bytes: &[u8]) -> Result<AnyBatch, CodecError> {
        decode_batch::<T>(bytes).map(AnyBatch::new)
    }
}

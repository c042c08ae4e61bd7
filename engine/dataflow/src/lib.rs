//! The data plane, pure: operators, windows, keyed state, timers, gates, the stream API.
//! Elements in, elements out: synchronous, never sockets, never clocks, never threads.
//! What polls, waits and sends is `slackwater-runtime`; it meets this crate at [`task`].

pub mod connector;
pub mod gate;
pub mod harness;
pub mod metric;
pub mod operator;
pub mod packet;
pub mod partition;
pub mod sink;
pub mod source;
pub mod state;
pub mod stream;
pub mod task;
pub mod watermark;
pub mod window;

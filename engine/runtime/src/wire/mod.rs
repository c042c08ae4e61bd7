//! What travels on connections: bounded frames, the handshake that opens every connection.
//! Never decides what a message means, and never reads on after a frame that was torn or too long.
//! Batches between workers are in [`crate::exchange`]; who connects to whom is in the rooms above.

pub mod about;
pub mod frame;
pub mod handshake;
pub mod lobby;
pub mod message;
pub mod session;
pub mod token;

//! What stands at the head of every frame between two workers, and what opens their connection.
//! A head carries epoch and attempt, so that a frame of a dead attempt changes nothing. Batches
//! follow their head as the edge's codec wrote them; [`super::link`] and [`super::entrance`] send.

use serde::{Deserialize, Serialize};
use slackwater_core::codec::CodecError;
use slackwater_core::element::Signal;
use slackwater_core::id::{Attempt, ChannelId, JobEpoch, JobId};
use slackwater_core::schema::Fingerprint;

/// The body of a sender's greeting: which attempt, and which channels this connection carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Opening {
    pub job: JobId,
    pub epoch: JobEpoch,
    pub attempt: Attempt,
    pub channels: Vec<(ChannelId, Fingerprint)>,
}

/// The body of the receiver's welcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Granted {
    /// How many packets each channel may send before it is granted more.
    pub credits: u32,
}

/// The head of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Head {
    /// Sender to receiver: a batch, encoded behind the head.
    Batch { epoch: JobEpoch, attempt: Attempt, channel: ChannelId, rows: u32 },
    /// Sender to receiver: a signal.
    Signal { epoch: JobEpoch, attempt: Attempt, channel: ChannelId, signal: Signal },
    /// Receiver to sender: this many more packets may come.
    Credit { channel: ChannelId, credits: u32 },
    /// Receiver to sender: the end of the channel has arrived.
    Ended { channel: ChannelId },
    /// Both ways: still there.
    Heartbeat,
}

impl Head {
    pub(super) fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("a head is a plain enum")
    }

    /// The head of a frame, and what follows it.
    pub(super) fn decode(frame: &[u8]) -> Result<(Self, &[u8]), CodecError> {
        postcard::take_from_bytes(frame).map_err(|error| CodecError::Malformed(error.to_string()))
    }
}

//! Versioned, checksummed bytes: the sealed envelope around everything that is stored, the
//! encoding of batches on the wire and of control messages. What is written can be read by the
//! next version, or it says why not; nothing here panics on bytes from outside.
//! What goes into a frame is decided in `slackwater-runtime`'s `wire`; into state, in `dataflow::state`.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use crate::Data;
use crate::element::{Batch, Mark};
use crate::schema::Fingerprint;
use crate::time::EventTime;

const MAGIC: [u8; 4] = *b"SLKW";
const HEADER: usize = 4 + 2 + 2 + 8 + 8;
const CHECKSUM: usize = 8;

/// What a sealed envelope holds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// The keyed and operator state of one subtask.
    State = 1,
    /// A checkpoint's or savepoint's metadata.
    Metadata = 2,
    /// An entry of a job's metadata log.
    LogEntry = 3,
    /// A stored series of points.
    Series = 4,
    /// The head of a file that holds the sections of one subtask.
    StateFile = 5,
    /// The taking or renewal of the leader's lease.
    Lease = 6,
    /// The name that a person gave a savepoint.
    Tag = 7,
}

/// Why bytes could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodecError {
    /// Fewer bytes than the header promises.
    Truncated {
        /// How many were needed.
        needed: usize,
        /// How many there were.
        found: usize,
    },
    /// Not an envelope of this engine, or one of another kind.
    WrongKind {
        /// What was expected.
        expected: Kind,
        /// The kind's number as found; `None` if the magic bytes are missing.
        found: Option<u16>,
    },
    /// Written by a version that this one does not know.
    UnknownVersion {
        /// As found.
        found: u16,
        /// The newest that can be read.
        supported: u16,
    },
    /// The type was another one when the bytes were written.
    OtherSchema {
        /// Of the type that reads.
        expected: Fingerprint,
        /// Of the type that wrote.
        found: Fingerprint,
    },
    /// The bytes have changed since they were written.
    Checksum,
    /// The checksum holds, yet the content does not decode.
    Malformed(String),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { needed, found } => {
                write!(f, "truncated: {needed} bytes needed, {found} found")
            }
            Self::WrongKind { expected, found: None } => {
                write!(f, "expected {expected:?}, found no envelope at all")
            }
            Self::WrongKind { expected, found: Some(kind) } => {
                write!(f, "expected {expected:?}, found an envelope of kind {kind}")
            }
            Self::UnknownVersion { found, supported } => {
                write!(f, "format version {found} is newer than {supported}, the newest known here")
            }
            Self::OtherSchema { expected, found } => {
                write!(f, "written with schema {found}, expected {expected}")
            }
            Self::Checksum => f.write_str("the checksum does not match: the bytes are damaged"),
            Self::Malformed(why) => write!(f, "malformed: {why}"),
        }
    }
}

impl std::error::Error for CodecError {}

/// Seals `payload`: magic, kind, version, fingerprint, length, payload, checksum of all of it.
pub fn seal(kind: Kind, version: u16, schema: Fingerprint, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + payload.len() + CHECKSUM);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&(kind as u16).to_le_bytes());
    out.extend_from_slice(&version.to_le_bytes());
    out.extend_from_slice(&schema.0.to_le_bytes());
    out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    out.extend_from_slice(payload);
    let checksum = xxh3_64(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// An opened envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// The format version that wrote it.
    pub version: u16,
    /// The schema that wrote it; see [`Opened::expect_schema`].
    pub schema: Fingerprint,
    /// What was sealed.
    pub payload: &'a [u8],
    /// How many bytes the envelope took from the front.
    pub length: usize,
}

impl<'a> Opened<'a> {
    /// The payload, if it was written with this schema.
    ///
    /// # Errors
    /// [`CodecError::OtherSchema`].
    pub fn expect_schema(&self, expected: Fingerprint) -> Result<&'a [u8], CodecError> {
        if self.schema == expected {
            Ok(self.payload)
        } else {
            Err(CodecError::OtherSchema { expected, found: self.schema })
        }
    }
}

/// Opens the envelope at the front of `bytes`.
///
/// # Errors
/// Any [`CodecError`]; a damaged envelope is named, never decoded.
pub fn open(bytes: &[u8], expected: Kind, supported: u16) -> Result<Opened<'_>, CodecError> {
    let found = bytes.len();
    if found < HEADER + CHECKSUM {
        return Err(CodecError::Truncated { needed: HEADER + CHECKSUM, found });
    }
    if bytes[..4] != MAGIC {
        return Err(CodecError::WrongKind { expected, found: None });
    }
    let length = u64_at(bytes, 16);
    let body_end = usize::try_from(length).ok().and_then(|length| HEADER.checked_add(length));
    let end = body_end.and_then(|end| end.checked_add(CHECKSUM)).unwrap_or(usize::MAX);
    if found < end {
        return Err(CodecError::Truncated { needed: end, found });
    }
    let body = end - CHECKSUM;
    if xxh3_64(&bytes[..body]) != u64_at(bytes, body) {
        return Err(CodecError::Checksum);
    }
    let (kind, version) = (u16_at(bytes, 4), u16_at(bytes, 6));
    if kind != expected as u16 {
        return Err(CodecError::WrongKind { expected, found: Some(kind) });
    }
    if version > supported {
        return Err(CodecError::UnknownVersion { found: version, supported });
    }
    let schema = Fingerprint(u64_at(bytes, 8));
    Ok(Opened { version, schema, payload: &bytes[HEADER..body], length: end })
}

/// The payload of an envelope that this process has just sealed. Nothing is verified: what comes from
/// anywhere else is read with [`open`]. `None` if it is too short for any envelope.
pub fn sealed(envelope: &[u8]) -> Option<&[u8]> {
    envelope.get(HEADER..envelope.len().checked_sub(CHECKSUM)?)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// Encodes a batch for the wire. Its schema is agreed on when the channel opens.
///
/// # Errors
/// If a value refuses to be serialized.
pub fn encode_batch<T: Data>(batch: &Batch<T>) -> Result<Vec<u8>, CodecError> {
    bitcode::serialize(&(&batch.times, &batch.values, &batch.marks))
        .map_err(|error| CodecError::Malformed(error.to_string()))
}

/// Decodes what [`encode_batch`] wrote, and checks that columns and marks fit together.
///
/// # Errors
/// [`CodecError::Malformed`].
pub fn decode_batch<T: Data>(bytes: &[u8]) -> Result<Batch<T>, CodecError> {
    let (times, values, marks): (Vec<EventTime>, Vec<T>, Vec<Mark>) =
        bitcode::deserialize(bytes).map_err(|error| CodecError::Malformed(error.to_string()))?;
    let batch = Batch { times, values, marks };
    if batch.is_well_formed() {
        Ok(batch)
    } else {
        Err(CodecError::Malformed("the columns of a batch do not fit together".into()))
    }
}

/// Encodes a control message (postcard).
///
/// # Errors
/// If a value refuses to be serialized.
pub fn encode_message<T: Serialize>(message: &T) -> Result<Vec<u8>, CodecError> {
    postcard::to_stdvec(message).map_err(|error| CodecError::Malformed(error.to_string()))
}

/// Decodes a control message; bytes left over are an error.
///
/// # Errors
/// [`CodecError::Malformed`].
pub fn decode_message<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(CodecError::Malformed(format!("{} bytes left over", rest.len()))),
        Err(error) => Err(CodecError::Malformed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let sealed = seal(Kind::State, 1, Fingerprint(7), b"payload");
        assert_eq!(open(&sealed, Kind::State, 1).map(|o| o.payload), Ok(&b"payload"[..]));
        for cut in 0..sealed.len() {
            assert!(open(&sealed[..cut], Kind::State, 1).is_err(), "cut at {cut}");
        }
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&damaged, Kind::State, 1).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn another_kind_version_or_schema_is_named() {
        let sealed = seal(Kind::State, 2, Fingerprint(7), b"");
        let wrong = CodecError::WrongKind { expected: Kind::Metadata, found: Some(1) };
        assert_eq!(open(&sealed, Kind::Metadata, 2), Err(wrong));
        let newer = CodecError::UnknownVersion { found: 2, supported: 1 };
        assert_eq!(open(&sealed, Kind::State, 1), Err(newer));
        let opened = open(&sealed, Kind::State, 2).expect("whole");
        let other = CodecError::OtherSchema { expected: Fingerprint(8), found: Fingerprint(7) };
        assert_eq!(opened.expect_schema(Fingerprint(8)), Err(other));
    }

    #[test]
    fn a_batch_survives_the_wire_and_a_crooked_one_does_not() {
        let mut batch = Batch::default();
        batch.push(EventTime::from_millis(-5), ("a".to_owned(), 0.1 + 0.2));
        batch.mark(EventTime::from_millis(-6));
        let bytes = encode_batch(&batch).expect("encodes");
        assert_eq!(decode_batch::<(String, f64)>(&bytes), Ok(batch.clone()));
        batch.marks[0].row = 9;
        let bytes = encode_batch(&batch).expect("encodes");
        assert!(decode_batch::<(String, f64)>(&bytes).is_err());
    }
}

//! A tape: the facts that a process told, in a file, so that they are there after a `kill -9`.
//! A fact is on the tape before whoever told it goes on, and none is ever changed or taken back; a
//! piece of one at the end is all that a kill can leave. Written by [`super::real::RealHost`].
#![expect(clippy::disallowed_methods, reason = "a tape is the real host's own file")]

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use slackwater_core::codec::{decode_message, encode_message};
use slackwater_core::fact::Fact;

/// How long the length of a fact is, in bytes.
const LENGTH: usize = 4;

/// Where the facts of a process are kept.
pub struct Tape(Mutex<File>);

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tape")
    }
}

impl Tape {
    /// Goes on with the tape in this file, which is created if it is not there.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn append(file: &Path) -> io::Result<Self> {
        Ok(Self(Mutex::new(OpenOptions::new().create(true).append(true).open(file)?)))
    }

    /// Keeps a fact with the time that the clock shows now. A tape that is full keeps no more: the
    /// process it belongs to goes on.
    pub fn keep(&self, clock: impl FnOnce() -> Duration, fact: Fact) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Read behind the lock: what stands earlier on a tape has happened earlier.
        let Ok(told) = encode_message(&(clock(), fact)) else { return };
        let Ok(length) = u32::try_from(told.len()) else { return };
        let mut frame = length.to_le_bytes().to_vec();
        frame.extend_from_slice(&told);
        let _full = file.write_all(&frame);
    }
}

/// Reads a tape while it is written.
#[derive(Debug)]
pub struct TapeReader {
    file: File,
    rest: Vec<u8>,
}

impl TapeReader {
    /// Reads the tape in this file from its beginning.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(file: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(file)?, rest: Vec::new() })
    }

    /// What has been told since the last call, each with its time since 1970. A piece of a fact at the
    /// end waits for the rest of it.
    ///
    /// # Errors
    /// If the file cannot be read, or holds what is no fact of this release.
    pub fn read(&mut self) -> io::Result<Vec<(Duration, Fact)>> {
        self.file.read_to_end(&mut self.rest)?;
        let (mut told, mut from) = (Vec::new(), 0);
        while let Some((length, behind)) = self.rest[from..].split_first_chunk::<LENGTH>() {
            let length = u32::from_le_bytes(*length) as usize;
            let Some(frame) = behind.get(..length) else { break };
            told.push(decode_message(frame).map_err(io::Error::other)?);
            from += LENGTH + length;
        }
        self.rest.drain(..from);
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(message: &str) -> Fact {
        Fact::Panicked { task: "t".into(), message: message.into() }
    }

    #[test]
    fn facts_are_read_while_they_are_written_and_a_piece_waits_for_its_rest() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tm.tape");
        let tape = Tape::append(&file).expect("room");
        let mut reader = TapeReader::open(&file).expect("there");
        assert_eq!(reader.read().expect("whole"), []);
        let at = Duration::from_millis;
        tape.keep(|| at(7), fact("a"));
        tape.keep(|| at(8), fact("b"));
        assert_eq!(reader.read().expect("whole"), [(at(7), fact("a")), (at(8), fact("b"))]);

        let whole = std::fs::read(&file).expect("there");
        let mut more = OpenOptions::new().append(true).open(&file).expect("there");
        more.write_all(&whole[..6]).expect("room");
        assert_eq!(reader.read().expect("a piece"), []);
        more.write_all(&whole[6..]).expect("room");
        assert_eq!(reader.read().expect("whole"), [(at(7), fact("a")), (at(8), fact("b"))]);
    }
}

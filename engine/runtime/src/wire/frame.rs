//! Length-delimited frames over a connection, bounded in size, whole or not at all.
//! Never hands out part of a frame: a connection that ends inside one is a named error, and what
//! was read of it is gone with the connection. What a frame holds: [`super::handshake`], `message`.

use std::fmt;
use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::StreamExt;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio_util::codec::{Decoder, FramedRead};

use crate::host::Conn;

/// The longest frame that connections take by default, in bytes.
pub const FRAME_MAX: usize = 16 << 20;

const LENGTH: usize = 4;
/// A buffer that grew beyond this for one long frame is given back.
const BUFFER_KEPT: usize = 1 << 20;

/// Why a connection can carry no further frames.
#[derive(Debug)]
pub enum FrameError {
    /// A frame is longer than this connection allows.
    TooLong {
        /// The limit, in bytes.
        max: usize,
        /// The frame's length, in bytes.
        length: usize,
    },
    /// The connection ended in the middle of a frame.
    Torn,
    /// The connection failed.
    Io(io::Error),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { max, length } => {
                write!(f, "a frame of {length} bytes is longer than the limit of {max}")
            }
            Self::Torn => f.write_str("the connection ended in the middle of a frame"),
            Self::Io(error) => write!(f, "the connection failed: {error}"),
        }
    }
}

impl std::error::Error for FrameError {}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Makes the two halves of a connection, each with this limit on the length of a frame.
pub fn split(conn: Conn, max: usize) -> (FrameReader, FrameWriter) {
    let (read, write) = tokio::io::split(conn);
    let reader = FrameReader { frames: FramedRead::new(read, Frames { max }), ended: false };
    (reader, FrameWriter { write, buffer: BytesMut::new(), max })
}

/// Cuts bytes into frames. The library's `LengthDelimitedCodec` takes a connection that ends right
/// behind a length for one that ended cleanly; here the length stays in the buffer until the whole
/// frame is there.
struct Frames {
    max: usize,
}

impl Decoder for Frames {
    type Item = Bytes;
    type Error = FrameError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        let Some(head) = bytes.first_chunk::<LENGTH>() else { return Ok(None) };
        let length = u32::from_be_bytes(*head) as usize;
        if length > self.max {
            return Err(FrameError::TooLong { max: self.max, length });
        }
        if bytes.len() < LENGTH + length {
            bytes.reserve(LENGTH + length - bytes.len());
            return Ok(None);
        }
        bytes.advance(LENGTH);
        Ok(Some(bytes.split_to(length).freeze()))
    }

    fn decode_eof(&mut self, bytes: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        match self.decode(bytes)? {
            None if !bytes.is_empty() => Err(FrameError::Torn),
            frame => Ok(frame),
        }
    }
}

/// Reads whole frames.
pub struct FrameReader {
    frames: FramedRead<ReadHalf<Conn>, Frames>,
    ended: bool,
}

impl FrameReader {
    /// The next frame, or `None` if the peer closed the connection between two frames.
    ///
    /// Cancel safe: bytes of an unfinished frame stay in the reader.
    ///
    /// # Errors
    /// Any [`FrameError`]; after one, and after the end, every call says `None`.
    pub async fn read(&mut self) -> Result<Option<Bytes>, FrameError> {
        if self.ended {
            return Ok(None);
        }
        let next = self.frames.next().await.transpose();
        self.ended = !matches!(next, Ok(Some(_)));
        next
    }

    /// Changes the limit: a handshake is shorter than what follows it.
    pub fn set_max(&mut self, max: usize) {
        self.frames.decoder_mut().max = max;
    }
}

impl fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameReader")
    }
}

/// Writes whole frames, many at once.
pub struct FrameWriter {
    write: WriteHalf<Conn>,
    buffer: BytesMut,
    max: usize,
}

impl FrameWriter {
    /// Appends one frame, made of these parts, to the buffer; [`FrameWriter::flush`] sends it.
    ///
    /// # Errors
    /// [`FrameError::TooLong`]; nothing has been appended then.
    pub fn push(&mut self, parts: &[&[u8]]) -> Result<(), FrameError> {
        let length = parts.iter().map(|part| part.len()).sum();
        if length > self.max || u32::try_from(length).is_err() {
            return Err(FrameError::TooLong { max: self.max, length });
        }
        self.buffer.reserve(LENGTH + length);
        self.buffer.put_u32(length as u32);
        for part in parts {
            self.buffer.extend_from_slice(part);
        }
        Ok(())
    }

    /// How many bytes wait for [`FrameWriter::flush`].
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Sends everything that was pushed, in as few writes as the connection takes.
    ///
    /// Cancel safe: what is unsent stays in the buffer, and the next flush goes on with it.
    ///
    /// # Errors
    /// [`FrameError::Io`].
    pub async fn flush(&mut self) -> Result<(), FrameError> {
        self.write.write_all_buf(&mut self.buffer).await?;
        self.write.flush().await?;
        if self.buffer.capacity() > BUFFER_KEPT {
            self.buffer = BytesMut::new();
        }
        Ok(())
    }

    /// Pushes one frame and flushes.
    ///
    /// # Errors
    /// As [`FrameWriter::push`] and [`FrameWriter::flush`].
    pub async fn send(&mut self, frame: &[u8]) -> Result<(), FrameError> {
        self.push(&[frame])?;
        self.flush().await
    }

    /// Flushes, and tells the peer that nothing follows.
    ///
    /// # Errors
    /// [`FrameError::Io`].
    pub async fn close(&mut self) -> Result<(), FrameError> {
        self.flush().await?;
        Ok(self.write.shutdown().await?)
    }

    /// Changes the limit.
    pub fn set_max(&mut self, max: usize) {
        self.max = max;
    }
}

impl fmt::Debug for FrameWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameWriter({} bytes buffered)", self.buffer.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(future)
    }

    /// Sends raw bytes to a reader and lists what it makes of them.
    fn read_all(bytes: &[u8], max: usize) -> Vec<String> {
        run(async {
            let (mut raw, conn) = tokio::io::duplex(1 << 16);
            raw.write_all(bytes).await.expect("room");
            drop(raw);
            let (mut reader, _writer) = split(Box::new(conn), max);
            let mut seen = Vec::new();
            loop {
                match reader.read().await {
                    Ok(Some(frame)) => seen.push(String::from_utf8_lossy(&frame).into_owned()),
                    Ok(None) => return seen,
                    Err(error) => seen.push(error.to_string()),
                }
            }
        })
    }

    #[test]
    fn frames_come_whole_or_not_at_all() {
        let torn = FrameError::Torn.to_string();
        let whole = b"\0\0\0\x02ab\0\0\0\0\0\0\0\x03cde";
        assert_eq!(read_all(whole, 10), ["ab", "", "cde"]);
        for cut in 1..whole.len() {
            let seen = read_all(&whole[..cut], 10);
            let clean = [6, 10].contains(&cut);
            assert_eq!(seen.last() == Some(&torn), !clean, "cut at {cut}: {seen:?}");
            assert!(seen.iter().all(|s| ["ab", "", &torn].contains(&s.as_str())), "{seen:?}");
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_by_name_before_it_is_read() {
        let seen = read_all(b"\0\0\0\x02ab\x7f\0\0\0rest", 10);
        let refusal = FrameError::TooLong { max: 10, length: 0x7f00_0000 }.to_string();
        assert_eq!(seen, ["ab", refusal.as_str()]);
    }

    #[test]
    fn many_frames_leave_in_one_piece_and_a_long_one_not_at_all() {
        run(async {
            let (mut raw, conn) = tokio::io::duplex(64);
            let (_reader, mut writer) = split(Box::new(conn), 4);
            writer.push(&[b"a", b"bc"]).expect("short");
            writer.push(&[b""]).expect("short");
            assert!(writer.push(&[b"abc", b"de"]).is_err());
            writer.close().await.expect("room");
            let mut bytes = Vec::new();
            raw.read_to_end(&mut bytes).await.expect("closed");
            assert_eq!(bytes, b"\0\0\0\x03abc\0\0\0\0");
        });
    }
}

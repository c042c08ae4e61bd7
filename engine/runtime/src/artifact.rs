//! Binaries that bring jobs along: kept by the hash of their bytes, where the job manager keeps what
//! outlives it, or in its memory. Never runs one, and believes no hash that it has not reckoned itself.
//! Who sends them is [`crate::client`]; who runs them, [`crate::taskmanager`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::store::{Store, Trouble};

/// A binary is at most this long, in bytes.
pub const ARTIFACT_MAX: u64 = 512 << 20;
/// How much of one travels in a piece, in bytes.
pub const PIECE: usize = 1 << 20;
/// How much all of them may take in the memory of a job manager without a store, in bytes.
const MEMORY_MAX: u64 = 1 << 30;

/// The name of a binary: the SHA-256 of its bytes, in hex.
pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether it can be the name of a binary: nothing else becomes a part of a path.
pub fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The binaries of a job manager. Its clones are the same.
#[derive(Clone)]
pub(crate) struct Artifacts {
    store: Option<Store>,
    memory: Rc<RefCell<BTreeMap<String, Bytes>>>,
    /// The one that was asked for last: it is asked for piece by piece.
    last: Rc<RefCell<Option<(String, Bytes)>>>,
}

impl fmt::Debug for Artifacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Artifacts({:?})", self.store)
    }
}

impl Artifacts {
    /// Those in a store, or in memory.
    pub(crate) fn of(store: Option<Store>) -> Self {
        Self { store, memory: Rc::default(), last: Rc::default() }
    }

    fn path(hash: &str) -> String {
        format!("artifacts/{hash}")
    }

    /// Whether there is one of this name, as it was sent.
    ///
    /// # Errors
    /// In words, if that cannot be found out.
    pub(crate) async fn has(&self, hash: &str) -> Result<bool, String> {
        Ok(self.get(hash).await?.is_some())
    }

    /// One by its name; `None` if it is not there.
    ///
    /// # Errors
    /// In words, if it cannot be read or is damaged.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<Bytes>, String> {
        if !is_hash(name) {
            return Err(format!("{name:?} is no SHA-256 in hex"));
        }
        let Some(store) = &self.store else { return Ok(self.memory.borrow().get(name).cloned()) };
        let last = self.last.borrow().clone();
        if let Some((_, bytes)) = last.filter(|(last, _)| last == name) {
            return Ok(Some(bytes));
        }
        let path = Self::path(name);
        let bytes = match store.get(&path).await {
            Ok(bytes) => bytes,
            Err(error) if error.trouble() == &Trouble::Missing => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        if hash(&bytes) != name {
            // A put that was cut off where puts are not atomic: it is sent again.
            return Ok(None);
        }
        *self.last.borrow_mut() = Some((name.to_owned(), bytes.clone()));
        Ok(Some(bytes))
    }

    /// Keeps one; durable when it returns, if there is a store.
    ///
    /// # Errors
    /// In words: it is another one than it says, it is too long, or there is no room.
    pub(crate) async fn put(&self, name: &str, bytes: Bytes) -> Result<(), String> {
        let found = hash(&bytes);
        if found != name {
            return Err(format!(
                "what arrived has the hash {found}, and not {name}: send it again"
            ));
        }
        if let Some(store) = &self.store {
            let put = store.put(&Self::path(name), vec![bytes]).await;
            return put.map_err(|error| error.to_string());
        }
        let mut memory = self.memory.borrow_mut();
        let taken: u64 = memory.values().map(|bytes| bytes.len() as u64).sum();
        if taken + bytes.len() as u64 > MEMORY_MAX {
            let most = MEMORY_MAX >> 20;
            return Err(format!(
                "the job manager keeps {most} MiB of binaries in its memory at most: start it with --store"
            ));
        }
        memory.insert(name.to_owned(), bytes);
        Ok(())
    }
}

/// A binary on its way in, on one connection.
#[derive(Debug, Default)]
pub(crate) struct Arriving {
    name: String,
    bytes: Vec<u8>,
}

impl Arriving {
    /// Takes the next piece; gives the whole binary with its last one.
    ///
    /// # Errors
    /// In words, if the piece is not the next one, or there are too many.
    pub(crate) fn take(
        &mut self,
        (name, size): (&str, u64),
        offset: u64,
        piece: &[u8],
    ) -> Result<Option<Bytes>, String> {
        if size > ARTIFACT_MAX {
            let most = ARTIFACT_MAX >> 20;
            return Err(format!("the binary has {} MiB: {most} are taken at most", size >> 20));
        }
        if offset == 0 {
            *self = Self { name: name.to_owned(), bytes: Vec::new() };
        }
        let here = self.bytes.len() as u64;
        if self.name != name || offset != here || here + piece.len() as u64 > size {
            return Err(format!("a piece at {offset} of {name} is not the next one"));
        }
        self.bytes.extend_from_slice(piece);
        let is_whole = self.bytes.len() as u64 == size;
        Ok(is_whole.then(|| std::mem::take(self).bytes.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_arrives_piece_by_piece_in_order_or_not_at_all() {
        let mut arriving = Arriving::default();
        let name = hash(b"abcde");
        assert!(is_hash(&name) && !is_hash("../jobs") && !is_hash(&name.to_uppercase()));
        let of = (name.as_str(), 5);
        assert_eq!(arriving.take(of, 0, b"xyz"), Ok(None));
        assert_eq!(arriving.take(of, 0, b"abc"), Ok(None), "it begins anew");
        assert!(arriving.take(of, 4, b"e").is_err());
        assert!(arriving.take(of, 3, b"def").is_err());
        assert!(arriving.take(("other", 5), 3, b"de").is_err());
        assert_eq!(arriving.take(of, 3, b"de"), Ok(Some(Bytes::from_static(b"abcde"))));
        assert!(arriving.take((&name, ARTIFACT_MAX + 1), 0, b"").is_err());
    }

    #[tokio::test]
    async fn what_is_kept_in_memory_has_the_hash_that_it_says() {
        let artifacts = Artifacts::of(None);
        let bytes = Bytes::from_static(b"abcde");
        let name = hash(&bytes);
        assert_eq!(artifacts.has(&name).await, Ok(false));
        let refused = artifacts.put(&name, Bytes::from_static(b"abcdx")).await;
        assert!(refused.is_err_and(|why| why.contains("send it again")));
        assert_eq!(artifacts.put(&name, bytes.clone()).await, Ok(()));
        assert_eq!(artifacts.get(&name).await, Ok(Some(bytes)));
        assert!(artifacts.get("../../etc/passwd").await.is_err());
    }
}

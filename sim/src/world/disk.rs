//! The disk of a simulated node: files in memory that outlive its process.
//! Every verb of [`Files`] is durable when it returns, so a power loss takes nothing that the engine
//! was told is safe; a store that syncs lazily brings its own page cache. Who owns it: [`super::node`].

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use slackwater_runtime::host::Files;

/// Files by path.
#[derive(Debug, Default)]
pub(super) struct Disk(Mutex<BTreeMap<String, Vec<u8>>>);

impl Disk {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files for Disk {
    fn read_at(&self, path: &str, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        let files = self.files();
        let absent = || io::Error::new(io::ErrorKind::NotFound, format!("no file {path:?}"));
        let bytes = files.get(path).ok_or_else(absent)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes[from..bytes.len().min(from.saturating_add(limit))].to_vec())
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.files().insert(path.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.files().entry(path.to_owned()).or_default().extend_from_slice(bytes);
        Ok(())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let files = self.files();
        let inside = files.keys().filter_map(|path| path.strip_prefix(folder.as_str()));
        let mut names: Vec<String> =
            inside.map(|path| path.split('/').next().unwrap_or(path).to_owned()).collect();
        // Sorted by path, a folder's entries are neighbours, but `a.txt` parts `a` from `a/b`.
        names.sort();
        names.dedup();
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_in_pieces_and_a_folder_lists_its_names_once() {
        let disk = Disk::default();
        disk.write("a/x", b"hello").expect("memory");
        disk.append("a/x", b" you").expect("memory");
        disk.append("a/y/z", b"1").expect("memory");
        disk.append("a/y/w", b"1").expect("memory");
        assert_eq!(disk.read_at("a/x", 6, 99).expect("it is there"), b"you");
        assert_eq!(disk.read_at("a/x", 99, 99).expect("it is there"), b"");
        assert_eq!(disk.list("a").expect("memory"), ["x", "y"]);
        assert_eq!(disk.list("b").expect("memory"), [""; 0]);
        let absent = disk.read_at("b", 0, 1).expect_err("no such file");
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
    }
}

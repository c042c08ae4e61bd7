//! The files of a real host: on the disk of this machine, at the paths as given.
//! Never leaves half a file under its name, and never returns before file and folder are synced.
//! The simulated host has a disk of its own, in `slackwater-sim`'s `world`.
#![expect(clippy::disallowed_methods, reason = "the real disk is where files come from")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::Files;

/// The disk of this machine.
#[derive(Copy, Clone, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn read_at(&self, path: &str, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(path).map_err(|error| named(path, &error))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(limit as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = format!("{path}.unfinished");
        let written = || {
            make_folder(path)?;
            let mut file = File::create(&unfinished)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, path)?;
            sync_folder(path)
        };
        written().map_err(|error| named(path, &error))
    }

    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let appended = || {
            let is_new = !Path::new(path).exists();
            if is_new {
                make_folder(path)?;
            }
            let mut file = OpenOptions::new().append(true).create(true).open(path)?;
            file.write_all(bytes)?;
            file.sync_data()?;
            if is_new { sync_folder(path) } else { Ok(()) }
        };
        appended().map_err(|error| named(path, &error))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| named(folder, &error))?,
        };
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        let mut names = entries.map(name).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }
}

/// The same error with the path before it.
fn named(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{path}: {error}"))
}

fn folder_of(path: &str) -> &Path {
    let parent = Path::new(path).parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Creates the folders above `path`, and makes each new name in the one above it durable.
fn make_folder(path: &str) -> io::Result<()> {
    let folder = folder_of(path);
    let missing = folder.ancestors().take_while(|f| !f.as_os_str().is_empty() && !f.exists());
    let missing: Vec<_> = missing.collect();
    for folder in missing.into_iter().rev() {
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => sync_folder(&folder.to_string_lossy())?,
        }
    }
    Ok(())
}

fn sync_folder(path: &str) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_whole_appended_to_read_in_parts_and_listed() {
        let root = std::env::temp_dir().join(format!("slackwater-disk-{}", std::process::id()));
        let at = |name: &str| root.join(name).to_string_lossy().into_owned();
        assert_eq!(Disk.list(&at("a")).expect("absent is empty"), [""; 0]);
        Disk.write(&at("a/b/whole"), b"old").expect("a folder");
        Disk.write(&at("a/b/whole"), b"new!").expect("a folder");
        Disk.append(&at("a/b/more"), b"one").expect("a folder");
        Disk.append(&at("a/b/more"), b"two").expect("a folder");
        assert_eq!(Disk.read_at(&at("a/b/whole"), 0, 10).expect("written"), b"new!");
        assert_eq!(Disk.read_at(&at("a/b/more"), 2, 3).expect("written"), b"etw");
        assert_eq!(Disk.list(&at("a/b")).expect("a folder"), ["more", "whole"]);
        assert!(Disk.read_at(&at("none"), 0, 1).expect_err("absent").to_string().contains("none"));
        fs::remove_dir_all(&root).expect("ours");
    }
}

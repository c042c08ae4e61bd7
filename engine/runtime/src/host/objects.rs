//! The object stores of a real host: a folder of this machine, or the memory of this process.
//! Never returns from a put before file and folder are synced, and never guesses at an address that
//! it does not understand. What lies in them is the business of [`crate::store`].
#![expect(clippy::disallowed_methods, reason = "the real disk is where objects lie")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;

use super::Objects;
use crate::store::{StoreError, Trouble};

/// The stores in the memory of this process, by name: all its hosts share them.
static MEMORY: Mutex<BTreeMap<String, Arc<InMemory>>> = Mutex::new(BTreeMap::new());

/// Opens `file:///folder`, a path, or `memory://name`. A folder is made if it is not there.
pub(super) fn open(url: &str) -> Result<Objects, StoreError> {
    let refuse = |why: String| StoreError::new(url, Trouble::Address(why));
    match url.split_once("://") {
        Some(("memory", name)) => Ok(in_memory(name)),
        Some(("file", path)) if path.starts_with('/') => in_folder(path).map_err(refuse),
        Some(("file", _)) => Err(refuse("expected an absolute path, such as file:///data".into())),
        Some((scheme, _)) => Err(refuse(format!(
            "no store has the scheme {scheme:?}: expected file:///folder, a path, or memory://name"
        ))),
        None if url.is_empty() => Err(refuse("expected a folder".into())),
        None => in_folder(url).map_err(refuse),
    }
}

/// Whether there is a store at `url`; one that cannot be opened is for [`open`] to refuse.
pub(super) fn is_there(url: &str) -> bool {
    match url.split_once("://") {
        Some(("file", path)) => Path::new(path).exists(),
        Some(_) => true,
        None => url.is_empty() || Path::new(url).exists(),
    }
}

fn in_memory(name: &str) -> Objects {
    let mut stores = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let store: &Arc<InMemory> = stores.entry(name.to_owned()).or_default();
    Arc::clone(store) as Objects
}

fn in_folder(path: &str) -> Result<Objects, String> {
    let folder = Path::new(path);
    if folder.exists() && !folder.is_dir() {
        return Err("it is a file, expected a folder".into());
    }
    make(folder).map_err(|error| error.to_string())?;
    let opened = LocalFileSystem::new_with_prefix(folder).map_err(|error| error.to_string())?;
    // A job leaves a folder for every checkpoint: one that is empty goes with its last object.
    Ok(Arc::new(opened.with_fsync(true).with_automatic_cleanup(true)))
}

/// Makes a folder and those above it, each name durable in the folder that holds it.
fn make(folder: &Path) -> io::Result<()> {
    let named = folder.ancestors().filter(|folder| !folder.as_os_str().is_empty());
    let missing: Vec<_> = named.take_while(|folder| !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        match fs::create_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
        fs::File::open(above.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::real::{RealHost, run};
    use crate::store::{Created, Store};

    #[test]
    fn an_address_that_is_no_store_is_refused_by_name() {
        let file =
            std::env::temp_dir().join(format!("slackwater-no-folder-{}", std::process::id()));
        fs::write(&file, b"x").expect("a file");
        let file = file.to_string_lossy().into_owned();
        for (url, expected) in [
            ("s3://bucket", "no store has the scheme \"s3\""),
            ("file://relative", "expected an absolute path"),
            ("", "expected a folder"),
            (file.as_str(), "it is a file, expected a folder"),
            (&format!("{file}/below"), "Not a directory"),
        ] {
            let error = open(url).expect_err(url);
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.to_string().contains(&format!("{url:?}")), "{error}");
            assert!(!error.is_transient());
        }
        fs::remove_file(&file).expect("ours");
    }

    #[test]
    fn a_folder_goes_with_its_last_object_and_comes_back_with_the_next() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = folder.path().join("data").to_string_lossy().into_owned();
        let host = RealHost::named("jm").expect("randomness");
        let ran = run(host, async |host| {
            let store = Store::open(host, &url).expect("a store");
            let folders = async || {
                let folders = [store.folders("a").await, store.folders("").await];
                folders.map(|found| found.expect("reachable").len())
            };
            for _ in 0..2 {
                store.put("a/b/x", vec![]).await.expect("room");
                store.put("a/b/y", vec![]).await.expect("room");
                store.delete("a/b/x").await.expect("there");
                assert_eq!(folders().await, [1, 1]);
                store.delete("a/b/y").await.expect("there");
                assert_eq!(folders().await, [0, 0]);
            }
        });
        ran.expect("a runtime");
        assert!(Path::new(&url).is_dir(), "the root stays");
    }

    #[test]
    fn of_many_who_create_one_object_exactly_one_wins() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let folder = folder.path().to_string_lossy().into_owned();
        for url in [folder.as_str(), "memory://many"] {
            let host = RealHost::named("jm").expect("randomness");
            let won = run(host, |host| async move {
                let create = |number: u8| {
                    let store = Store::open(host.arc(), url).expect("a store");
                    async move { store.create("a/b", vec![number; 999].into()).await }
                };
                futures::future::join_all((0..32).map(create)).await
            });
            let won: Vec<_> =
                won.expect("a runtime").into_iter().map(|won| won.expect("room")).collect();
            let winners: Vec<_> =
                (0u8..).zip(&won).filter(|(_, won)| **won == Created::Ours).collect();
            let [(winner, _)] = winners.as_slice() else { panic!("{winners:?} in {url}") };
            let lost = won.iter().filter(|won| **won == Created::Theirs(vec![*winner; 999].into()));
            assert_eq!(lost.count(), 31, "all others see the winner's bytes, whole, in {url}");
        }
    }
}

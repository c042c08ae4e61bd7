//! Finds and reads scenario files, and writes what a verb was told to write.
//! A file that cannot be read is refused by name, with the place of the mistake in it. What a
//! scenario may say is [`crate::scenario`]'s.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use slackwater_cli::exit::Exit;
use slackwater_dataflow::task::Programs;

use super::Refusal;
use crate::scenario::Scenario;

/// Files with this tag are played only when they are named.
pub(crate) const NIGHTLY: &str = "nightly";

/// Reads every file; of folders as [`load_all`], without those tagged `nightly`.
///
/// # Errors
/// The first file that cannot be read or has a mistake; or if there is none.
pub fn load(paths: &[PathBuf], programs: &Arc<dyn Programs>) -> Result<Vec<Scenario>, Refusal> {
    let mut scenarios = Vec::new();
    for path in paths {
        let loaded = load_all(path, programs)?.into_iter();
        scenarios.extend(loaded.filter(|one| !path.is_dir() || !one.has_tag(NIGHTLY)));
    }
    match scenarios.is_empty() {
        true => Err((Exit::BadInput, "error: there is no scenario to check".to_owned())),
        false => Ok(scenarios),
    }
}

/// Reads a file, or every `.toml` file of a folder and of its folder `regress`, sorted.
///
/// # Errors
/// The first file that cannot be read or has a mistake.
pub fn load_all(path: &Path, programs: &Arc<dyn Programs>) -> Result<Vec<Scenario>, Refusal> {
    files(path)?.iter().map(|file| read(file, programs)).collect()
}

/// Reads one scenario file.
///
/// # Errors
/// The exit code, and what to tell a person.
#[expect(clippy::disallowed_methods, reason = "the harness reads its own files, on no host")]
pub fn read(file: &Path, programs: &Arc<dyn Programs>) -> Result<Scenario, Refusal> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| (Exit::BadInput, format!("error: cannot read {name}: {error}")))?;
    Scenario::read(&name, &text, programs).map_err(|mistake| (Exit::BadInput, mistake.render()))
}

/// What was found once and is played for ever lies in this folder beside the other stories.
const REGRESS: &str = "regress";

/// The file that a path names, or those of a folder and of its small failures.
fn files(path: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let regress = path.join(REGRESS);
    match (path.is_dir(), regress.is_dir()) {
        (false, _) => Ok(vec![path.to_owned()]),
        (true, false) => files_of(path),
        (true, true) => Ok([files_of(path)?, files_of(&regress)?].concat()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the harness reads its own files, and sorts them")]
fn files_of(path: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let failed = |error: std::io::Error| {
        (Exit::BadInput, format!("error: cannot read {}: {error}", path.display()))
    };
    let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(failed)?.collect();
    let files = entries.map_err(failed)?.into_iter().map(|entry| entry.path());
    let mut files: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    Ok(files)
}

/// Where the harness leaves what nobody asked for: beside what cargo built, which nobody commits.
pub(crate) fn aside() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let marked = |folder: &&Path| folder.join("CACHEDIR.TAG").exists();
    let target = program.ancestors().skip(1).find(marked).map(Path::to_owned);
    target.unwrap_or_else(std::env::temp_dir).join("slackwater")
}

/// Writes a file, and the folder for it.
///
/// # Errors
/// If it cannot be written.
#[expect(clippy::disallowed_methods, reason = "the harness writes its own files, on no host")]
pub fn write_new(path: &Path, text: &str) -> Result<(), Refusal> {
    // What is wrong with the folder is told of the file.
    let _ = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    write(path, |out| out.write_all(text.as_bytes()))
}

/// Writes a file that a person asked for.
///
/// # Errors
/// If it cannot be written.
#[expect(clippy::disallowed_methods, reason = "the harness writes what it was told to, on no host")]
pub fn write(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), Refusal> {
    let written = std::fs::File::create(path).and_then(|file| {
        let mut out = std::io::BufWriter::new(file);
        content(&mut out)?;
        out.flush()
    });
    written.map_err(|error| {
        (Exit::Environment, format!("error: cannot write {}: {error}", path.display()))
    })
}

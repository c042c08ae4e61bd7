//! A person at the client: types the engine's command line over the simulated network, and reads.
//! Nothing is judged here: what was typed and what was answered are told as facts. The verbs are the
//! engine's own; when somebody types is said by [`crate::fault::Fault::Type`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slackwater_cli::Verb;
use slackwater_cli::delivery::Delivers;
use slackwater_cli::exit::Exit;
use slackwater_cli::remote::{Terminal, perform};
use slackwater_connect::socket;
use slackwater_core::fact::Fact;
use slackwater_core::id::JobId;
use slackwater_dataflow::task::Programs;
use slackwater_runtime::host::Host;
use tokio::sync::Semaphore;

use super::Main;
use super::cluster::{CONTROL, addresses};
use super::delivered::Binaries;

/// A line that is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// As the scenario calls it.
    pub step: String,
    /// What is typed behind the name of the binary; a word with `$` stands for what is remembered.
    pub text: String,
    /// Whether it is said to the control server instead.
    pub to_control: bool,
    /// What else a `run` is given: its version, and settings.
    pub with: Option<(String, Vec<(String, String)>)>,
    /// What the answer is remembered as.
    pub keep: Option<String>,
    /// What the id of a job is remembered as that was submitted.
    pub job: String,
}

/// What the persons of one world remember, by word.
#[derive(Clone)]
pub struct Memory {
    kept: Arc<Mutex<BTreeMap<String, String>>>,
    /// Who does several things in a row holds it.
    keyboard: Arc<Semaphore>,
    /// By word: the label of a job that the scenario submits by itself.
    labels: Arc<BTreeMap<String, String>>,
    job_managers: u32,
    programs: Arc<dyn Programs>,
}

/// Who types lines, one after the other.
struct Person {
    lines: Vec<Line>,
    memory: Memory,
    place: Mutex<Place>,
    /// Whether an answer that is not good ends it all.
    gives_up: bool,
}

/// How far a person is.
#[derive(Default)]
struct Place {
    due: BTreeSet<usize>,
    next: usize,
    is_busy: bool,
}

impl Memory {
    /// Who knows the jobs that were submitted under labels ([`super::cluster::submit`]), each by a
    /// word, that there are so many job managers, and which programs there are.
    pub fn new(
        labels: BTreeMap<String, String>,
        job_managers: u32,
        programs: Arc<dyn Programs>,
    ) -> Self {
        let keyboard = Arc::new(Semaphore::new(1));
        Self { kept: Arc::default(), keyboard, labels: Arc::new(labels), job_managers, programs }
    }

    fn keep(&self, word: &str, what: String) {
        locked(&self.kept).insert(word.to_owned(), what);
    }

    /// The line with what its words stand for.
    fn fill(&self, host: &dyn Host, text: &str) -> String {
        let words = text.split(' ').map(|word| match word.strip_prefix('$') {
            Some(name) => self.recall(host, name).unwrap_or_else(|| word.to_owned()),
            None => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn recall(&self, host: &dyn Host, word: &str) -> Option<String> {
        let label = || self.labels.get(word).map(|label| job_of(host, label).to_string());
        locked(&self.kept).get(word).cloned().or_else(label)
    }
}

/// The job that was submitted under a label.
fn job_of(host: &dyn Host, label: &str) -> JobId {
    JobId(host.random(&format!("job-id/{label}")).next_u128())
}

/// What a person does who types these lines in their order, each once the one before has been
/// answered and its own [`Main`] was called: by step.
pub fn types(lines: Vec<Line>, memory: &Memory) -> BTreeMap<String, Main> {
    let names: Vec<String> = lines.iter().map(|line| line.step.clone()).collect();
    let person = Arc::new(Person::new(lines, memory, false));
    let main = |(index, step): (usize, String)| {
        let person = Arc::clone(&person);
        let main: Main = Arc::new(move |host| {
            let person = Arc::clone(&person);
            Box::pin(async move { person.go_on(&host, [index]).await })
        });
        (step, main)
    };
    names.into_iter().enumerate().map(main).collect()
}

/// What somebody does who types all of these lines at once, one after the other, as long as they are
/// answered well; whoever comes while another is typing waits for the keyboard.
pub fn types_at_once(lines: Vec<Line>, memory: &Memory) -> Main {
    let memory = memory.clone();
    Arc::new(move |host| {
        let person = Person::new(lines.clone(), &memory, true);
        let keyboard = Arc::clone(&memory.keyboard);
        Box::pin(async move {
            // Two who stop one job and both start it again would have it twice.
            let _mine = keyboard.acquire().await;
            person.go_on(&host, 0..person.lines.len()).await;
        })
    })
}

impl Person {
    fn new(lines: Vec<Line>, memory: &Memory, gives_up: bool) -> Self {
        Self { lines, memory: memory.clone(), place: Mutex::default(), gives_up }
    }

    /// The moment of some lines has come: types what can be typed now.
    async fn go_on(&self, host: &Arc<dyn Host>, due: impl IntoIterator<Item = usize>) {
        locked(&self.place).due.extend(due);
        while let Some(index) = self.take() {
            let mut is_good = self.type_line(host, index).await;
            for _ in 0..RESUMES.0 {
                if is_good || !self.gives_up || !resumes(&self.lines[index].text) {
                    break;
                }
                host.sleep(RESUMES.1).await;
                is_good = self.type_line(host, index).await;
            }
            let mut place = locked(&self.place);
            place.is_busy = false;
            if self.gives_up && !is_good {
                place.due.clear();
            }
        }
    }

    /// The next line, if its moment has come and nothing is under way.
    fn take(&self) -> Option<usize> {
        let mut place = locked(&self.place);
        let next = place.next;
        if place.is_busy || !place.due.contains(&next) {
            return None;
        }
        place.is_busy = true;
        place.next += 1;
        Some(next)
    }

    /// Types a line and reads the answer: whether it was a good one.
    async fn type_line(&self, host: &Arc<dyn Host>, index: usize) -> bool {
        let Line { step, text, to_control, with, keep, job } = &self.lines[index];
        let line = self.memory.fill(&**host, text);
        host.tell(Fact::StepBegan { step: step.clone(), line: line.clone() });
        if *to_control {
            return say(host, step, &line).await;
        }
        let ids = host.random(&format!("job-id/{step}/{index}"));
        let (first, mut out) = (JobId(ids.clone().next_u128()), Vec::new());
        let programs = &*self.memory.programs;
        let binaries = Binaries(Arc::clone(&self.memory.programs));
        let delivers: Option<&dyn Delivers> = Some(&binaries);
        let mut terminal = Terminal { host, programs, ids, delivers, out: &mut out };
        let ended = match slackwater_cli::typed_near(&line, &addresses(self.memory.job_managers)) {
            Ok(verb) => perform(&mut terminal, &given(verb, with.as_ref())).await,
            Err(failure) => Err(failure),
        };
        let mut said = String::from_utf8_lossy(&out).into_owned();
        let code = ended.as_ref().map_or_else(|failure| u32::from(failure.code()), |()| 0);
        if said.contains(&format!("job {first}")) && said.starts_with("submitted") {
            self.memory.keep(job, first.to_string());
        }
        if let Some(keep) = keep {
            // What a command is for stands on its last line.
            self.memory.keep(keep, said.lines().last().unwrap_or_default().to_owned());
        }
        if let Err(failure) = &ended {
            said.push_str(&format!("error: {failure}\n"));
        }
        host.tell(Fact::StepDone { step: step.clone(), code, said });
        code == 0
    }
}

/// Says a line to the control server: whether anybody took it.
async fn say(host: &Arc<dyn Host>, step: &str, line: &str) -> bool {
    let address = format!("{CONTROL}:{}", socket::server::PORT);
    let (code, said) = match socket::server::say(&**host, &address, line).await {
        Ok(()) => (0, String::new()),
        Err(error) => (Exit::Unreachable as u32, format!("error: {error}\n")),
    };
    host.tell(Fact::StepDone { step: step.to_owned(), code, said });
    code == 0
}

/// How often a person tries again to start from a savepoint, and how long after.
const RESUMES: (u32, Duration) = (20, Duration::from_secs(3));

/// Whether a line starts a job from a savepoint: who has stopped a job for it does not leave it so,
/// though the store cannot be reached just then.
pub(crate) fn resumes(line: &str) -> bool {
    line.starts_with("run ") && line.split(' ').any(|word| word == "-s")
}

/// A `run` or a `plan` with the version and the settings that the scenario gives it.
pub(crate) fn given(verb: Verb, with: Option<&(String, Vec<(String, String)>)>) -> Verb {
    let mut verb = verb;
    if let Verb::Cancel(args) = &mut verb {
        // A story says when the next line is typed; a terminal's command would wait for the end.
        args.no_wait = true;
    }
    let Some((version, settings)) = with else { return verb };
    let (jobs, set) = match &mut verb {
        Verb::Run(args) => (args.jobs.as_mut_slice(), &mut args.set),
        Verb::Plan(args) => (std::slice::from_mut(&mut args.job), &mut args.set),
        _ => return verb,
    };
    // A path is a binary, whose jobs have the versions.
    for job in jobs.iter_mut().filter(|job| !job.contains(['@', '/'])) {
        job.push_str(&format!("@{version}"));
    }
    // What is typed has the last word.
    set.splice(0..0, settings.iter().cloned());
    verb
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

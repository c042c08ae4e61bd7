//! Who is on stage: `jm(1), tm(2).slots(2)` as `[cluster]` of a scenario file has it.
//! Plain numbers: whether a job fits is found out when it is played. The rest of `[cluster]` is said
//! in [`super::checking`].

use toml::Value;

/// How many job managers there are.
#[derive(Copy, Clone, Debug)]
pub struct JobManagers(u32);

/// So many job managers, of which one leads and the others stand by.
pub fn jm(number: u32) -> JobManagers {
    JobManagers(number)
}

/// How many task managers there are, and what each offers.
#[derive(Copy, Clone, Debug)]
pub struct TaskManagers {
    pub(super) number: u32,
    slots: u32,
    workers: u32,
}

/// So many task managers with one slot and one worker each.
pub fn tm(number: u32) -> TaskManagers {
    TaskManagers { number, slots: 1, workers: 1 }
}

impl TaskManagers {
    /// So many slots each.
    pub fn slots(self, slots: u32) -> Self {
        Self { slots, ..self }
    }

    /// So many workers each.
    pub fn workers(self, workers: u32) -> Self {
        Self { workers, ..self }
    }

    pub(super) fn keys(self) -> [(String, Value); 3] {
        let Self { number, slots, workers } = self;
        [("task_managers", number), ("slots", slots), ("workers", workers)].map(key)
    }
}

impl JobManagers {
    pub(super) fn keys(self) -> [(String, Value); 1] {
        [("job_managers", self.0)].map(key)
    }
}

fn key((name, number): (&str, u32)) -> (String, Value) {
    (name.to_owned(), i64::from(number).into())
}

//! The ends of a chain that look at records or copy them: by key group, and to every subtask.
//! Never hold a record back from one call to the next, so no watermark overtakes one; a watermark
//! goes to every channel. The other ends are in [`crate::operator`]; channels and frames in the runtime.

use std::marker::PhantomData;

use slackwater_core::element::{BATCH_ROWS, Batch, Signal};
use slackwater_core::key::{Key, KeyGroup};
use slackwater_core::time::ProcessingTime;

use crate::operator::{Context, OperatorError, Progress, Stage, Step};
use crate::state::Groups;

/// What all stages at the end of a chain answer: they hold nothing, wait for nothing, and pass
/// signals to every channel.
macro_rules! end_of_chain {
    () => {
        fn signal(&mut self, signal: Signal, cx: &mut Context<'_>) -> Step {
            cx.emit_signal(self.port, signal);
            Ok(())
        }
        fn resume(&mut self, _: &mut Context<'_>) -> Result<Progress, OperatorError> {
            Ok(Progress::Done)
        }
        fn next_timer(&self) -> Option<ProcessingTime> {
            None
        }
        fn on_timers(&mut self, _: &mut Context<'_>) -> Step {
            Ok(())
        }
    };
}

/// Sends each record to the subtask that owns its key's group.
pub struct HashRouter<T, K, F> {
    port: u32,
    groups: Groups,
    /// By key group: the channel.
    owners: Vec<u32>,
    /// By channel: what goes there at the end of this call, or when it is full.
    batches: Vec<Batch<T>>,
    key: F,
    of: PhantomData<fn() -> K>,
}

impl<T, K, F> HashRouter<T, K, F>
where
    K: Key,
    F: Fn(&T) -> K,
{
    /// Deals out to `channels` subtasks by `key`.
    ///
    /// # Panics
    /// If there is no channel, or more than key groups.
    pub fn new(port: u32, channels: u32, max_parallelism: u16, key: F) -> Self {
        assert!(channels > 0, "records need a channel");
        assert!(channels <= u32::from(max_parallelism), "every subtask owns at least one group");
        let all = KeyGroup(0)..=KeyGroup(max_parallelism - 1);
        let owners =
            (0..max_parallelism).map(|g| KeyGroup(g).owner(channels, max_parallelism)).collect();
        let batches = (0..channels).map(|_| Batch::default()).collect();
        let groups = Groups::new(all, max_parallelism);
        Self { port, groups, owners, batches, key, of: PhantomData }
    }
}

impl<T, K, F> Stage<T> for HashRouter<T, K, F>
where
    T: Send + 'static,
    K: Key,
    F: Fn(&T) -> K,
{
    fn batch(&mut self, batch: Batch<T>, cx: &mut Context<'_>) -> Step {
        let [alone] = self.batches.as_slice() else { return self.deal(batch, cx) };
        debug_assert!(alone.is_empty(), "a single channel gets its batches whole");
        cx.emit(self.port, 0, batch);
        Ok(())
    }

    end_of_chain!();
}

impl<T, K, F> HashRouter<T, K, F>
where
    T: Send + 'static,
    K: Key,
    F: Fn(&T) -> K,
{
    fn deal(&mut self, batch: Batch<T>, cx: &mut Context<'_>) -> Step {
        let channels = self.batches.len();
        // Even keys fill the channels evenly: a quarter more than that, and nothing grows.
        let share = batch.rows() / channels;
        let room = (share + share / 4 + 16).min(batch.rows()).min(BATCH_ROWS);
        for batch in &mut self.batches {
            *batch = Batch::with_capacity(room);
        }
        let mut rows = batch.times.into_iter().zip(batch.values);
        let mut done = 0;
        for mark in batch.marks {
            self.deal_rows(rows.by_ref().take((mark.row - done) as usize), cx);
            done = mark.row;
            self.batches.iter_mut().for_each(|batch| batch.mark(mark.watermark));
        }
        self.deal_rows(rows, cx);
        for channel in 0..channels {
            let batch = std::mem::take(&mut self.batches[channel]);
            if !batch.is_empty() {
                cx.emit(self.port, channel as u32, batch);
            }
        }
        Ok(())
    }

    #[inline]
    fn deal_rows(
        &mut self,
        rows: impl Iterator<Item = (slackwater_core::time::EventTime, T)>,
        cx: &mut Context<'_>,
    ) {
        for (time, value) in rows {
            let group = self.groups.position((self.key)(&value).hash64());
            let channel = self.owners[group];
            let batch = &mut self.batches[channel as usize];
            batch.push(time, value);
            if batch.times.len() >= BATCH_ROWS {
                let full = std::mem::replace(batch, Batch::with_capacity(BATCH_ROWS));
                cx.emit(self.port, channel, full);
            }
        }
    }
}

/// Sends every record to every subtask.
#[derive(Debug)]
pub struct BroadcastRouter {
    port: u32,
    channels: u32,
}

impl BroadcastRouter {
    /// Copies to `channels` subtasks.
    ///
    /// # Panics
    /// If there is no channel.
    pub fn new(port: u32, channels: u32) -> Self {
        assert!(channels > 0, "records need a channel");
        Self { port, channels }
    }
}

impl<T: Clone + Send + 'static> Stage<T> for BroadcastRouter {
    fn batch(&mut self, batch: Batch<T>, cx: &mut Context<'_>) -> Step {
        for channel in 1..self.channels {
            cx.emit(self.port, channel, batch.clone());
        }
        cx.emit(self.port, 0, batch);
        Ok(())
    }

    end_of_chain!();
}

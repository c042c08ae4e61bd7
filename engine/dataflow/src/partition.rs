//! The ends of a chain that look at records or copy them: by key group, and to every subtask.
//! Never hold a record back from one call to the next, so no watermark overtakes one; a watermark
//! goes to every channel. The other ends are in [`crate::operator`]; channels and frames in the runtime.

use std::marker::PhantomData;

use slackwater_core::element::{BATCH_ROWS, Batch, Signal};
use slackwater_core::key::{Key, KeyGroup};
use slackwater_core::time::ProcessingTime;

use crate::operator::{Context, OperatorError, Progress, Stage, Step};
use crate::state::{Groups, Restored};

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
        fn restore(&mut self, _: &Restored) -> Step {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use slackwater_core::fact::{Detail, Fact};
    use slackwater_core::id::{Attempt, Execution, JobEpoch, JobId, Subtask, VertexId};
    use slackwater_core::time::EventTime;

    use super::*;
    use crate::operator::{Counts, Outgoing, Outputs};
    use crate::packet::Packet;

    fn sent(stage: &mut dyn Stage<u64>, batch: Batch<u64>) -> Vec<(u32, Batch<u64>)> {
        let subtask = Subtask { vertex: VertexId(0), index: 0 };
        let task = Execution { job: JobId(1), epoch: JobEpoch(1), attempt: Attempt(1), subtask };
        let (mut outputs, counts) = (Outputs::default(), Counts::default());
        let told: (Detail, &dyn Fn(Fact)) = (Detail::Off, &|_| {});
        let now = ProcessingTime::from_millis(0);
        let mut cx = Context::new(task, now, told, &mut outputs, &counts);
        stage.batch(batch, &mut cx).expect("routers refuse nothing");
        let packet = |outgoing: Outgoing| match (outgoing.channel, outgoing.packet) {
            (Some(channel), Packet::Batch(batch)) => (channel, *batch.downcast()),
            other => panic!("a batch goes to one channel: {other:?}"),
        };
        outputs.pending.into_iter().map(packet).collect()
    }

    /// A batch of `keys`, each stamped with its row, and a mark behind each of these rows.
    fn batch(keys: &[u64], marks: &[u32]) -> Batch<u64> {
        let mut batch = Batch::default();
        for (row, key) in (0u32..).zip(keys) {
            if marks.contains(&row) {
                batch.mark(EventTime::from_millis(row.into()));
            }
            batch.push(EventTime::from_millis(row.into()), *key);
        }
        batch
    }

    proptest! {
        #[test]
        fn every_record_goes_to_its_owner_and_no_watermark_overtakes_or_lags(
            keys in prop::collection::vec(any::<u64>(), 0..3_000),
            marks in prop::collection::vec(0u32..3_000, 0..4),
            channels in 1u32..6,
        ) {
            let mut router = HashRouter::new(3, channels, 128, |key: &u64| *key);
            let input = batch(&keys, &marks);
            let sent = sent(&mut router, input.clone());
            for channel in 0..channels {
                let (mut rows, mut watermarks) = (Vec::new(), Vec::new());
                for (_, batch) in sent.iter().filter(|(to, _)| *to == channel) {
                    prop_assert!(batch.is_well_formed());
                    for mark in &batch.marks {
                        let behind = rows.len() + mark.row as usize;
                        watermarks.push((behind, mark.watermark));
                    }
                    rows.extend(batch.times.iter().copied().zip(batch.values.iter().copied()));
                }
                let owner = |key: u64| KeyGroup::of_hash(key.hash64(), 128).owner(channels, 128);
                let all = input.times.iter().copied().zip(input.values.iter().copied());
                let ours: Vec<_> = all.filter(|(_, key)| owner(*key) == channel).collect();
                prop_assert_eq!(&rows, &ours, "in the order in which they came");
                let before = |watermark: EventTime| ours.iter().filter(|r| r.0 < watermark).count();
                let expected: Vec<_> =
                    input.marks.iter().map(|m| (before(m.watermark), m.watermark)).collect();
                prop_assert_eq!(&watermarks, &expected, "each behind the rows before it");
            }
        }
    }

    #[test]
    fn a_broadcast_reaches_every_subtask_whole() {
        let input = batch(&[1, 2, 3], &[1]);
        let mut sent = sent(&mut BroadcastRouter::new(0, 3), input.clone());
        sent.sort_by_key(|(channel, _)| *channel);
        assert_eq!(sent, [(0, input.clone()), (1, input.clone()), (2, input)]);
    }
}

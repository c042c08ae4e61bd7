//! The work by the engine's operators, without its runtime: source fill, watermark generator, hash
//! router, a queue as between tasks, window operator, sink; one thread, no awaiting.
//! What the runtime adds is measured by the whole engine, in `engine`.

use std::collections::VecDeque;
use std::time::Duration;

use slackwater_core::element::{BATCH_ROWS, Batch, Signal};
use slackwater_core::fact::{Detail, Fact};
use slackwater_core::id::{Attempt, Execution, JobEpoch, JobId, Subtask, VertexId};
use slackwater_core::key::DEFAULT_MAX_PARALLELISM;
use slackwater_core::time::{Clock, EventTime, ProcessingTime, ms};
use slackwater_dataflow::operator::exit::Forward;
use slackwater_dataflow::operator::{BoxStage, Context, Counts, Outputs, Progress};
use slackwater_dataflow::packet::Packet;
use slackwater_dataflow::partition::HashRouter;
use slackwater_dataflow::state::Groups;
use slackwater_dataflow::watermark::{Generators, Quantum, Watermarks};
use slackwater_dataflow::window::aggregate::fold;
use slackwater_dataflow::window::{Pane, WindowStage, Windowing, tumbling};

use super::workload::{DISORDER_MS, Event, Generator, Total, WINDOW_MS};

/// Sum and count.
type Sum = (f64, u64);

/// A source's reader and generator.
struct Source {
    generator: Generator,
    watermarks: Generators<Event>,
}

impl Source {
    fn new(keys: u64, events: u64) -> Self {
        let watermarks = Watermarks::bounded(Duration::from_millis(DISORDER_MS as u64));
        let quantum = Quantum::of_millis(WINDOW_MS);
        let watermarks = Generators::new(&watermarks, &[0], quantum);
        Self { generator: Generator::new((0, 1), keys, events), watermarks }
    }

    fn next(&mut self) -> Option<Batch<Event>> {
        let rows = (self.generator.left() as usize).min(BATCH_ROWS);
        if rows == 0 {
            return None;
        }
        let mut batch = Batch::with_capacity(rows);
        fill(&mut self.generator, rows, &mut batch);
        self.watermarks.on_records(0, &mut batch);
        Some(batch)
    }
}

/// Appends rows in columns that get their size first: cheaper than pushing.
pub fn fill(generator: &mut Generator, rows: usize, out: &mut Batch<Event>) {
    let first = out.rows();
    out.times.resize(first + rows, EventTime::MIN);
    out.values.resize(first + rows, Event::default());
    for (time, value) in out.times[first..].iter_mut().zip(&mut out.values[first..]) {
        let (at, event) = generator.next();
        (*time, *value) = (EventTime::from_millis(at), event);
    }
}

fn window_stage() -> BoxStage<Event> {
    let windowing = Windowing {
        uid: "window".into(),
        windows: tumbling(ms(WINDOW_MS as u64)),
        clock: Clock::Event,
        groups: Groups::of_subtask(0, 1, DEFAULT_MAX_PARALLELISM),
    };
    let sum = fold((0.0, 0), |sum: &mut Sum, event: Event| {
        sum.0 += event.value;
        sum.1 += 1;
    });
    let (results, late) = (Box::new(Forward::new(0)), Box::new(Forward::new(1)));
    Box::new(WindowStage::new(windowing, |event: &Event| event.key, sum, results, late))
}

/// The loops of two tasks, taken together.
struct Tasks {
    router: BoxStage<Event>,
    window: BoxStage<Event>,
    outputs: Outputs,
    counts: Counts,
    channel: VecDeque<Packet>,
    total: Total,
}

impl Tasks {
    fn new() -> Self {
        let key = |event: &Event| event.key;
        Self {
            router: Box::new(HashRouter::new(0, 1, DEFAULT_MAX_PARALLELISM, key)),
            window: window_stage(),
            outputs: Outputs { limit: 8, ..Outputs::default() },
            counts: Counts::default(),
            channel: VecDeque::new(),
            total: Total::default(),
        }
    }

    fn call(
        &mut self,
        call: impl FnOnce(&mut BoxStage<Event>, &mut BoxStage<Event>, &mut Context<'_>) -> Progress,
    ) -> Progress {
        let subtask = Subtask { vertex: VertexId(0), index: 0 };
        let task = Execution { job: JobId(1), epoch: JobEpoch(1), attempt: Attempt(1), subtask };
        let silent: (Detail, &dyn Fn(Fact)) = (Detail::Control, &|_| {});
        let now = ProcessingTime::from_millis(0);
        let mut cx = Context::new(task, now, silent, &mut self.outputs, &self.counts);
        call(&mut self.router, &mut self.window, &mut cx)
    }

    fn route(&mut self, batch: Batch<Event>) {
        self.call(|router, _, cx| {
            router.batch(batch, cx).expect("routes");
            Progress::Done
        });
        self.channel.extend(self.outputs.pending.drain(..).map(|outgoing| outgoing.packet));
    }

    fn receive(&mut self) {
        while let Some(packet) = self.channel.pop_front() {
            if let Packet::Batch(batch) = packet {
                self.aggregate(*batch.downcast::<Event>());
            }
        }
    }

    fn aggregate(&mut self, batch: Batch<Event>) {
        self.call(|_, window, cx| {
            window.batch(batch, cx).expect("aggregates");
            Progress::More
        });
        self.write();
        while self.call(|_, window, cx| window.resume(cx).expect("resumes")) == Progress::More {
            self.write();
        }
    }

    fn write(&mut self) {
        for outgoing in self.outputs.pending.drain(..) {
            let (0, Packet::Batch(batch)) = (outgoing.port, outgoing.packet) else { continue };
            for pane in &batch.downcast::<Pane<u64, Sum>>().values {
                self.total.add(pane.value.0, pane.value.1);
            }
        }
    }

    fn end(mut self) -> Total {
        self.route(Batch::of_watermark(EventTime::MAX));
        self.receive();
        self.call(|_, window, cx| {
            window.signal(Signal::EndOfInput, cx).expect("ends");
            Progress::Done
        });
        assert_eq!(self.counts.late.get(), 0, "nothing is late here");
        self.total
    }
}

/// From source to sink.
pub fn run(keys: u64, events: u64) -> Total {
    let (mut source, mut tasks) = (Source::new(keys, events), Tasks::new());
    while let Some(batch) = source.next() {
        tasks.route(batch);
        tasks.receive();
    }
    tasks.end()
}

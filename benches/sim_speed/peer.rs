//! The peer: turmoil's own loop with five hosts that send each other a little, and nothing else.
//! No engine, no facts, no faults, no leaps: what any simulation on turmoil pays before it does a
//! thing. The house's worlds are measured in the same run by `main`.

use std::time::{Duration, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::{TcpListener, TcpStream};

use crate::row;

const SPAN: Duration = Duration::from_secs(600);

pub(super) fn run() {
    let mut sim = turmoil::Builder::new()
        .epoch(UNIX_EPOCH)
        .simulation_duration(SPAN * 2)
        .tick_duration(Duration::from_millis(10))
        .min_message_latency(Duration::from_millis(10))
        .max_message_latency(Duration::from_millis(30))
        .rng_seed(1)
        .build();
    for host in 0..4 {
        sim.host(format!("server-{host}"), || async {
            let (mut stream, _) = TcpListener::bind("0.0.0.0:7").await?.accept().await?;
            let mut bytes = [0; 100];
            loop {
                stream.read_exact(&mut bytes).await?;
                stream.write_all(&bytes).await?;
            }
        });
    }
    sim.client("client", async {
        let mut streams = Vec::new();
        for host in 0..4 {
            streams.push(TcpStream::connect((format!("server-{host}"), 7)).await?);
        }
        let mut bytes = [0; 100];
        loop {
            for stream in &mut streams {
                stream.write_all(&bytes).await?;
            }
            for stream in &mut streams {
                stream.read_exact(&mut bytes).await?;
            }
        }
    });
    let before = clock_gettime(ClockId::ThreadCPUTime);
    while sim.elapsed() < SPAN {
        sim.step().expect("nothing goes wrong");
    }
    let took = clock_gettime(ClockId::ThreadCPUTime) - before;
    let took = Duration::try_from(took).unwrap_or_default();
    row(
        "peer: bare turmoil, 5 hosts, one echo after the other",
        SPAN.as_secs_f64() / took.as_secs_f64(),
        None,
    );
}

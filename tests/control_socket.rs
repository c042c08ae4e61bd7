//! The promise of the control socket (walkthrough W43) on real sockets: a line changes the amplitude
//! from then on, one that cannot be read is counted, and a server that comes late is found. What
//! befalls a cluster meanwhile is played in `scenarios/43-*`.

#![expect(clippy::disallowed_methods, reason = "the binary is tried as a person runs it")]

mod processes;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use processes::{Desk, free_port};

/// Says these lines to the first who connects, and then nothing until that one goes.
fn says(listener: TcpListener, lines: &'static str) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().expect("a caller");
        peer.write_all(lines.as_bytes()).expect("a reader");
        // Until the job has ended.
        let _gone = peer.read_to_end(&mut Vec::new());
    })
}

/// The greatest amplitude of a sensor that was seen, and how many readings it has.
fn greatest(desk: &Desk, key: &str) -> (f64, usize) {
    let rows = desk.series("data", "amplifiedSensors");
    let values = rows.iter().filter(|((of, _), _)| of == key).map(|(_, value)| value.abs());
    (values.clone().fold(0.0, f64::max), values.count())
}

#[test]
fn a_line_doubles_the_wave_and_rubbish_is_counted() {
    let desk = Desk::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let server = says(listener, "pressure 2\nrubbish\ndoor three\ndoor 3\n");
    let settings = format!("--set control=localhost:{port} --set checkpoint=500ms");
    let said = desk.types(&format!("run oscon --local --data data --for 4s {settings}"));
    // Should the job never have called, somebody does.
    let _refused_if_it_has = TcpStream::connect(("127.0.0.1", port));
    server.join().expect("it was told all");
    assert_eq!(said.code, Some(0), "{said:?}");
    for told in ["2 read from control", "2 skipped, the last: control: \"rubbish\": expected"] {
        assert!(said.out.contains(told), "{told}: {}", said.out);
    }
    let sine = 2.0 * (0.2 * std::f64::consts::TAU).sin();
    for (key, expected) in [("pressure", sine), ("door", 3.0), ("temp", 0.0)] {
        let (found, readings) = greatest(&desk, key);
        assert!((found - expected).abs() < 1e-9, "{key}: {found}");
        assert!(readings >= 30, "{key}: {readings} readings");
    }
}

#[test]
fn a_job_runs_though_nobody_listens() {
    let desk = Desk::new();
    let settings = format!("--set control=localhost:{}", free_port());
    let said = desk.types(&format!("run oscon --local --data data --for 3s {settings}"));
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("0 late") && !said.out.contains("restart"), "{}", said.out);
    let (found, readings) = greatest(&desk, "pressure");
    assert!(found == 0.0 && readings >= 20, "{found}, {readings} readings");
}

#[test]
fn a_plan_says_which_side_of_the_amplifier_is_the_control_stream() {
    let told = Desk::new().good("plan oscon --set control=localhost:9999");
    let head = "left from vertex 0 by key (3 streams), right from vertex 3 by key";
    assert!(told.contains(head), "{told}");
}

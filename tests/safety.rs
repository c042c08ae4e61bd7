//! The promise of safety: off loopback nobody changes anything who does not know the token, a name that
//! nobody knows is never this machine, and whoever says nothing keeps nobody out.
//! Real nodes on ports of their own; who may change what over REST in a world is `tests/rest.rs`.

#![expect(clippy::disallowed_methods, reason = "nodes are reached as strangers reach them")]

mod processes;

use std::io::{Read, Write};
use std::net::TcpStream;

use processes::{Desk, Node, free_port};

/// A token, and another one.
const TOKENS: [(&str, &str); 2] = [
    ("token", "0123456789abcdef0123456789abcdef\n"),
    ("other", "0123456789abcdef0123456789abcdeF\n"),
];

/// The port in `--job-manager localhost:PORT`.
fn port_of(at: &str) -> u16 {
    at.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
}

/// Connections on which this is said, and nothing more.
fn half_open(port: u16, count: usize, said: &str) -> Vec<TcpStream> {
    let open = |_| {
        let mut conn = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        // One that was shown out meanwhile cannot be written to.
        let _ = conn.write_all(said.as_bytes());
        conn
    };
    (0..count).map(open).collect()
}

/// What REST answers, once it listens.
fn asks(port: u16, request: &str) -> String {
    let mut tries = (0..100_000).map(|_| TcpStream::connect(("127.0.0.1", port)));
    let mut conn = tries.find_map(Result::ok).expect("it listens");
    let words = format!("{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    conn.write_all(words.as_bytes()).expect("it reads");
    let mut said = String::new();
    conn.read_to_string(&mut said).expect("text");
    said
}

#[test]
fn off_loopback_no_node_starts_without_a_token_and_it_says_why() {
    let desk = Desk::new();
    for node in
        ["jobmanager --port 0", "taskmanager --advertise localhost", "cluster start --dir cl"]
    {
        let said = desk.refused(&format!("{node} --bind 0.0.0.0"), 2);
        assert!(said.contains("others than this machine could run code here"), "{said}");
        assert!(said.contains("--token-file"), "{said}");
    }
    desk.write("short", "secret");
    let said = desk.refused("jobmanager --port 0 --bind 0.0.0.0 --token-file short", 3);
    assert_eq!(
        said,
        "error: the token in short: a token has 16 to 128 characters, this one has 6\n"
    );
    desk.write("token", TOKENS[0].1);
    let said = desk.refused("taskmanager --bind 0.0.0.0 --token-file token", 2);
    assert!(said.contains("say --advertise HOST"), "{said}");
}

#[test]
fn who_does_not_know_the_token_is_told_so_and_changes_nothing() {
    let desk = Desk::new();
    TOKENS.iter().for_each(|(file, text)| desk.write(file, text));
    let rest = free_port();
    let (_job_manager, at) =
        desk.job_manager(&format!("--bind 0.0.0.0 --token-file token --rest-port {rest}"));
    let known = format!("{at} --token-file token");
    for (more, what) in [("", "said no token"), ("--token-file other", "said another token")] {
        for line in ["list", "cancel 5f3c", "run -d oscon"] {
            let said = desk.refused(&format!("{line} {at} {more} --wait 0s"), 7);
            assert!(said.contains(what), "{said}");
        }
        let said = desk.refused(&format!("taskmanager --name tm-2 {at} {more}"), 7);
        assert!(said.contains(what), "{said}");
    }
    assert_eq!(desk.good(&format!("list -a {known}")), "no jobs\n");
    let (_task_manager, _) =
        desk.node(&format!("taskmanager --bind 0.0.0.0 --advertise localhost {known}"), "joins");
    // Off loopback a job of two task managers would need it between them too.
    let said = desk.good(&format!("run -d oscon --set db=localhost:1 {known}"));
    let job = said.trim().rsplit(' ').next().expect("an id").to_owned();
    desk.until(&format!("list {known}"), "RUNNING");

    let cancel = format!("PATCH /jobs/{job}?mode=cancel");
    assert!(asks(rest, &cancel).starts_with("HTTP/1.1 401 "));
    let bearer = |(_, token): (&str, &str)| {
        let words = format!("{cancel} HTTP/1.1\r\nauthorization: Bearer {}\r\nx:", token.trim());
        asks(rest, &words)
    };
    assert!(bearer(TOKENS[1]).starts_with("HTTP/1.1 401 "));
    assert!(bearer(TOKENS[0]).starts_with("HTTP/1.1 202 "));
    desk.until(&format!("list -a {known}"), "CANCELED");
}

#[test]
fn whoever_says_nothing_or_speaks_slowly_keeps_nobody_out() {
    let desk = Desk::new();
    let rest = free_port();
    let (_job_manager, at): (Node, String) = desk.job_manager(&format!("--rest-port {rest}"));
    let asked = format!("list -a {at} --wait 0s");
    let silent = half_open(port_of(&at), 500, "");
    assert_eq!(desk.good(&asked), "no jobs\n");
    drop(silent);
    // The length of a frame, and then nothing.
    let slow = half_open(port_of(&at), 500, "\u{1}");
    assert_eq!(desk.good(&asked), "no jobs\n");
    drop(slow);
    for said in ["", "GET /overview HTTP/1.1\r\nhost: localhost\r\nx-slow: "] {
        let slow = half_open(rest, 500, said);
        assert!(asks(rest, "GET /overview").starts_with("HTTP/1.1 200 "));
        assert_eq!(desk.good(&asked), "no jobs\n");
        drop(slow);
    }
}

#[test]
fn a_name_that_nobody_knows_is_an_error_by_name_and_never_this_machine() {
    let desk = Desk::new();
    let (_job_manager, at) = desk.job_manager("--rest-port 0");
    // No name of any network ends so (RFC 6761).
    let nowhere = format!("jm.invalid:{}", port_of(&at));
    let said = desk.refused(&format!("list --wait 0s --job-manager {nowhere}"), 7);
    assert!(said.contains(&format!("no job manager answers at {nowhere}")), "{said}");
}

#[test]
fn the_rest_of_a_standby_names_the_leader() {
    let desk = Desk::new();
    let (_leader, at) = desk.job_manager("--name jm-1 --store store --rest-port 0");
    desk.until(&format!("list -a {at}"), "no jobs");
    let rest = free_port();
    let more = format!("--name jm-2 --store store --rest-port {rest}");
    let (_standby, _) = desk.job_manager(&more);
    let leader = format!("not the leader: ask localhost:{}", port_of(&at));
    let answers = (0..2_000).map(|_| asks(rest, "GET /overview"));
    let mut named = answers.filter(|answer| answer.contains(&leader));
    let answer = named.next().expect("it learns who leads");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

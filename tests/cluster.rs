//! A cluster of this machine as a person has it: started in the background with one command, killed in
//! parts, mended with one command, stopped and started again. The binary is typed and its words are
//! read; what jobs compute through all of it is judged in the suites of the databases.

#![expect(clippy::disallowed_methods, reason = "the binary is tried as a person runs it")]

mod processes;

use std::process::Command;

use processes::{Desk, free_port};

/// A cluster in the folder `cl` of a desk; stopped with the test.
struct Cluster {
    desk: Desk,
    /// How it is started.
    start: String,
    /// How a command asks it.
    at: String,
}

impl Cluster {
    fn new(more: &str) -> Self {
        let (port, rest) = (free_port(), free_port());
        let start = format!("cluster start --dir cl --port {port} --rest-port {rest} {more}");
        Self { desk: Desk::new(), start, at: format!("--job-manager localhost:{port}") }
    }

    fn pid(&self, node: &str) -> String {
        self.desk.read(&format!("cl/run/{node}.pid")).trim().to_owned()
    }

    fn kill(&self, node: &str) {
        let killed = Command::new("kill").args(["-9", &self.pid(node)]).status();
        assert!(killed.expect("kill runs").success());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A test that has failed leaves nothing behind either.
        let _ = self.desk.command("cluster stop --dir cl").output();
    }
}

#[test]
fn a_cluster_starts_once_and_stops_once_however_often_it_is_asked() {
    let cluster = Cluster::new("--workers 2");
    let desk = &cluster.desk;
    let said = desk.good(&cluster.start);
    for started in ["job manager jm starts", "task manager tm-1 starts", "task manager tm-2 starts"]
    {
        assert!(said.contains(started), "{said}");
    }
    let pids = ["jm", "tm-1", "tm-2"].map(|node| cluster.pid(node));
    let said = desk.good(&cluster.start);
    assert_eq!(said.matches(" runs already, process ").count(), 3, "{said}");
    assert_eq!(["jm", "tm-1", "tm-2"].map(|node| cluster.pid(node)), pids);
    let shown = Command::new("ps").args(["-o", "args=", "-p", &pids[1]]).output();
    let shown = String::from_utf8(shown.expect("ps runs").stdout).expect("text");
    assert!(shown.starts_with("slackwater taskmanager --name tm-1"), "{shown}");

    let said = desk.good("cluster stop --dir cl");
    assert_eq!(said.lines().last(), Some("job manager jm has stopped"), "{said}");
    assert_eq!(desk.good("cluster stop --dir cl"), "nothing runs\n");
    assert!(desk.good("cluster status --dir cl").contains("there is no cluster in "));
}

#[test]
fn jobs_go_on_when_a_killed_node_is_started_again_and_when_the_cluster_is() {
    let cluster = Cluster::new("");
    let (desk, at) = (&cluster.desk, &cluster.at);
    desk.good(&cluster.start);
    desk.good(&format!("run -d oscon {at} --set checkpoint=500ms --set db=localhost:1"));
    // Whether its database is there is not asked before its first second is over.
    let listed = desk.until(&format!("list {at}"), "oscon");
    let job = listed.split(' ').next().expect("an id").to_owned();

    cluster.kill("tm-1");
    desk.until(&format!("list {at}"), "attempt 1");
    assert!(desk.good("cluster status --dir cl").contains("task manager tm-1 does not run"));
    let said = desk.good("taskmanager start --dir cl");
    assert!(said.starts_with("task manager tm-1 starts, process "), "{said}");
    desk.until(&format!("list {at}"), "attempt 2");

    cluster.kill("jm");
    let said = desk.good(&cluster.start);
    assert!(said.contains("job manager jm starts") && said.contains("tm-1 runs already"), "{said}");
    desk.until(&format!("list {at}"), &job);

    desk.good("cluster stop --dir cl");
    desk.good(&cluster.start);
    desk.until(&format!("list {at}"), &job);
    let said = desk.good("taskmanager start --dir cl --name spare --slots 2");
    assert!(said.starts_with("task manager spare starts"), "{said}");
    assert_eq!(desk.good("taskmanager stop --dir cl spare"), "task manager spare has stopped\n");
    assert_eq!(desk.good("taskmanager stop --dir cl spare"), "task manager spare does not run\n");
}

#[test]
fn what_keeps_a_cluster_from_starting_is_told_with_the_last_words_of_its_log() {
    let cluster = Cluster::new("");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let start = format!("cluster start --dir cl --port {port} --rest-port {}", free_port());
    let said = cluster.desk.refused(&start, 5);
    assert!(said.contains("job manager jm has ended"), "{said}");
    assert!(said.contains("cl/log/jm.log:") && said.contains("choose another --port"), "{said}");
    let said = cluster.desk.refused("taskmanager start --dir elsewhere", 2);
    assert!(said.contains("there is no cluster in DESK/elsewhere"), "{said}");
    let said = cluster.desk.refused("cluster start --dir cl --workers a,a", 2);
    assert!(said.contains("\"a\" stands there twice"), "{said}");
}

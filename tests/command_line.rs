//! The promise of the command line: what a person types is answered with what is so by then, what
//! cannot be is refused by name and number, and the shell completes all of it.
//! The binary is typed and its words are read; whole clusters are started in `tests/cluster.rs`.

#![expect(clippy::disallowed_methods, reason = "the binary is tried as a person runs it")]

mod processes;

use std::process::Command;

use processes::{Desk, Node, free_port, installed};

/// A job manager and a task manager, and how a command asks them.
fn cluster(desk: &Desk) -> (Node, Node, String) {
    let (job_manager, at) = desk.job_manager("--rest-port 0");
    let (task_manager, _) = desk.node(&format!("taskmanager {at}"), "joins");
    (job_manager, task_manager, at)
}

/// Submits the demo; without its database it fails whenever a second is over, and starts again.
fn demo(desk: &Desk, at: &str, db: u16) -> String {
    let job = format!("run -d oscon {at} --set checkpoint=50ms --set db=localhost:{db}");
    let said = desk.good(&job);
    said.trim().rsplit(' ').next().expect("an id").to_owned()
}

#[test]
fn a_job_is_listed_told_in_full_and_cancelled_to_its_end() {
    let desk = Desk::new();
    let (_job_manager, _task_manager, at) = cluster(&desk);
    let db = free_port();
    let database = format!("run oscon --local --data db --db-port {db}");
    let (_database, _) = desk.node(&database, "oscon RUNNING");
    let job = demo(&desk, &at, db);
    desk.until(&format!("list -r {at}"), &job);
    let told = desk.until(&format!("info {} {at}", &job[..6]), "  COMPLETED  ");
    assert!(told.starts_with(&job) && told.contains("settings: "), "{told}");
    assert!(told.contains("  RUNNING  tm-1  ") && told.contains(" bytes  "), "{told}");
    assert!(desk.good(&format!("list {job} {at}")).contains("COMPLETED"));
    let json = desk.good(&format!("info {job} --json {at}"));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["id"], job.as_str());
    assert!(json["checkpoints"]["history"][0]["triggered"].is_string(), "{json}");

    let said = desk.good(&format!("cancel {job} {at}"));
    assert_eq!(said, format!("cancelling job {job}\njob {job} is CANCELED\n"));
    let listed = desk.good(&format!("list {at}"));
    assert_eq!(listed, "no jobs run; all that there were: list -a\n");
    assert!(desk.good(&format!("list -a {at}")).contains("CANCELED"));
    let said = desk.refused(&format!("info ffff {at}"), 2);
    assert_eq!(said, "error: no job has an id that begins with \"ffff\"\n");
}

#[test]
fn a_job_without_slots_says_so_and_one_that_failed_says_when_it_begins_again() {
    let desk = Desk::new();
    let (_job_manager, at) = desk.job_manager("--rest-port 0");
    let job = demo(&desk, &at, 1);
    let listed = desk.until(&format!("list -s {at}"), &job);
    assert!(
        listed.contains("SCHEDULING  oscon  attempt 0, ") && listed.contains(", waits for a slot")
    );
    assert!(desk.good(&format!("list -r {at}")).starts_with("no jobs run"));
    let (task_manager, _) = desk.node(&format!("taskmanager {at}"), "joins");
    desk.until(&format!("list -r {at}"), "RUNNING");
    task_manager.kill();
    let lost = "task manager tm-1 was lost";
    let listed = desk.until(&format!("list {at}"), lost);
    // It may have gone on to wait for slots since.
    assert!(listed.contains(" begins in ") || listed.contains(", waits for a slot"), "{listed}");
    desk.until(&format!("info {job} {at}"), &format!("  {lost}"));
    let said = desk.good(&format!("cancel {job} --json {at}"));
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said["status"], "CANCELED", "{said}");
}

#[test]
fn a_program_has_a_plan_also_where_no_cluster_is() {
    let desk = Desk::new();
    assert_eq!(desk.good("info oscon --set wave=10"), desk.good("plan oscon --set wave=10"));
    assert!(desk.refused("info osocn", 2).contains("did you mean \"oscon\"?"));
}

#[test]
fn a_job_manager_that_is_not_there_is_an_error_with_its_address_and_what_to_type() {
    let desk = Desk::new();
    let port = free_port();
    for line in ["list", "info 5f3c", "cancel 5f3c", "savepoint 5f3c", "stop 5f3c", "run -d oscon"]
    {
        let line = format!("{line} --wait 0s --job-manager localhost:{port}");
        let said = desk.refused(&line, 7);
        assert!(said.contains(&format!("no job manager answers at localhost:{port}")), "{said}");
        assert!(said.contains("`slackwater cluster start`"), "{said}");
    }
}

#[test]
fn shells_complete_the_verbs_of_engine_and_harness() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = desk.good(&format!("completions {shell}"));
        for word in ["cluster", "savepoint", "check", "reset-watermarks"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        desk.write(shell, &script);
        // Where the shell is installed, it can read it.
        if let (Some(program), true) = (installed(shell), shell != "fish") {
            let read = Command::new(program).arg("-n").arg(desk.at(shell)).output();
            assert!(read.expect("it runs").status.success(), "{shell}");
        }
    }
    assert!(desk.refused("completions cmd", 2).contains("bash"));
}

#[test]
fn the_help_names_the_exit_codes() {
    let help = Desk::new().good("--help");
    for code in ["0 done", "4 the job failed", "7 no job manager answers", "14 the harness"] {
        assert!(help.replace('\n', " ").contains(code), "{code}: {help}");
    }
}

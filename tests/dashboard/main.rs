//! The promise of the dashboard, held in a real Chromium against processes of this machine: the graph
//! with its numbers, the live panels, a task manager that is killed, and a job that is cancelled. Where
//! there is no browser (`apt-get install chromium chromium-driver`), this says so and passes. Pictures of
//! what was seen are left in `target/dashboard`.

#![expect(clippy::disallowed_methods, reason = "the binary is tried as a person runs it")]

mod browser;
#[path = "../processes/mod.rs"]
mod processes;

use std::path::PathBuf;

use browser::Browser;
use processes::{Desk, free_port, installed};

const OPERATORS: [&str; 11] = [
    "test data",
    "sawTooth",
    "assignKey(temp)",
    "sineWave",
    "assignKey(pressure)",
    "squareWave",
    "assignKey(door)",
    "sensors-sink",
    "sum(1 s)",
    "summed-sensors-sink",
    "late-sensors-sink",
];

fn browser(desk: &Desk) -> Option<Browser> {
    let found = (installed("chromedriver"), installed("chromium"));
    let (Some(chromedriver), Some(chromium)) = found else {
        eprintln!("skipped: there is no browser here; apt-get install chromium chromium-driver");
        return None;
    };
    Some(Browser::start(desk, &chromedriver, &chromium))
}

/// Pictures of the page as it is: light and dark, wide and narrow.
fn pictures(browser: &Browser, name: &str) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../dashboard");
    for (kind, width, dark) in
        [("light", 1360, false), ("dark", 1360, true), ("narrow", 390, false)]
    {
        browser.look(width, dark);
        // Nothing sticks out of a narrow page.
        let most = browser.run("return document.documentElement.scrollWidth - innerWidth");
        assert!(most.as_i64().expect("a number") <= 0, "{name} is {most} px too wide at {width}");
        browser.picture(&folder.join(format!("{name}-{kind}.png")));
    }
    browser.look(1360, false);
}

/// Nothing was asked of another host, and the console holds no error but those that `allowed` names.
fn quiet(browser: &Browser, rest: u16, allowed: &str) {
    let own = [format!("http://localhost:{rest}/"), "data:".to_owned()];
    for address in browser.requests() {
        // What the browser opens by itself before the first page is no request of the page.
        let internal = address.starts_with("chrome") || address.starts_with("about:");
        assert!(internal || own.iter().any(|own| address.starts_with(own)), "asked {address}");
    }
    let said = browser.console();
    let bad: Vec<_> =
        said.iter().filter(|line| allowed.is_empty() || !line.contains(allowed)).collect();
    assert!(bad.is_empty(), "the console says {bad:#?}");
}

#[test]
fn a_browser_shows_a_job_its_panels_its_restart_and_its_end() {
    let desk = Desk::new();
    let Some(browser) = browser(&desk) else { return };
    let (db, rest) = (free_port(), free_port());
    // A job that is given nothing to read: its database is what the other job writes to.
    let local = format!("run oscon-log --local --data db --db-port {db}");
    let (_database, _) = desk.node(&local, "oscon-log RUNNING");
    let (job_manager, at) = desk.job_manager(&format!("--rest-port {rest}"));
    let (task_manager, _) = desk.node(&format!("taskmanager {at} --slots 2"), "joins");
    let more = "--set checkpoint=1s --set jitter=300ms";
    desk.good(&format!("run -d oscon {at} --set db=localhost:{db} {more}"));

    browser.look(1360, false);
    browser.open(&format!("http://localhost:{rest}/"));
    browser.until(
        "a running job",
        "return document.querySelector('#jobs .pill')?.textContent == 'RUNNING'",
    );
    browser.until(
        "a heartbeat",
        "return document.querySelector('#taskmanagers')?.innerText.includes('ago')",
    );
    pictures(&browser, "overview");
    browser.run("document.querySelector('#jobs a').click()");

    graph(&browser);
    panels(&browser);
    browser.until(
        "three checkpoints",
        "return document.querySelectorAll('#checkpoints tbody tr').length >= 3",
    );
    browser.until(
        "the out-of-order picture",
        "return document.querySelectorAll('#panel-order circle').length > 60",
    );
    pictures(&browser, "job");
    quiet(&browser, rest, "");

    task_manager.kill();
    restarting(&browser);
    pictures(&browser, "restarting");
    let (_second, _) = desk.node(&format!("taskmanager {at} --slots 2 --name tm-2"), "joins");
    browser.until(
        "RUNNING again",
        "return document.querySelector('#title .pill')?.textContent == 'RUNNING' && \
         !document.querySelector('#title').innerText.includes('attempt 1') && \
         document.querySelector('#failures').innerText.includes('tm-1')",
    );

    cancel(&browser);
    quiet(&browser, rest, "");

    job_manager.kill();
    let address = format!("localhost:{rest} does not answer since");
    let asked =
        format!("return document.querySelector('#trouble').innerText.includes('{address}')");
    browser.until("that nobody answers", &asked);
    quiet(&browser, rest, "net::ERR_CONNECTION_REFUSED");
}

/// The graph has all operators with their rates, which move, and watermarks.
fn graph(browser: &Browser) {
    browser.until("a graph", "return document.querySelectorAll('#graph .operator').length == 11");
    let names = browser.run(
        "return [...document.querySelectorAll('#graph .operator')].map(own => own.dataset.name)",
    );
    let mut names: Vec<_> = names.as_array().expect("names").iter().collect();
    names.sort_by_key(|name| name.as_str());
    let mut expected = OPERATORS.to_vec();
    expected.sort_unstable();
    assert_eq!(names, expected);
    browser.until(
        "rates of all of them",
        "return [...document.querySelectorAll('#graph .rate')].every(own => own.textContent.includes('/s'))",
    );
    let moved = "const now = document.querySelector('#operators tbody tr:nth-child(2)').innerText; \
                 window.was ||= now; return window.was != now";
    browser.until("numbers that move", moved);
    browser.until(
        "a watermark at the sum",
        "return [...document.querySelectorAll('#graph .operator')].some(own => \
         own.dataset.name == 'sum(1 s)' && /wm \\d\\d:\\d\\d:\\d\\d/.test(own.textContent))",
    );
}

/// Both panels have lines with points, and another key is another line.
fn panels(browser: &Browser) {
    for (panel, points) in [("sensors", 20), ("summedSensors", 3)] {
        let has = format!(
            "return document.querySelectorAll('#panel-{panel} circle').length > {points} && \
             document.querySelector('#panel-{panel} .line').getAttribute('d').length > 20"
        );
        browser.until("a line with points", &has);
    }
    let label = "return document.querySelector('#panel-sensors svg').getAttribute('aria-label')";
    assert!(browser.run(label).as_str().expect("a label").contains("pressure"));
    browser.run(
        "const key = document.querySelector('#key-sensors'); key.value = 'door'; \
         key.dispatchEvent(new Event('change'))",
    );
    assert!(browser.run(label).as_str().expect("a label").contains("door"));
}

/// The button asks first; then the job ends, and can be cancelled no more.
fn cancel(browser: &Browser) {
    browser.run("document.querySelector('#cancel').click()");
    browser.until("a question", "return document.querySelector('#ask').open");
    browser.run("document.querySelector('#ask-yes').click()");
    browser.until(
        "CANCELED",
        "return document.querySelector('#title .pill')?.textContent == 'CANCELED'",
    );
    assert_eq!(browser.run("return document.querySelector('#cancel').disabled"), true);
}

/// The job waits for a task manager, and the page says in which attempt and why.
fn restarting(browser: &Browser) {
    let told = browser.until(
        "RESTARTING with its cause",
        "const held = document.querySelector('#held')?.innerText; \
         return held?.includes('RESTARTING') && held",
    );
    let told = told.as_str().expect("words");
    assert!(told.contains("attempt 1") && told.contains("tm-1"), "{told}");
}

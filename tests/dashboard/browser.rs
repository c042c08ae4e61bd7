//! A headless Chromium, driven by the WebDriver protocol through its own chromedriver, with a profile in
//! a folder that ends with the test. Nothing is waited for by the clock: a question is asked again until
//! it is answered, as often as bounded. What is asked of the page is in `main.rs`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::processes::{Desk, Node, free_port};

/// How often a question is asked again before it counts as never answered: some ten thousand a minute.
const TRIES: u32 = 20_000;

/// A browser with one page.
pub struct Browser {
    port: u16,
    session: String,
    _driver: Node,
}

impl Browser {
    /// Starts one; its profile lies in the folder of `desk`.
    pub fn start(desk: &Desk, chromedriver: &Path, chromium: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new(chromedriver);
        command.arg(format!("--port={port}")).current_dir(desk.path()).stderr(Stdio::null());
        let (driver, _) = Node::start(command, "started successfully");
        let profile = desk.at("profile");
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-background-networking".to_owned(),
            format!("--user-data-dir={}", profile.display()),
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": chromium, "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        }}});
        let mut browser = Self { port, session: String::new(), _driver: driver };
        let told = browser.call("POST", "/session", &wanted);
        browser.session = told["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    /// Opens an address.
    pub fn open(&self, address: &str) {
        self.of("POST", "/url", &json!({ "url": address }));
    }

    /// What a piece of script answers.
    pub fn run(&self, script: &str) -> Value {
        self.of("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Runs a piece of script until it answers with what is true.
    pub fn until(&self, what: &str, script: &str) -> Value {
        for _ in 0..TRIES {
            let told = self.run(script);
            if !matches!(told, Value::Null | Value::Bool(false)) {
                return told;
            }
        }
        let page = self.run("return document.body.innerText");
        panic!("never: {what}; the page says: {page}")
    }

    /// The width of the window, and whether dark is preferred.
    pub fn look(&self, width: u32, dark: bool) {
        let size = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": {
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false } });
        self.of("POST", "/goog/cdp/execute", &size);
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "cmd": "Emulation.setEmulatedMedia", "params": {
            "features": [{ "name": "prefers-color-scheme", "value": scheme }] } });
        self.of("POST", "/goog/cdp/execute", &media);
    }

    /// Writes a picture of all of the page.
    pub fn picture(&self, file: &Path) {
        let wanted = json!({ "cmd": "Page.captureScreenshot",
            "params": { "format": "png", "captureBeyondViewport": true } });
        let told = self.of("POST", "/goog/cdp/execute", &wanted);
        let bytes = STANDARD.decode(told["data"].as_str().expect("a picture")).expect("base64");
        fs::create_dir_all(file.parent().expect("in a folder")).expect("room");
        fs::write(file, bytes).expect("room");
    }

    /// What was said on the console since the last call.
    pub fn console(&self) -> Vec<String> {
        let told = self.of("POST", "/se/log", &json!({ "type": "browser" }));
        let lines = told.as_array().expect("lines").iter();
        lines.map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What was asked for over the network since the last call.
    pub fn requests(&self) -> Vec<String> {
        let told = self.of("POST", "/se/log", &json!({ "type": "performance" }));
        let lines = told.as_array().expect("lines").iter();
        let asked = lines.filter_map(|line| {
            let said: Value = serde_json::from_str(line["message"].as_str()?).ok()?;
            let said = &said["message"];
            (said["method"] == "Network.requestWillBeSent")
                .then(|| said["params"]["request"]["url"].as_str().map(ToOwned::to_owned))?
        });
        asked.collect()
    }

    fn of(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, &format!("/session/{}{path}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.port,
            body.len()
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.write_all(head.as_bytes()).expect("it reads");
        stream.write_all(body.as_bytes()).expect("it reads");
        let told: Value = serde_json::from_slice(&body_of(stream)).expect("JSON");
        let value = &told["value"];
        assert!(value.get("error").is_none(), "{method} {path}: {value}");
        value.clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser is a child of its driver: asked to end first, or it stays.
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return };
        let head = format!(
            "DELETE /session/{} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\r\n",
            self.session, self.port
        );
        if stream.write_all(head.as_bytes()).is_ok() {
            // Until it has answered, the browser may still be there.
            body_of(stream);
        }
    }
}

/// The body of an answer: the driver keeps the connection open behind it.
fn body_of(stream: TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        let header = line.to_ascii_lowercase();
        if let Some(told) = header.strip_prefix("content-length:") {
            length = told.trim().parse().expect("a length");
        }
        line.clear();
    }
    let mut body = vec![0; length];
    // What is cut short cannot be read by whoever asked.
    let _ = reader.read_exact(&mut body);
    body
}

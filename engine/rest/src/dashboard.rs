//! The dashboard: one page and what it is made of, out of this binary, so that it needs no network.
//! Nothing of it is built and nothing of it decides: it asks the same calls that everybody may ask.
//! Its files lie in the folder `dashboard` beside this one; [`crate::server`] says what a browser may load.

use bytes::Bytes;
use hyper::StatusCode;

use crate::api::Asked;
use crate::reply::{Called, Reply, Trouble};

/// The page.
const PAGE: &str = include_str!("dashboard/index.html");

/// What the page is made of, by name and kind.
const PARTS: &[(&str, &str, &str)] = &[
    ("style.css", CSS, include_str!("dashboard/style.css")),
    ("ask.js", JS, include_str!("dashboard/ask.js")),
    ("chart.js", JS, include_str!("dashboard/chart.js")),
    ("dom.js", JS, include_str!("dashboard/dom.js")),
    ("graph.js", JS, include_str!("dashboard/graph.js")),
    ("icon.svg", SVG, include_str!("dashboard/icon.svg")),
    ("job.js", JS, include_str!("dashboard/job.js")),
    ("main.js", JS, include_str!("dashboard/main.js")),
    ("overview.js", JS, include_str!("dashboard/overview.js")),
    ("panels.js", JS, include_str!("dashboard/panels.js")),
];

const CSS: &str = "text/css; charset=UTF-8";
const SVG: &str = "image/svg+xml";
const JS: &str = "text/javascript; charset=UTF-8";

/// `/` and `/index.html`.
pub(crate) fn page() -> Reply {
    text("text/html; charset=UTF-8", PAGE)
}

/// `/dashboard/:file`.
pub(crate) fn part(asked: &Asked<'_>) -> Called {
    let file = asked.path.get("file").map_or("", String::as_str);
    let found = PARTS.iter().find(|(name, ..)| *name == file);
    let (_, kind, body) = found.ok_or_else(|| Trouble::not_found("the file"))?;
    Ok(text(kind, body))
}

fn text(content_type: &'static str, body: &'static str) -> Reply {
    let body = Bytes::from_static(body.as_bytes());
    Reply { status: StatusCode::OK, content_type, body, last: false }
}

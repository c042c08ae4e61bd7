//! The deletion of a savepoint that a person names, and how far it is.
//! Never deletes more than that person would lose by `savepoint rm`: one that a tag names stays, and
//! so does what is no savepoint. What may go is decided in `slackwater_runtime::store::savepoint`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use slackwater_core::id::TriggerId;
use slackwater_runtime::store::savepoint::remove::{Ready, remove};

use crate::api::{Api, Asked};
use crate::reply::{Called, Trouble, ok};
use crate::savepoints::{failed, read, whole};

/// How many outcomes are kept for those that look after their requests.
const OUTCOMES_KEPT: usize = 256;

/// What came of a deletion; `None` as long as nothing has.
type Outcome = Option<Result<(), String>>;

/// Deletions that were asked for, newest last.
#[derive(Clone, Default)]
pub(crate) struct Disposals(Rc<RefCell<VecDeque<(TriggerId, Outcome)>>>);

impl Disposals {
    fn begin(&self, trigger: TriggerId) {
        let mut kept = self.0.borrow_mut();
        kept.push_back((trigger, None));
        if kept.len() > OUTCOMES_KEPT {
            kept.pop_front();
        }
    }

    fn end(&self, trigger: TriggerId, outcome: Result<(), String>) {
        let mut kept = self.0.borrow_mut();
        let known = kept.iter_mut().find(|(known, _)| *known == trigger);
        known.into_iter().for_each(|(_, slot)| *slot = Some(outcome.clone()));
    }

    fn find(&self, trigger: TriggerId) -> Option<Outcome> {
        let kept = self.0.borrow();
        kept.iter().find(|(known, _)| *known == trigger).map(|(_, outcome)| outcome.clone())
    }
}

/// The body of `POST /savepoint-disposal`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SavepointDisposalRequest {
    savepoint_path: String,
}

/// `POST /savepoint-disposal`. It goes on when the peer is gone.
pub(crate) fn begin(api: &Api, asked: &Asked<'_>) -> Called {
    let body: SavepointDisposalRequest = read(asked.body, "SavepointDisposalRequest")?;
    let (trigger, path) = (api.draw_trigger(), whole(&body.savepoint_path));
    let (host, disposals) = (Arc::clone(&api.host), api.disposals.clone());
    disposals.begin(trigger);
    let deleting = async move {
        let removed = remove(&host, &path, Ready::default()).await;
        disposals.end(trigger, removed.map(drop).map_err(|error| error.to_string()));
    };
    api.host.spawn("savepoint disposal", Box::pin(deleting));
    ok(&json!({ "request-id": trigger.to_string() }))
}

/// `GET /savepoint-disposal/:trigger`.
pub(crate) fn status(api: &Api, asked: &Asked<'_>) -> Called {
    let trigger: TriggerId = asked.parameter("triggerid")?;
    let told: Value = match api.disposals.find(trigger) {
        Some(None) => json!({ "status": { "id": "IN_PROGRESS" }, "operation": null }),
        Some(Some(Ok(()))) => json!({ "status": { "id": "COMPLETED" }, "operation": {} }),
        Some(Some(Err(why))) => failed(&why),
        None => {
            let why = format!("There is no savepoint disposal with triggerId={trigger}.");
            return Err(Trouble::refused(StatusCode::NOT_FOUND, &why));
        }
    };
    ok(&told)
}

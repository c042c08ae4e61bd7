//! An answer before it is sent: status, JSON, and errors in the form that Flink gives them.
//! Never carries a stack trace: there is none, and nobody should read one.
//! Who makes them: [`crate::calls`].

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Value, json};
use slackwater_runtime::client::ClientError;

/// An answer.
pub(crate) struct Reply {
    pub status: StatusCode,
    pub content_type: &'static str,
    pub body: Bytes,
    /// Whether the connection ends with it.
    pub last: bool,
}

impl Reply {
    /// JSON with this status.
    pub fn json(status: StatusCode, value: &Value) -> Self {
        let content_type = "application/json; charset=UTF-8";
        Self { status, content_type, body: Bytes::from(value.to_string()), last: false }
    }

    /// An error in words.
    pub fn error(status: StatusCode, why: &str) -> Self {
        Self::json(status, &json!({ "errors": [why] }))
    }

    /// The same, and the connection ends with it.
    pub fn last(self) -> Self {
        Self { last: true, ..self }
    }
}

/// Why a request has no answer.
pub(crate) struct Trouble(pub StatusCode, pub Vec<String>);

/// What a call comes to.
pub(crate) type Called = Result<Reply, Trouble>;

const HANDLER: &str = "org.apache.flink.runtime.rest.handler.RestHandlerException";

impl Trouble {
    /// The request is refused: `why`, after the class that Flink names.
    pub fn refused(status: StatusCode, why: &str) -> Self {
        Self(status, vec![format!("{HANDLER}: {why}")])
    }

    /// A path or query parameter cannot be read.
    pub fn parameter(kind: &str, name: &str, value: &str) -> Self {
        let why = format!(
            "Bad request, could not parse parameters: Cannot resolve {kind} parameter ({name}) from \
             value \"{value}\"."
        );
        Self::refused(StatusCode::BAD_REQUEST, &why)
    }

    /// What the path names is not there.
    pub fn not_found(what: &str) -> Self {
        let class = "org.apache.flink.runtime.rest.NotFoundException";
        Self(StatusCode::NOT_FOUND, vec![format!("{class}: {what} not found")])
    }
}

impl From<Trouble> for Reply {
    fn from(Trouble(status, errors): Trouble) -> Self {
        Self::json(status, &json!({ "errors": errors }))
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        let words = error.to_string();
        match error {
            ClientError::Refused(_) => Self::refused(StatusCode::CONFLICT, &words),
            _ => {
                let flink = "Service temporarily unavailable due to an ongoing leader election. \
                             Please refresh.";
                Self(StatusCode::SERVICE_UNAVAILABLE, vec![flink.into(), words])
            }
        }
    }
}

/// JSON with status 200.
pub(crate) fn ok(value: &Value) -> Called {
    Ok(Reply::json(StatusCode::OK, value))
}

/// JSON with status 202: what was asked for is under way.
pub(crate) fn accepted(value: &Value) -> Called {
    Ok(Reply::json(StatusCode::ACCEPTED, value))
}

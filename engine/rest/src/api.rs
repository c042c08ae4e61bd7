//! What the REST server is asked and may do: who may change something, and which call is meant.
//! Never answers itself, and never lets a page of another origin, or a stranger from the network,
//! change anything. Paths are [`crate::route`]'s, answers [`crate::calls`]'.

use std::cell::RefCell;
use std::sync::Arc;

use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use slackwater_core::id::TriggerId;
use slackwater_core::random::RandomStream;
use slackwater_runtime::host::Host;
use slackwater_runtime::wire::handshake::Handshake;
use slackwater_runtime::wire::token::same;

use crate::calls::call;
use crate::disposal::Disposals;
use crate::panels::Panels;
use crate::reply::{Reply, Trouble};
use crate::route::{Meaning, Routes, decoded};
use crate::savepoints::Refusals;

/// The measures of a REST server.
#[derive(Clone, Debug)]
pub struct RestConfig {
    /// Where it listens; 0 for any.
    pub port: u16,
    /// The job managers that it asks, `name:port`, parted by commas.
    pub job_manager: String,
    /// How it shakes hands with them.
    pub handshake: Handshake,
    /// Whether others than this machine reach it: then nothing is changed without a token.
    pub exposed: bool,
    /// Who says `authorization: Bearer` and this may change something. `None`: whoever is on this
    /// machine.
    pub token: Option<String>,
    /// The settings of the job manager, by their names in Flink.
    pub settings: Vec<(String, String)>,
}

/// The server behind its connections.
pub(crate) struct Api {
    pub host: Arc<dyn Host>,
    pub config: RestConfig,
    pub refusals: RefCell<Refusals>,
    pub disposals: Disposals,
    pub panels: Option<Box<dyn Panels>>,
    triggers: RefCell<RandomStream>,
    routes: Routes,
}

/// A request that is understood.
pub(crate) struct Asked<'a> {
    /// The parameters of its path.
    pub path: std::collections::BTreeMap<String, String>,
    /// What stands behind the question mark.
    query: &'a str,
    /// Its body.
    pub body: &'a [u8],
    /// What kinds of answer it takes, if it says so.
    pub accept: Option<&'a str>,
}

impl Api {
    pub fn new(host: Arc<dyn Host>, config: RestConfig) -> Self {
        let triggers = RefCell::new(host.random("rest-trigger-id"));
        let (refusals, disposals) = (RefCell::default(), Disposals::default());
        let routes = Routes::new();
        Self { host, config, refusals, disposals, panels: None, triggers, routes }
    }

    /// Answers a request.
    pub async fn answer(&self, head: &Parts, body: &[u8]) -> Reply {
        let path = head.uri.path();
        let (found, parameters) = match self.routes.find(&head.method, path) {
            Meaning::Call(found, parameters) => (found, parameters),
            // As Flink answers them.
            Meaning::Unknown if head.method == Method::GET => {
                let why = format!("Unable to load requested file {path}.");
                return Reply::error(StatusCode::NOT_FOUND, &why);
            }
            Meaning::Unknown | Meaning::OtherMethod => {
                return Reply::error(StatusCode::NOT_FOUND, &format!("Not found: {path}"));
            }
        };
        if found.changes()
            && let Err(trouble) = self.may_change(&head.headers)
        {
            return trouble.into();
        }
        let query = head.uri.query().unwrap_or_default();
        let accept = head.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
        let asked = Asked { path: parameters, query, body, accept };
        call(self, found, &asked).await.unwrap_or_else(Reply::from)
    }

    /// Draws the id of a request for a savepoint.
    pub fn draw_trigger(&self) -> TriggerId {
        TriggerId(self.triggers.borrow_mut().next_u128())
    }

    fn may_change(&self, headers: &HeaderMap) -> Result<(), Trouble> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        // A browser says where the page is from that asks; a program says nothing.
        let site = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
        let of_host =
            |origin: &str| origin.split_once("://").map(|(_, host)| host) == text(HOST.as_str());
        if !site || !text(ORIGIN.as_str()).is_none_or(of_host) {
            let why = "a page of another origin may not change anything here";
            return Err(Trouble::refused(StatusCode::FORBIDDEN, why));
        }
        match (&self.config.token, self.config.exposed) {
            (None, false) => Ok(()),
            (None, true) => {
                let why = "off loopback nothing is changed without a token: start the job manager \
                           with --token-file";
                Err(Trouble::refused(StatusCode::FORBIDDEN, why))
            }
            (Some(token), _) => {
                let said =
                    text(AUTHORIZATION.as_str()).and_then(|said| said.strip_prefix("Bearer "));
                let right = said.is_some_and(|said| same(said.as_bytes(), token.as_bytes()));
                let why = "what changes something needs the token: authorization: Bearer TOKEN";
                right.then_some(()).ok_or_else(|| Trouble::refused(StatusCode::UNAUTHORIZED, why))
            }
        }
    }
}

impl Asked<'_> {
    /// A parameter of the path, as what it names.
    pub fn parameter<T: std::str::FromStr>(&self, name: &str) -> Result<T, Trouble> {
        let text = self.path.get(name).map_or("", String::as_str);
        text.parse().map_err(|_| Trouble::parameter("path", name, text))
    }

    /// A parameter of the query.
    pub fn query(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| decoded(value))
    }
}

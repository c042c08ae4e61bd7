//! Where the dashboard's panels come from: the databases that jobs write their series to.
//! Never writes to one. What is shown of them is `slackwater-rest`'s; how they are asked,
//! `slackwater-connect`'s.

use std::sync::Arc;

use slackwater_connect::series;
use slackwater_core::point::Point;
use slackwater_core::time::EventTime;
use slackwater_rest::Panels;
use slackwater_runtime::host::{Host, LocalFuture};

/// Under which name a database is asked.
const NAME: &str = "dashboard";

/// The databases, over this host's network.
pub(crate) struct Databases(pub Arc<dyn Host>);

impl Panels for Databases {
    fn rows(
        &self,
        db: Option<String>,
        series: String,
        since: EventTime,
    ) -> LocalFuture<Result<Vec<Point>, String>> {
        let host = Arc::clone(&self.0);
        let address = db.unwrap_or_else(|| series::ADDRESS.to_owned());
        Box::pin(async move { series::rows(host, (&address, NAME), &series, since).await })
    }
}

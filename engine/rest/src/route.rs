//! Which call a method and a path mean, and whether it changes anything.
//! Never reads a parameter's value: that is the call's. Paths are Flink's, with or without `/v1`.
//! What each call answers: [`crate::calls`].

use std::collections::BTreeMap;

use hyper::Method;
use matchit::Router;

macro_rules! calls {
    ($($method:ident $path:literal $call:ident $changes:literal,)*) => {
        /// What can be asked.
        #[derive(Copy, Clone, Debug, PartialEq, Eq)]
        pub(crate) enum Call {
            $($call,)*
        }

        impl Call {
            /// Whether it changes the state of a cluster.
            pub fn changes(self) -> bool {
                match self { $(Self::$call => $changes,)* }
            }
        }

        const CALLS: &[(Method, &str, Call)] = &[$((Method::$method, $path, Call::$call),)*];
    };
}

calls! {
    GET "/" Dashboard false,
    GET "/index.html" DashboardIndex false,
    GET "/dashboard/{file}" DashboardPart false,
    GET "/overview" Overview false,
    GET "/metrics" Prometheus false,
    GET "/config" Config false,
    GET "/jobs" Jobs false,
    GET "/jobs/overview" JobsOverview false,
    GET "/jobs/metrics" JobsMetrics false,
    GET "/applications/overview" Applications false,
    GET "/datasets" DataSets false,
    GET "/jobmanager/config" JobManagerConfig false,
    GET "/jobmanager/metrics" JobManagerMetrics false,
    GET "/taskmanagers" TaskManagers false,
    GET "/taskmanagers/metrics" TaskManagersMetrics false,
    GET "/taskmanagers/{taskmanagerid}" TaskManager false,
    GET "/taskmanagers/{taskmanagerid}/metrics" TaskManagerMetrics false,
    GET "/jobs/{jobid}" Job false,
    PATCH "/jobs/{jobid}" Cancel true,
    GET "/jobs/{jobid}/yarn-cancel" YarnCancel true,
    GET "/jobs/{jobid}/status" Status false,
    GET "/jobs/{jobid}/plan" Plan false,
    GET "/jobs/{jobid}/config" JobConfig false,
    GET "/jobs/{jobid}/jobmanager/config" JobsJobManagerConfig false,
    GET "/jobs/{jobid}/operators" Operators false,
    GET "/jobs/{jobid}/attempts" Attempts false,
    GET "/jobs/{jobid}/series" Series false,
    GET "/jobs/{jobid}/exceptions" Exceptions false,
    GET "/jobs/{jobid}/execution-result" ExecutionResult false,
    GET "/jobs/{jobid}/accumulators" Accumulators false,
    GET "/jobs/{jobid}/checkpoints" Checkpoints false,
    GET "/jobs/{jobid}/checkpoints/config" CheckpointsConfig false,
    GET "/jobs/{jobid}/checkpoints/details/{checkpointid}" Checkpoint false,
    GET "/jobs/{jobid}/checkpoints/details/{checkpointid}/subtasks/{vertexid}" CheckpointPart false,
    GET "/jobs/{jobid}/vertices/{vertexid}" Vertex false,
    GET "/jobs/{jobid}/vertices/{vertexid}/subtasktimes" SubtaskTimes false,
    GET "/jobs/{jobid}/metrics" JobMetrics false,
    GET "/jobs/{jobid}/vertices/{vertexid}/metrics" VertexMetrics false,
    GET "/jobs/{jobid}/vertices/{vertexid}/watermarks" Watermarks false,
    GET "/jobs/{jobid}/vertices/{vertexid}/backpressure" Backpressure false,
    GET "/jobs/{jobid}/vertices/{vertexid}/subtasks/metrics" SubtasksMetrics false,
    GET "/jobs/{jobid}/vertices/{vertexid}/subtasks/{subtaskindex}" Subtask false,
    GET "/jobs/{jobid}/vertices/{vertexid}/subtasks/{subtaskindex}/metrics" SubtaskMetrics false,
    GET "/jobs/{jobid}/vertices/{vertexid}/taskmanagers" VertexTaskManagers false,
    POST "/jobs/{jobid}/savepoints" Savepoint true,
    POST "/jobs/{jobid}/stop" Stop true,
    GET "/jobs/{jobid}/savepoints/{triggerid}" SavepointStatus false,
    POST "/savepoint-disposal" Disposal true,
    GET "/savepoint-disposal/{triggerid}" DisposalStatus false,
}

/// The paths that are known.
pub(crate) struct Routes(Router<BTreeMap<String, Call>>);

/// What a request means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A call, with its path parameters.
    Call(Call, BTreeMap<String, String>),
    /// The path is known, but not with this method.
    OtherMethod,
    /// Nothing.
    Unknown,
}

impl Routes {
    pub fn new() -> Self {
        let mut by_path = BTreeMap::<&str, BTreeMap<String, Call>>::new();
        for (method, path, call) in CALLS {
            by_path.entry(*path).or_default().insert(method.to_string(), *call);
        }
        let mut router = Router::new();
        for (path, calls) in by_path {
            router.insert(path, calls).expect("the table of calls holds no two that collide");
        }
        Self(router)
    }

    /// What a method and a path mean.
    pub fn find(&self, method: &Method, path: &str) -> Meaning {
        let path = path.strip_prefix("/v1").filter(|path| path.starts_with('/')).unwrap_or(path);
        let Ok(found) = self.0.at(path) else { return Meaning::Unknown };
        match found.value.get(method.as_str()) {
            Some(call) => {
                let parameter = |(name, value): (&str, &str)| (name.to_owned(), decoded(value));
                Meaning::Call(*call, found.params.iter().map(parameter).collect())
            }
            None => Meaning::OtherMethod,
        }
    }
}

/// Text with its `%XX` undone; what is no such escape stays.
pub(crate) fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| after.get(..2)).flatten();
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_and_a_path_mean_one_call_with_or_without_the_version() {
        let routes = Routes::new();
        let means = |method: Method, path: &str| match routes.find(&method, path) {
            Meaning::Call(call, parameters) => {
                let values = parameters.into_values().collect::<Vec<_>>();
                format!("{call:?} {}", values.join(" ")).trim_end().to_owned()
            }
            other => format!("{other:?}"),
        };
        for (method, path, expected) in [
            (Method::GET, "/overview", "Overview"),
            (Method::GET, "/v1/overview", "Overview"),
            (Method::GET, "/v2/overview", "Unknown"),
            (Method::GET, "/v1", "Unknown"),
            (Method::DELETE, "/overview", "OtherMethod"),
            (Method::GET, "/jobs/overview", "JobsOverview"),
            (Method::GET, "/v1/jobs/ab", "Job ab"),
            (Method::PATCH, "/v1/jobs/ab", "Cancel ab"),
            (Method::POST, "/jobs/ab", "OtherMethod"),
            (Method::GET, "/jobs/ab/savepoints/cd", "SavepointStatus ab cd"),
            (Method::GET, "/taskmanagers/tm%2D1%zz", "TaskManager tm-1%zz"),
            (Method::GET, "/", "Dashboard"),
            (Method::GET, "/dashboard/style.css", "DashboardPart style.css"),
            (Method::GET, "/nothing", "Unknown"),
        ] {
            assert_eq!(means(method, path), expected, "{path}");
        }
    }
}

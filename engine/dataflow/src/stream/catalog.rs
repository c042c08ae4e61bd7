//! The catalogue: programs by name and version, as functions that build them.
//! Never runs one; a program that is not in the catalogue of a process does not exist there.
//! Asked by job managers and workers through [`Programs`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use slackwater_core::program::Program;

use super::env::Env;
use super::settings::Settings;
use crate::task::{Plan, PlanError, Programs};

type Build = Arc<dyn Fn(&Env, &mut Settings) -> Result<(), PlanError> + Send + Sync>;

/// Programs by name and version.
///
/// ```
/// use slackwater_core::program::Program;
/// use slackwater_dataflow::stream::{Catalog, Env, Settings};
/// use slackwater_dataflow::task::{PlanError, Programs};
///
/// fn oscon(_env: &Env, settings: &mut Settings) -> Result<(), PlanError> {
///     let _steps = settings.take("steps", 10u32)?;
///     Ok(()) // Sources, operators and sinks go here.
/// }
///
/// let catalog = Catalog::new().job("oscon", "v1", oscon).job("oscon", "v2", oscon);
/// assert_eq!(catalog.names(), ["oscon"]);
/// let refused = catalog.plan(&Program::named("osocn")).unwrap_err();
/// assert_eq!(refused.to_string(), r#"unknown program "osocn": known are oscon"#);
/// ```
#[derive(Clone, Default)]
pub struct Catalog {
    jobs: BTreeMap<String, BTreeMap<String, Build>>,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.jobs.iter().map(|(n, v)| (n, v.keys()))).finish()
    }
}

impl Catalog {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more program.
    ///
    /// # Panics
    /// If the name has this version already.
    #[must_use]
    pub fn job(
        mut self,
        name: &str,
        version: &str,
        build: impl Fn(&Env, &mut Settings) -> Result<(), PlanError> + Send + Sync + 'static,
    ) -> Self {
        let versions = self.jobs.entry(name.to_owned()).or_default();
        let before = versions.insert(version.to_owned(), Arc::new(build));
        assert!(before.is_none(), "{name} {version} is in the catalogue once");
        self
    }
}

impl Programs for Catalog {
    fn plan(&self, program: &Program) -> Result<Plan, PlanError> {
        let Program { name, version, settings } = program;
        let unknown = |name, known| PlanError::UnknownProgram { name, known };
        let versions =
            self.jobs.get(name).ok_or_else(|| unknown(name.clone(), Programs::names(self)))?;
        let build = versions.get(version).ok_or_else(|| {
            let known = versions.keys().map(|version| format!("{name}@{version}")).collect();
            unknown(format!("{name}@{version}"), known)
        })?;
        let env = Env::new(name);
        let mut settings = Settings::new(settings.clone());
        build(&env, &mut settings)?;
        settings.finish()?;
        env.plan()
    }

    fn names(&self) -> Vec<String> {
        self.jobs.keys().cloned().collect()
    }
}

//! `found`: where the file of a failure comes from, for whoever reads it later.
//! Nothing of it changes a run. Written by [`crate::inquest`]; the other keys of a scenario file are
//! in [`super::format`].

use schemars::JsonSchema;
use serde::Deserialize;
use serde_spanned::Spanned;

/// `found = { seed = …, commit = …, on = …, fixed = … }`: where a file of a failure comes from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// The seed that failed.
    #[schemars(with = "String")]
    pub seed: Spanned<String>,
    /// The file it is a seed of, if that is not the base.
    #[serde(default)]
    pub file: Option<String>,
    /// The commit at which it failed.
    #[serde(default)]
    pub commit: Option<String>,
    /// The day.
    #[serde(default)]
    #[schemars(with = "serde_json::Value")]
    pub on: Option<toml::value::Datetime>,
    /// The commit that mended it.
    #[serde(default)]
    pub fixed: Option<String>,
}

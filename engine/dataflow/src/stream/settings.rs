//! The parameters of a program: taken by name and type, and refused when nobody takes them.
//! Never guesses: a value that does not parse and a name that nobody knows are errors.
//! They travel as text in [`slackwater_core::program::Program`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use slackwater_core::time::parse_span;

use crate::task::PlanError;

/// The parameters of one program, as given.
///
/// ```
/// use slackwater_dataflow::stream::Settings;
/// use slackwater_core::time::{ms, secs};
/// let given = [("steps", "100"), ("wnidow", "2s")];
/// let mut settings = Settings::new(given.map(|(name, value)| (name.into(), value.into())).into());
/// assert_eq!(settings.take("steps", 10), Ok(100));
/// assert_eq!(settings.take("steps", 20), Ok(100), "taken twice, it is the same");
/// assert_eq!(settings.take("speed", 1.0), Ok(1.0));
/// assert_eq!(settings.take_span("window", secs(1)), Ok(secs(1)));
/// let refused = settings.finish().unwrap_err().to_string();
/// assert_eq!(refused, r#"parameter "wnidow": unknown, did you mean "window"?"#);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Settings {
    given: BTreeMap<String, String>,
    known: BTreeSet<String>,
}

impl Settings {
    /// Parameters by name, as text.
    pub fn new(given: BTreeMap<String, String>) -> Self {
        Self { given, known: BTreeSet::new() }
    }

    /// The parameter, or `default` if it was not given.
    ///
    /// # Errors
    /// [`PlanError::BadParameter`] if the value does not parse.
    pub fn take<T>(&mut self, name: &str, default: T) -> Result<T, PlanError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let parse = |text: &str| text.parse().map_err(|error: T::Err| error.to_string());
        Ok(self.parsed(name, parse)?.unwrap_or(default))
    }

    /// What a parameter is unless it was given: a job that is made of another one has defaults of its
    /// own. Whoever then takes it sees no difference.
    pub fn prefer(&mut self, name: &str, value: impl fmt::Display) {
        self.given.entry(name.to_owned()).or_insert_with(|| value.to_string());
    }

    /// The parameter, if it was given.
    ///
    /// # Errors
    /// [`PlanError::BadParameter`] if the value does not parse.
    pub fn take_optional<T>(&mut self, name: &str) -> Result<Option<T>, PlanError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        self.parsed(name, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// The parameter as a span (`100ms`, `1s`, `60m`, `2h`), or `default` if it was not given.
    ///
    /// # Errors
    /// [`PlanError::BadParameter`] if the value is no span.
    pub fn take_span(&mut self, name: &str, default: Duration) -> Result<Duration, PlanError> {
        Ok(self.parsed(name, parse_span)?.unwrap_or(default))
    }

    /// Ends the taking.
    ///
    /// # Errors
    /// [`PlanError::BadParameter`] names the first parameter that nobody took, with the nearest
    /// name that was asked for.
    pub fn finish(self) -> Result<(), PlanError> {
        let untaken = self.given.into_keys().find(|name| !self.known.contains(name));
        let Some(name) = untaken else { return Ok(()) };
        let hint = match nearest(&name, self.known.iter()) {
            Some(known) => format!("unknown, did you mean {known:?}?"),
            None if self.known.is_empty() => "unknown: the program has no parameters".to_owned(),
            None => {
                let known: Vec<_> = self.known.iter().map(String::as_str).collect();
                format!("unknown: known are {}", known.join(", "))
            }
        };
        Err(PlanError::BadParameter { name, message: hint })
    }

    fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, PlanError> {
        self.known.insert(name.to_owned());
        // Kept: a name may be taken by two parts of a program, and both get what was given.
        let Some(text) = self.given.get(name) else { return Ok(None) };
        match parse(text) {
            Ok(value) => Ok(Some(value)),
            Err(reason) => {
                let message = format!("cannot read {text:?}: {reason}");
                Err(PlanError::BadParameter { name: name.to_owned(), message })
            }
        }
    }
}

/// The known name nearest to `name`, if one is near enough to be meant.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    known
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().max(name.len()) / 2)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(given: &[(&str, &str)]) -> String {
        let given = given.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let mut settings = Settings::new(given);
        let taken = settings.take("steps", 10u32).map(|_| ());
        let taken = taken.and_then(|()| settings.take_span("bound", Duration::ZERO).map(|_| ()));
        taken.and_then(|()| settings.finish()).expect_err("refused").to_string()
    }

    #[test]
    fn what_cannot_be_read_is_named_with_what_was_expected() {
        let cases = [
            (
                "steps",
                "many",
                "parameter \"steps\": cannot read \"many\": invalid digit found in string",
            ),
            ("stpes", "1", "parameter \"stpes\": unknown, did you mean \"steps\"?"),
            ("parallelism", "1", "parameter \"parallelism\": unknown: known are bound, steps"),
            (
                "bound",
                "60",
                "parameter \"bound\": cannot read \"60\": expected a span such as \"100ms\", \
                 \"1s\", \"60m\" or \"2h\", found \"60\"",
            ),
        ];
        for (name, value, expected) in cases {
            assert_eq!(refused(&[(name, value)]), expected);
        }
    }
}

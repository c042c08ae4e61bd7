//! The sentences of InfluxQL that ask what there is: what stands behind `SHOW`.
//! Never looks whether it is there: that is [`super::show`]'s. The other sentences: [`super::parse`].

use super::parse::Parser;
use super::statement::{Match, Page, Show, Shown};

impl Parser {
    /// What stands behind `SHOW`.
    pub(super) fn show(&mut self) -> Result<Show, String> {
        let what = self.shown()?;
        let mut show = Show {
            what,
            on: None,
            from: Vec::new(),
            matching: Match::Any,
            condition: None,
            page: Page::default(),
        };
        if what == Shown::Databases {
            return Ok(show);
        }
        if self.takes("ON") {
            show.on = Some(self.name("identifier")?);
        }
        if what == Shown::RetentionPolicies {
            return Ok(show);
        }
        if what != Shown::Measurements && self.takes("FROM") {
            show.from = self.sources()?;
        }
        if what == Shown::Measurements && self.takes("WITH") {
            self.needs("MEASUREMENT")?;
            show.matching = self.matching()?;
        }
        if what == Shown::TagValues {
            self.needs("WITH")?;
            self.needs("KEY")?;
            show.matching = self.matching()?;
        }
        if self.takes("WHERE") {
            show.condition = Some(self.condition()?);
        }
        show.page = self.page("LIMIT", "OFFSET")?;
        Ok(show)
    }

    fn shown(&mut self) -> Result<Shown, String> {
        for (name, what) in [
            ("DATABASES", Shown::Databases),
            ("MEASUREMENTS", Shown::Measurements),
            ("SERIES", Shown::Series),
        ] {
            if self.takes(name) {
                return Ok(what);
            }
        }
        if self.takes("TAG") {
            let keys = self.takes("KEYS");
            if keys || self.takes("VALUES") {
                return Ok(if keys { Shown::TagKeys } else { Shown::TagValues });
            }
            return Err(self.expected("KEY, KEYS, VALUES"));
        }
        if self.takes("FIELD") {
            self.needs("KEYS")?;
            return Ok(Shown::FieldKeys);
        }
        if self.takes("RETENTION") {
            self.needs("POLICIES")?;
            return Ok(Shown::RetentionPolicies);
        }
        self.not_served(&[
            "CONTINUOUS",
            "DIAGNOSTICS",
            "GRANTS",
            "MEASUREMENT",
            "QUERIES",
            "SHARD",
            "SHARDS",
            "STATS",
            "SUBSCRIPTIONS",
            "USERS",
        ])?;
        Err(self.expected(
            "CONTINUOUS, DATABASES, DIAGNOSTICS, FIELD, GRANTS, MEASUREMENT, MEASUREMENTS, QUERIES, \
             RETENTION, SERIES, SHARD, SHARDS, STATS, SUBSCRIPTIONS, TAG, USERS",
        ))
    }

    /// An operator and names or a pattern.
    fn matching(&mut self) -> Result<Match, String> {
        if self.takes("IN") {
            self.needs("(")?;
            let mut names = vec![self.name("identifier")?];
            while self.takes(",") {
                names.push(self.name("identifier")?);
            }
            self.needs(")")?;
            return Ok(Match::In(names));
        }
        if self.takes("=") {
            return Ok(Match::In(vec![self.name("identifier")?]));
        }
        if self.takes("!=") || self.takes("<>") {
            return Ok(Match::NotIn(vec![self.name("identifier")?]));
        }
        if self.takes("=~") {
            return self.regex().map(Match::Like);
        }
        if self.takes("!~") {
            return self.regex().map(Match::Unlike);
        }
        Err(self.expected("IN, =, !=, =~, !~"))
    }
}

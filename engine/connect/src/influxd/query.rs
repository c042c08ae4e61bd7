//! A text of InfluxQL, answered: each statement in turn, and after one that fails no other.
//! Never decides who may ask: that is [`super::server`]'s. Sentences: [`super::parse`].

use super::answer::{Answer, Message, Outcome, Table};
use super::parse::parse;
use super::select::{Asked, select};
use super::show;
use super::statement::{Show, Shown, Source, Statement};
use super::store::{Store, View};

/// How a text is asked.
pub(super) struct Question<'a> {
    pub text: &'a str,
    /// The database, unless a statement names one.
    pub database: Option<&'a str>,
    pub asked: Asked,
    /// Whether it is asked with `GET`, which should change nothing.
    pub reading: bool,
}

impl Question<'_> {
    /// Its statements.
    ///
    /// # Errors
    /// In InfluxDB's words.
    pub fn statements(&self) -> Result<Vec<Statement>, String> {
        let parsed = parse(self.text, self.asked.now);
        parsed.map_err(|why| format!("error parsing query: {why}"))
    }

    /// Answers them.
    pub fn answer(&self, store: &Store, statements: &[Statement]) -> Answer {
        let (mut results, mut failed) = (Vec::new(), false);
        for (statement_id, statement) in statements.iter().enumerate() {
            if failed {
                let error = Some("not executed".to_owned());
                results.push(Outcome { statement_id, error, ..Outcome::default() });
                continue;
            }
            let outcome = match self.one(store, statement) {
                Ok(series) => {
                    let messages = self.warned(statement);
                    Outcome { statement_id, series, messages, error: None }
                }
                Err(error) => {
                    failed = true;
                    Outcome { statement_id, error: Some(error), ..Outcome::default() }
                }
            };
            results.push(outcome);
        }
        Answer { results, error: None }
    }

    fn warned(&self, statement: &Statement) -> Vec<Message> {
        if !(self.reading && statement.changes()) {
            return Vec::new();
        }
        let said = statement.said();
        let text = format!(
            "deprecated use of '{said}' in a read only context, please use a POST request instead"
        );
        vec![Message { level: "warning", text }]
    }

    fn one(&self, store: &Store, statement: &Statement) -> Result<Vec<Table>, String> {
        let words = |error: crate::series::StoreError| error.to_string();
        match statement {
            Statement::CreateDatabase(name) | Statement::DropDatabase(name) if name.is_empty() => {
                Err("invalid name".into())
            }
            Statement::CreateDatabase(name) => {
                store.create(name).map_err(words).map(|()| Vec::new())
            }
            Statement::DropDatabase(name) => store.drop(name).map_err(words).map(|()| Vec::new()),
            Statement::DropMeasurement(name) => {
                let database = self.database(None)?;
                self.view(store, database)?;
                store.drop_measurement(database, name).map_err(words).map(|()| Vec::new())
            }
            Statement::Show(show) => self.show(store, show),
            Statement::Select(asks) => {
                let (database, view) = self.of(store, &asks.from)?;
                let view = view.ok_or_else(|| format!("database not found: {database}"))?;
                select(&view, asks, self.asked)
            }
        }
    }

    fn show(&self, store: &Store, asks: &Show) -> Result<Vec<Table>, String> {
        if asks.what == Shown::Databases {
            let names = store.databases().map_err(|error| error.to_string())?;
            return Ok(vec![show::databases(names)]);
        }
        let named = asks.on.as_deref().or(asks.from.iter().find_map(|one| one.database.as_deref()));
        let database = self.database(named)?;
        let view = store.view(database).map_err(|error| error.to_string())?;
        match (view, asks.what) {
            (Some(_), Shown::RetentionPolicies) => Ok(vec![show::policies()]),
            (Some(view), _) => show::show(&view, asks),
            // As InfluxDB answers this one.
            (None, Shown::Measurements) => Ok(Vec::new()),
            (None, _) => Err(format!("database not found: {database}")),
        }
    }

    fn database<'a>(&'a self, named: Option<&'a str>) -> Result<&'a str, String> {
        let named = named.or(self.database).filter(|name| !name.is_empty());
        named.ok_or_else(|| "database name required".to_owned())
    }

    fn view(&self, store: &Store, database: &str) -> Result<View, String> {
        let view = store.view(database).map_err(|error| error.to_string())?;
        view.ok_or_else(|| format!("database not found: {database}"))
    }

    /// The database that all sources are of.
    fn of<'a>(
        &'a self,
        store: &Store,
        from: &'a [Source],
    ) -> Result<(&'a str, Option<View>), String> {
        let mut names = from.iter().map(|source| self.database(source.database.as_deref()));
        let first = names.next().unwrap_or_else(|| self.database(None))?;
        for name in names {
            if name? != first {
                return Err("a SELECT from two databases is not served here".into());
            }
        }
        let view = store.view(first).map_err(|error| error.to_string())?;
        let policy = from.iter().filter_map(|source| source.policy.as_deref());
        match policy.into_iter().find(|policy| *policy != "autogen") {
            Some(other) if view.is_some() => Err(format!("retention policy not found: {other}")),
            _ => Ok((first, view)),
        }
    }
}

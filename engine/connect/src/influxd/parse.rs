//! InfluxQL into statements, and InfluxDB's words for what cannot be read.
//! Never reads a row and never answers: what is served is known after this, or refused by name. Words:
//! [`super::scan`]; what becomes of a statement: [`super::query`].

use regex::RegexBuilder;

use super::scan::{Token, Word, is_keyword, words};
use super::statement::{By, Column, Fill, Interval, Match, Page, Select, Source, Statement};

/// A pattern may grow to this many bytes when it is compiled.
const REGEX_MAX: usize = 1 << 20;
/// What may stand where a value is expected.
pub(super) const LITERAL: &str = "identifier, string, number, bool";

/// Reads the statements of a text; `now` is what `now()` means, in nanoseconds.
///
/// # Errors
/// In InfluxDB's words.
pub(super) fn parse(text: &str, now: i64) -> Result<Vec<Statement>, String> {
    let mut parser = Parser { words: words(text), at: 0, now, deep: 0 };
    let mut statements = Vec::new();
    loop {
        while parser.takes(";") {}
        if parser.peek().token == Token::End {
            return Ok(statements);
        }
        statements.push(parser.statement()?);
        if parser.peek().token != Token::End && !parser.is(";") {
            return Err(parser.expected(";"));
        }
    }
}

/// A text on its way to being understood.
pub(super) struct Parser {
    words: Vec<Word>,
    at: usize,
    /// What `now()` means.
    pub now: i64,
    /// How many parentheses are open.
    pub deep: usize,
}

impl Parser {
    pub(super) fn peek(&self) -> &Word {
        &self.words[self.at.min(self.words.len() - 1)]
    }

    pub(super) fn next(&mut self) -> Word {
        let word = self.peek().clone();
        self.at += 1;
        word
    }

    pub(super) fn is(&self, said: &str) -> bool {
        match &self.peek().token {
            Token::Mark(mark) => *mark == said,
            Token::Word(word) => word.eq_ignore_ascii_case(said),
            _ => false,
        }
    }

    pub(super) fn takes(&mut self, said: &str) -> bool {
        let is = self.is(said);
        self.at += usize::from(is);
        is
    }

    pub(super) fn needs(&mut self, said: &str) -> Result<(), String> {
        if self.takes(said) { Ok(()) } else { Err(self.expected(said)) }
    }

    /// What is said of the next word.
    pub(super) fn expected(&self, what: &str) -> String {
        let Word { token, said, place: (line, char) } = self.peek();
        if *token == Token::BadDuration {
            return "invalid duration".into();
        }
        format!("found {said}, expected {what} at line {line}, char {char}")
    }

    fn statement(&mut self) -> Result<Statement, String> {
        if self.takes("SELECT") {
            return self.select().map(|select| Statement::Select(Box::new(select)));
        }
        if self.takes("SHOW") {
            return self.show().map(|show| Statement::Show(Box::new(show)));
        }
        if self.takes("CREATE") {
            if self.takes("DATABASE") {
                return self.name("identifier").map(Statement::CreateDatabase);
            }
            self.not_served(&["CONTINUOUS", "USER", "RETENTION", "SUBSCRIPTION"])?;
            return Err(self.expected("CONTINUOUS, DATABASE, USER, RETENTION, SUBSCRIPTION"));
        }
        if self.takes("DROP") {
            if self.takes("DATABASE") {
                return self.name("identifier").map(Statement::DropDatabase);
            }
            if self.takes("MEASUREMENT") {
                return self.name("identifier").map(Statement::DropMeasurement);
            }
            self.not_served(&[
                "CONTINUOUS",
                "RETENTION",
                "SERIES",
                "SHARD",
                "SUBSCRIPTION",
                "USER",
            ])?;
            return Err(self.expected(
                "CONTINUOUS, DATABASE, MEASUREMENT, RETENTION, SERIES, SHARD, SUBSCRIPTION, USER",
            ));
        }
        self.not_served(&["DELETE", "EXPLAIN", "GRANT", "REVOKE", "ALTER", "SET", "KILL"])?;
        Err(self.expected(
            "SELECT, DELETE, SHOW, CREATE, DROP, EXPLAIN, GRANT, REVOKE, ALTER, SET, KILL",
        ))
    }

    /// Refuses what InfluxDB has and this has not.
    pub(super) fn not_served(&self, words: &[&str]) -> Result<(), String> {
        match words.iter().find(|word| self.is(word)) {
            Some(word) => Err(format!("{word} is not served here")),
            None => Ok(()),
        }
    }

    pub(super) fn name(&mut self, expected: &str) -> Result<String, String> {
        match &self.peek().token {
            Token::Quoted(name) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            Token::Word(word) if !is_keyword(word) => {
                let word = word.clone();
                self.at += 1;
                Ok(word)
            }
            _ => Err(self.expected(expected)),
        }
    }

    pub(super) fn regex(&mut self) -> Result<regex::Regex, String> {
        let Token::Regex(pattern) = self.peek().token.clone() else {
            return Err(self.expected("regex"));
        };
        self.at += 1;
        let built = RegexBuilder::new(&pattern).size_limit(REGEX_MAX).build();
        built.map_err(|error| format!("error parsing regexp: {error}"))
    }

    fn select(&mut self) -> Result<Select, String> {
        let mut columns = vec![self.column()?];
        while self.takes(",") {
            columns.push(self.column()?);
        }
        self.not_served(&["INTO"])?;
        self.needs("FROM")?;
        let from = self.sources()?;
        let condition = if self.takes("WHERE") { Some(self.condition()?) } else { None };
        let (interval, by) = if self.takes("GROUP") { self.grouping()? } else { (None, none()) };
        let fill = if self.takes("FILL") { self.fill()? } else { Fill::Null };
        let descending = if self.takes("ORDER") { self.order()? } else { false };
        let page = self.page("LIMIT", "OFFSET")?;
        let series = self.page("SLIMIT", "SOFFSET")?;
        self.not_served(&["TZ"])?;
        Ok(Select { columns, from, condition, interval, by, fill, descending, page, series })
    }

    fn column(&mut self) -> Result<Column, String> {
        if self.takes("*") {
            return Ok(Column::All);
        }
        let name = self.name(LITERAL)?;
        if !self.takes("(") {
            self.sole()?;
            return Ok(Column::Field { name, alias: self.alias()? });
        }
        let mut fields = Vec::new();
        while !self.is(")") {
            if self.is("*") || matches!(self.peek().token, Token::Integer(_) | Token::Number(_)) {
                return Err(format!("{name}({}) is not served here", self.peek().said));
            }
            fields.push(self.name(LITERAL)?);
            if !self.takes(",") && !self.is(")") {
                return Err(self.expected(")"));
            }
        }
        self.needs(")")?;
        self.sole()?;
        Ok(Column::Call { function: name.to_ascii_lowercase(), fields, alias: self.alias()? })
    }

    /// Refuses what would compute with a column.
    fn sole(&self) -> Result<(), String> {
        match ["+", "-", "*", "/", "%", "&", "::"].iter().find(|mark| self.is(mark)) {
            Some(mark) => Err(format!("{mark} in a SELECT is not served here")),
            None => Ok(()),
        }
    }

    fn alias(&mut self) -> Result<Option<String>, String> {
        if self.takes("AS") { self.name("identifier").map(Some) } else { Ok(None) }
    }

    pub(super) fn sources(&mut self) -> Result<Vec<Source>, String> {
        let mut sources = vec![self.source()?];
        while self.takes(",") {
            sources.push(self.source()?);
        }
        Ok(sources)
    }

    fn source(&mut self) -> Result<Source, String> {
        if self.is("(") {
            return Err("a query in a query is not served here".into());
        }
        let mut parts = vec![Some(self.measurement()?)];
        loop {
            if self.takes("..") {
                parts.extend([None, Some(self.measurement()?)]);
            } else if self.takes(".") {
                parts.push(Some(self.measurement()?));
            } else {
                break;
            }
        }
        let name = |part: Option<Match>| match part {
            Some(Match::In(mut names)) => names.pop(),
            _ => None,
        };
        let measurement = parts.pop().flatten().unwrap_or(Match::Any);
        let policy = parts.pop().and_then(name);
        let database = parts.pop().and_then(name);
        Ok(Source { database, policy, measurement })
    }

    fn measurement(&mut self) -> Result<Match, String> {
        match self.peek().token {
            Token::Regex(_) => self.regex().map(Match::Like),
            _ => self.name("identifier").map(|name| Match::In(vec![name])),
        }
    }

    fn grouping(&mut self) -> Result<(Option<Interval>, By), String> {
        self.needs("BY")?;
        let (mut interval, mut by) = (None, none());
        loop {
            if self.takes("*") {
                by = By::All;
            } else if self.is("time") && matches!(self.words[self.at + 1].token, Token::Mark("(")) {
                self.at += 2;
                interval = self.interval()?;
            } else {
                let name = self.name(LITERAL)?;
                if let By::Tags(names) = &mut by {
                    names.push(name);
                }
            }
            if !self.takes(",") {
                return Ok((interval, by));
            }
        }
    }

    fn interval(&mut self) -> Result<Option<Interval>, String> {
        let every = self.duration()?;
        let shift = if self.takes(",") { self.duration()? } else { 0 };
        self.needs(")")?;
        // As InfluxDB takes it: one window for all.
        Ok((every > 0).then_some(Interval { every, shift }))
    }

    fn duration(&mut self) -> Result<i64, String> {
        let minus = self.takes("-");
        let Token::Duration(span) = self.peek().token else {
            return Err(self.expected("duration"));
        };
        self.at += 1;
        Ok(if minus { -span } else { span })
    }

    fn fill(&mut self) -> Result<Fill, String> {
        self.needs("(")?;
        let minus = self.takes("-");
        let said = self.next();
        let signed = |number: f64| Fill::Number(if minus { -number } else { number });
        let fill = match &said.token {
            Token::Integer(number) => signed(*number as f64),
            Token::Number(number) => signed(*number),
            Token::Word(word) => match word.to_ascii_lowercase().as_str() {
                "null" => Fill::Null,
                "none" => Fill::None,
                "previous" => Fill::Previous,
                "linear" => Fill::Linear,
                _ => return Err(format!("expected number argument in fill(), got {}", said.said)),
            },
            _ => return Err(format!("expected number argument in fill(), got {}", said.said)),
        };
        self.needs(")")?;
        Ok(fill)
    }

    fn order(&mut self) -> Result<bool, String> {
        self.needs("BY")?;
        if !self.takes("time") {
            return Err("only ORDER BY time supported at this time".into());
        }
        let descending = self.takes("DESC");
        if !descending {
            self.takes("ASC");
        }
        Ok(descending)
    }

    pub(super) fn page(&mut self, limit: &str, offset: &str) -> Result<Page, String> {
        let limit = if self.takes(limit) { self.count()? } else { 0 };
        let offset = if self.takes(offset) { self.count()? } else { 0 };
        Ok(Page { limit, offset })
    }

    fn count(&mut self) -> Result<usize, String> {
        let Token::Integer(count) = self.peek().token else { return Err(self.expected("integer")) };
        self.at += 1;
        usize::try_from(count).map_err(|_| "a number is too large".into())
    }
}

/// No tags.
fn none() -> By {
    By::Tags(Vec::new())
}

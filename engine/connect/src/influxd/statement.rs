//! What InfluxQL can ask here, once it is understood.
//! Plain data: nothing is read or computed. Made by [`super::parse`], answered by [`super::query`].

use regex::Regex;

use super::Value;

/// One statement.
#[derive(Clone, Debug)]
pub(super) enum Statement {
    Select(Box<Select>),
    Show(Box<Show>),
    CreateDatabase(String),
    DropDatabase(String),
    DropMeasurement(String),
}

impl Statement {
    /// Whether it changes what is kept.
    pub fn changes(&self) -> bool {
        !matches!(self, Self::Select(_) | Self::Show(_))
    }

    /// What changes something, as InfluxDB writes it.
    pub fn said(&self) -> String {
        match self {
            Self::Select(_) | Self::Show(_) => String::new(),
            Self::CreateDatabase(name) => format!("CREATE DATABASE {}", ident(name)),
            Self::DropDatabase(name) => format!("DROP DATABASE {}", ident(name)),
            Self::DropMeasurement(name) => format!("DROP MEASUREMENT {}", ident(name)),
        }
    }
}

/// A name, in quotes if it needs some.
fn ident(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Which texts are meant.
#[derive(Clone, Debug)]
pub(super) enum Match {
    Any,
    In(Vec<String>),
    NotIn(Vec<String>),
    Like(Regex),
    Unlike(Regex),
}

impl Match {
    pub fn holds(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::In(texts) => texts.iter().any(|one| one == text),
            Self::NotIn(texts) => !texts.iter().any(|one| one == text),
            Self::Like(regex) => regex.is_match(text),
            Self::Unlike(regex) => !regex.is_match(text),
        }
    }
}

/// Measurements that are read.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub database: Option<String>,
    pub policy: Option<String>,
    pub measurement: Match,
}

/// Which part of what there is: 0 is no limit.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Page {
    pub limit: usize,
    pub offset: usize,
}

impl Page {
    pub fn of<T>(self, all: Vec<T>) -> Vec<T> {
        let most = if self.limit == 0 { usize::MAX } else { self.limit };
        all.into_iter().skip(self.offset).take(most).collect()
    }
}

/// What a `SHOW` asks for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Databases,
    Measurements,
    Series,
    TagKeys,
    TagValues,
    FieldKeys,
    RetentionPolicies,
}

#[derive(Clone, Debug)]
pub(super) struct Show {
    pub what: Shown,
    pub on: Option<String>,
    /// None: all.
    pub from: Vec<Source>,
    /// Of measurements or of tag keys.
    pub matching: Match,
    pub condition: Option<Expr>,
    pub page: Page,
}

#[derive(Clone, Debug)]
pub(super) struct Select {
    pub columns: Vec<Column>,
    pub from: Vec<Source>,
    pub condition: Option<Expr>,
    pub interval: Option<Interval>,
    pub by: By,
    pub fill: Fill,
    pub descending: bool,
    pub page: Page,
    pub series: Page,
}

/// Windows of time: how long, and what they are shifted by, in nanoseconds.
#[derive(Copy, Clone, Debug)]
pub(super) struct Interval {
    pub every: i64,
    pub shift: i64,
}

impl Interval {
    /// The start of the window that a time is in.
    pub fn start(self, time: i64) -> i64 {
        time.saturating_sub(time.wrapping_sub(self.shift).rem_euclid(self.every))
    }
}

#[derive(Clone, Debug)]
pub(super) enum Column {
    All,
    Field { name: String, alias: Option<String> },
    Call { function: String, fields: Vec<String>, alias: Option<String> },
}

/// Which tags part a result into series.
#[derive(Clone, Debug)]
pub(super) enum By {
    Tags(Vec<String>),
    All,
}

/// What stands where a window has no rows.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) enum Fill {
    Null,
    None,
    Previous,
    Linear,
    Number(f64),
}

/// How two values are compared.
#[derive(Clone, Debug)]
pub(super) enum Operator {
    Is,
    IsNot,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// A condition.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    /// Of a field or a tag.
    Compare(String, Operator, Value),
    /// Of a tag.
    Matches(String, Match),
    /// Of the time of a row, in nanoseconds.
    Time(Operator, i64),
}

//! What is wrong with a scenario file: file, line, column, the line itself, the nearest known name.
//! Never guesses on: a file with one mistake is not played. Rendered without colour by [`Mistake::render`],
//! so that the same mistake is the same text everywhere; made by [`super::resolve`].

use std::fmt;
use std::ops::Range;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode,
};

/// A mistake in a scenario file.
#[derive(Debug)]
pub struct Mistake(Box<Inner>);

#[derive(Debug)]
struct Inner {
    message: String,
    help: Option<String>,
    span: Range<usize>,
    source: NamedSource<String>,
}

impl Mistake {
    /// A mistake at this place of the file.
    pub(super) fn new(file: &File, span: Range<usize>, message: impl Into<String>) -> Self {
        let (text, span) = file.find(span);
        let source = NamedSource::new(&text.path, text.text.clone());
        Self(Box::new(Inner { message: message.into(), help: None, span, source }))
    }

    /// What a person could do about it.
    #[must_use]
    pub(super) fn help(mut self, help: Option<String>) -> Self {
        self.0.help = help;
        self
    }

    /// Where the mistake is: line and column, from 1.
    pub fn place(&self) -> (usize, usize) {
        let before = &self.0.source.inner()[..self.0.span.start.min(self.0.source.inner().len())];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The whole diagnostic as text, without colours.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let theme = GraphicalTheme::unicode_nocolor();
        let handler = GraphicalReportHandler::new_themed(theme).with_width(100);
        match handler.render_report(&mut text, self) {
            Ok(()) => text,
            Err(fmt::Error) => self.to_string(),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Mistake {}

impl Diagnostic for Mistake {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.0.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.0.span.clone();
        let label = LabeledSpan::new_with_span(Some("here".to_owned()), span);
        Some(Box::new(std::iter::once(label)))
    }
}

/// A text that a scenario is read from.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    path: String,
    text: String,
    start: usize,
}

impl Text {
    /// A file, as it was named.
    pub(super) fn new(path: &str, text: String) -> Self {
        Self { path: path.to_owned(), text, start: 0 }
    }
}

/// A file under reading, and those it is based on: one text behind the other, so that a place says
/// in which of them it is.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    texts: Vec<Text>,
    nothing: Text,
}

impl File {
    /// Takes one more text; gives where it begins.
    pub(super) fn add(&mut self, text: Text) -> usize {
        let start = self.texts.last().map_or(0, |last| last.start + last.text.len() + 1);
        self.texts.push(Text { start, ..text });
        start
    }

    /// Whether a file of this name was read.
    pub(super) fn has(&self, path: &str) -> bool {
        self.texts.iter().any(|text| text.path == path)
    }

    /// In which text a place is, and where there.
    fn find(&self, span: Range<usize>) -> (&Text, Range<usize>) {
        let text = self.texts.iter().rfind(|text| text.start <= span.start);
        let text = text.unwrap_or(&self.nothing);
        let inside = |at: usize| at.saturating_sub(text.start).min(text.text.len());
        (text, inside(span.start)..inside(span.end))
    }

    /// A mistake that the TOML reader found.
    pub(super) fn of_toml(&self, error: &toml::de::Error) -> Mistake {
        let message = error.message().lines().next().unwrap_or_default();
        let help = unknown_name(message).map(|(unknown, known)| suggest(unknown, known));
        let span = error.span().unwrap_or(0..0);
        Mistake::new(self, span, message.split(", expected").next().unwrap_or(message)).help(help)
    }
}

/// The name and the list of "unknown field `x`, expected one of `a`, `b`".
fn unknown_name(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `");
    let rest = rest.or_else(|| message.strip_prefix("unknown variant `"))?;
    let (unknown, rest) = rest.split_once('`')?;
    // Every second piece between backticks is a name.
    Some((unknown, rest.split('`').skip(1).step_by(2).collect()))
}

/// So many names are too many to be read.
const MANY: usize = 16;

/// "did you mean …?", or what there is.
pub(crate) fn suggest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let nearest = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(unknown, name), *name))
        .min()
        .filter(|(distance, name)| *distance <= name.len().max(unknown.len()) / 2);
    match nearest {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "there is none".to_owned(),
        None if known.len() > MANY => {
            let mut near = known.clone();
            near.sort_by_key(|name| (strsim::damerau_levenshtein(unknown, name), *name));
            format!("of {} the nearest are {}", known.len(), near[..5].join(", "))
        }
        None => format!("known are {}", known.join(", ")),
    }
}

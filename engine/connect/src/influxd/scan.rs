//! The words of InfluxQL, with where they stand: what its errors name.
//! Never decides what a word means: names, numbers and marks alone. Sentences: [`super::parse`].

use super::time;

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name without quotes: also every keyword.
    Word(String),
    /// A name in double quotes.
    Quoted(String),
    /// Text in single quotes.
    Text(String),
    Integer(i64),
    Number(f64),
    /// Nanoseconds.
    Duration(i64),
    /// A number and letters that are no unit of time.
    BadDuration,
    /// A pattern between slashes.
    Regex(String),
    /// An operator or a mark.
    Mark(&'static str),
    /// A character that has no meaning, or a text without an end.
    Bad(String),
    End,
}

/// A word, as it was written, and its place: line and character, from 1.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub token: Token,
    pub said: String,
    pub place: (usize, usize),
}

/// Longer ones first.
const MARKS: [&str; 23] = [
    "=~", "!~", "!=", "<>", "<=", ">=", "::", "..", "=", "<", ">", "+", "-", "*", "/", "%", "(",
    ")", ",", ";", ".", ":", "&",
];

/// The words of a text; the last is [`Token::End`].
pub(super) fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
            continue;
        }
        let place = place(text, text.len() - rest.len());
        if rest.is_empty() {
            // As InfluxDB counts it.
            let place = (place.0, place.1 + 1);
            words.push(Word { token: Token::End, said: "EOF".into(), place });
            return words;
        }
        let after_match = words.last().is_some_and(|word| takes_regex(&word.token));
        let (token, long) = next(rest, after_match);
        let said = match &token {
            Token::Quoted(name) | Token::Text(name) => name.clone(),
            _ => rest[..long].to_owned(),
        };
        // As InfluxDB counts a text without an end.
        let unended = matches!(token, Token::Bad(_)) && rest.starts_with(['"', '\'']);
        let place = (place.0, place.1 - usize::from(unended));
        let said = if let Token::Bad(text) = &token { text.clone() } else { said };
        words.push(Word { token, said, place });
        rest = &rest[long..];
    }
}

fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    (line, before[start..].chars().count() + 1)
}

/// Whether a slash behind this word begins a pattern.
fn takes_regex(token: &Token) -> bool {
    match token {
        Token::Mark(mark) => matches!(*mark, "=~" | "!~" | "."),
        Token::Word(word) => {
            ["from", "by", "key"].iter().any(|name| word.eq_ignore_ascii_case(name))
        }
        _ => false,
    }
}

/// The next word and how long it is, in bytes.
fn next(rest: &str, regex: bool) -> (Token, usize) {
    let first = rest.chars().next().unwrap_or(' ');
    match first {
        '"' => quoted(rest, '"', Token::Quoted),
        '\'' => quoted(rest, '\'', Token::Text),
        '/' if regex => match quoted(rest, '/', Token::Regex) {
            (Token::Regex(_), long) => (Token::Regex(rest[1..long - 1].replace("\\/", "/")), long),
            other => other,
        },
        'a'..='z' | 'A'..='Z' | '_' => {
            let long = span(rest, |c| c.is_ascii_alphanumeric() || c == '_');
            (Token::Word(rest[..long].to_owned()), long)
        }
        '0'..='9' => number(rest),
        '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => number(rest),
        _ => match MARKS.iter().find(|mark| rest.starts_with(**mark)) {
            Some(mark) => (Token::Mark(mark), mark.len()),
            None => (Token::Bad(first.to_string()), first.len_utf8()),
        },
    }
}

fn span(text: &str, is_part: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_part(c)).unwrap_or(text.len())
}

fn quoted(rest: &str, quote: char, token: impl Fn(String) -> Token) -> (Token, usize) {
    let (mut text, mut escaped) = (String::new(), false);
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => {
                match c {
                    'n' => text.push('\n'),
                    '\\' | '"' | '\'' => text.push(c),
                    other => text.extend(['\\', other]),
                }
                escaped = false;
            }
            '\\' => escaped = true,
            _ if c == quote => return (token(text), at + 1),
            '\n' => break,
            _ => text.push(c),
        }
    }
    (Token::Bad(text), rest.len())
}

fn number(rest: &str) -> (Token, usize) {
    let long = span(rest, |c| c.is_ascii_digit() || c == '.');
    let letters = span(&rest[long..], |c| c.is_alphanumeric());
    if letters > 0 {
        let long = span(rest, |c| c.is_alphanumeric() || c == '.');
        let token = time::duration(&rest[..long]).map_or(Token::BadDuration, Token::Duration);
        return (token, long);
    }
    let text = &rest[..long];
    let token = match text.parse::<i64>() {
        Ok(integer) => Token::Integer(integer),
        Err(_) => match text.parse::<f64>() {
            Ok(number) => Token::Number(number),
            Err(_) => Token::Bad(text.to_owned()),
        },
    };
    (token, long)
}

/// Words that are no name unless they stand in quotes.
const KEYWORDS: [&str; 62] = [
    "ALL",
    "ALTER",
    "AND",
    "ANY",
    "AS",
    "ASC",
    "BEGIN",
    "BY",
    "CREATE",
    "DATABASE",
    "DATABASES",
    "DEFAULT",
    "DELETE",
    "DESC",
    "DISTINCT",
    "DROP",
    "DURATION",
    "END",
    "EXPLAIN",
    "FALSE",
    "FIELD",
    "FOR",
    "FROM",
    "GRANT",
    "GRANTS",
    "GROUP",
    "IN",
    "INSERT",
    "INTO",
    "KEY",
    "KEYS",
    "KILL",
    "LIMIT",
    "MEASUREMENT",
    "MEASUREMENTS",
    "NAME",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "PASSWORD",
    "POLICIES",
    "POLICY",
    "QUERIES",
    "READ",
    "RETENTION",
    "REVOKE",
    "SELECT",
    "SERIES",
    "SET",
    "SHARD",
    "SHOW",
    "SLIMIT",
    "SOFFSET",
    "TAG",
    "TO",
    "TRUE",
    "USER",
    "VALUES",
    "WHERE",
    "WITH",
    "WRITE",
];

/// Whether a word is no name.
pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
}

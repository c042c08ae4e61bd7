//! `require = "task_managers * slots >= parallelism"`: a condition over what a scenario says.
//! Whole numbers, + - * /, comparisons, `and`, `or`, `not` and brackets; nothing is drawn and nothing
//! is assumed: a name that nobody says is a mistake. Drawn until it holds by [`super::swarm`].

use std::ops::Range;

use super::diagnostic::{File, Mistake, suggest};
use super::tree::{self, Table, Value};
use slackwater_core::time::parse_span;

/// A condition that was read.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    span: Range<usize>,
    root: Node,
}

#[derive(Clone, Debug)]
enum Node {
    Number(i64),
    Name(String),
    Not(Box<Node>),
    Two(&'static str, Box<Node>, Box<Node>),
}

/// Operators, the weakest first.
const LEVELS: &[&[&str]] =
    &[&["or", "||"], &["and", "&&"], &[">=", "<=", "==", "!=", ">", "<"], &["+", "-"], &["*", "/"]];

impl Condition {
    /// Reads a condition.
    pub(super) fn read(file: &File, value: &Value) -> Result<Self, Mistake> {
        let span = value.span();
        let wrong = |what: String| Mistake::new(file, span.clone(), what);
        let Some(text) = value.get_ref().as_str() else {
            return Err(wrong("a condition is text such as \"slots >= parallelism\"".to_owned()));
        };
        let mut reader = Reader { rest: text };
        let root = reader.level(0).map_err(wrong)?;
        match reader.rest.trim() {
            "" => Ok(Self { span, root }),
            rest => Err(wrong(format!("the condition ends before {rest:?}"))),
        }
    }

    /// Whether it holds for a document.
    pub(super) fn holds(&self, file: &File, document: &Table) -> Result<bool, Mistake> {
        match value(&self.root, document) {
            Ok(value) => Ok(value != 0),
            Err(name) => {
                let known = names(document);
                let help = suggest(&name, known.iter().map(String::as_str));
                let message = format!("the condition speaks of {name:?}, which nobody says");
                Err(Mistake::new(file, self.span.clone(), message).help(Some(help)))
            }
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn level(&mut self, level: usize) -> Result<Node, String> {
        let Some(operators) = LEVELS.get(level) else { return self.atom() };
        // Stronger than `and`, weaker than a comparison.
        if operators.contains(&"==") && self.takes("not") {
            return Ok(Node::Not(Box::new(self.level(level)?)));
        }
        let mut left = self.level(level + 1)?;
        while let Some(operator) = operators.iter().find(|operator| self.takes(operator)) {
            let right = self.level(level + 1)?;
            left = Node::Two(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn atom(&mut self) -> Result<Node, String> {
        if self.takes("(") {
            let inner = self.level(0)?;
            return if self.takes(")") { Ok(inner) } else { Err("a ) is missing".to_owned()) };
        }
        let rest = self.rest.trim_start();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        self.rest = after;
        match word.parse() {
            Ok(number) => Ok(Node::Number(number)),
            Err(_) if word.is_empty() => Err(match rest {
                "" => "the condition ends too early".to_owned(),
                rest => format!("a number or a name is expected before {rest:?}"),
            }),
            Err(_) => Ok(parse_span(word).map_or_else(
                |_| Node::Name(word.to_owned()),
                |span| Node::Number(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
            )),
        }
    }

    /// Takes a token if it comes next; a word only whole.
    fn takes(&mut self, token: &str) -> bool {
        let Some(after) = self.rest.trim_start().strip_prefix(token) else { return false };
        let is_word = token.ends_with(|c: char| c.is_ascii_alphabetic());
        if is_word && after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return false;
        }
        self.rest = after;
        true
    }
}

/// What a node is worth; spans of time in milliseconds, truths as 1 and 0. `Err`: an unknown name.
fn value(node: &Node, document: &Table) -> Result<i64, String> {
    Ok(match node {
        Node::Number(number) => *number,
        Node::Name(name) => looked_up(name, document).ok_or_else(|| name.clone())?,
        Node::Not(inner) => i64::from(value(inner, document)? == 0),
        Node::Two(operator, left, right) => {
            let (left, right) = (value(left, document)?, value(right, document)?);
            match *operator {
                "or" | "||" => i64::from(left != 0 || right != 0),
                "and" | "&&" => i64::from(left != 0 && right != 0),
                ">=" => i64::from(left >= right),
                "<=" => i64::from(left <= right),
                "==" => i64::from(left == right),
                "!=" => i64::from(left != right),
                ">" => i64::from(left > right),
                "<" => i64::from(left < right),
                "+" => left.saturating_add(right),
                "-" => left.saturating_sub(right),
                "*" => left.saturating_mul(right),
                _ => left.checked_div(right).unwrap_or(0),
            }
        }
    })
}

/// Where a short name is looked for.
const PLACES: &[&str] = &["cluster", "job.set", "run"];

/// What a cluster or a job has of each unless it says otherwise.
const USUAL: &[(&str, i64)] =
    &[("task_managers", 1), ("job_managers", 1), ("slots", 1), ("workers", 1), ("parallelism", 1)];

fn looked_up(name: &str, document: &Table) -> Option<i64> {
    let paths = [name.to_owned()].into_iter();
    let paths = paths.chain(PLACES.iter().map(|place| format!("{place}.{name}")));
    paths.into_iter().find_map(|path| at(&path, document)).or_else(|| {
        let short = name.rsplit('.').next();
        USUAL.iter().find(|(usual, _)| Some(*usual) == short).map(|(_, number)| *number)
    })
}

fn at(path: &str, document: &Table) -> Option<i64> {
    let (table, key) = match path.rsplit_once('.') {
        Some((tables, key)) => {
            let step = |at: Option<_>, key| at.and_then(|at| tree::table(at, key));
            (tables.split('.').fold(Some(document), step)?, key)
        }
        None => (document, path),
    };
    let value = table.get(key)?;
    let millis = || {
        let span = parse_span(value.get_ref().as_str()?).ok()?;
        i64::try_from(span.as_millis()).ok()
    };
    value
        .get_ref()
        .as_integer()
        .or_else(millis)
        .or_else(|| value.get_ref().as_bool().map(i64::from))
}

/// Every name that means something here.
fn names(document: &Table) -> Vec<String> {
    let mut names: Vec<String> = USUAL.iter().map(|(name, _)| (*name).to_owned()).collect();
    for place in PLACES {
        let step = |at: Option<_>, key| at.and_then(|at| tree::table(at, key));
        let table = place.split('.').fold(Some(document), step);
        let keys = table.into_iter().flat_map(|table| table.keys());
        names.extend(keys.map(|key| key.get_ref().to_string()));
    }
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(condition: &str) -> Result<bool, String> {
        let text = "[cluster]\ntask_managers = 2\nslots = 3\n[job]\nset = { parallelism = 6, every = \"2s\" }\n";
        let document = tree::parse(text).expect("a table").into_inner();
        let value = tree::text(0..0, condition);
        let file = File::default();
        let condition = Condition::read(&file, &value).map_err(|mistake| mistake.to_string())?;
        condition.holds(&file, &document).map_err(|mistake| mistake.to_string())
    }

    #[test]
    fn conditions_count_compare_and_combine() {
        for (condition, expected) in [
            ("task_managers * slots >= parallelism", true),
            ("task_managers * slots > parallelism", false),
            ("task_managers + slots * 2 == 8", true),
            ("(task_managers + slots) * 2 == 10 and not slots == 2", true),
            ("slots == 9 or every <= 2s", true),
            ("cluster.slots / 2 != 1", false),
            ("workers == 1", true),
        ] {
            assert_eq!(holds(condition), Ok(expected), "{condition}");
        }
    }

    #[test]
    fn a_condition_that_cannot_be_read_says_where_it_ends() {
        for (condition, expected) in [
            ("slots >=", "the condition ends too early"),
            ("(slots > 1", "a ) is missing"),
            ("slots > 1 slots", "the condition ends before \"slots\""),
            ("slots > ?", "a number or a name is expected before \"?\""),
            ("slotz > 1", "the condition speaks of \"slotz\", which nobody says"),
        ] {
            assert_eq!(holds(condition), Err(expected.to_owned()), "{condition}");
        }
    }
}

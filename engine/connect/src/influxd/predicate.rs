//! The conditions of InfluxQL: what stands behind `WHERE`.
//! Never looks at a row: whether a condition holds is [`super::condition`]'s. The rest of a statement:
//! [`super::parse`].

use super::parse::{LITERAL, Parser};
use super::scan::Token;
use super::statement::{Expr, Match, Operator};
use super::{Value, time};

/// Parentheses may stand in each other so deep.
const DEEP_MAX: usize = 64;

/// One side of a comparison.
enum Operand {
    Name(String),
    Value(Value),
    /// Nanoseconds since 1970, or a span of them.
    Nanoseconds(i64),
}

impl Parser {
    /// A condition.
    pub(super) fn condition(&mut self) -> Result<Expr, String> {
        let mut all = self.conjunction()?;
        while self.takes("OR") {
            all = Expr::Or(Box::new(all), Box::new(self.conjunction()?));
        }
        Ok(all)
    }

    fn conjunction(&mut self) -> Result<Expr, String> {
        let mut all = self.comparison()?;
        while self.takes("AND") {
            all = Expr::And(Box::new(all), Box::new(self.comparison()?));
        }
        Ok(all)
    }

    fn comparison(&mut self) -> Result<Expr, String> {
        if self.takes("(") {
            self.deep += 1;
            if self.deep > DEEP_MAX {
                return Err(format!("more than {DEEP_MAX} parentheses are open"));
            }
            let inner = self.condition()?;
            self.needs(")")?;
            self.deep -= 1;
            return Ok(inner);
        }
        let left = self.operand()?;
        if self.takes("=~") {
            return Ok(Expr::Matches(named(left)?, Match::Like(self.regex()?)));
        }
        if self.takes("!~") {
            return Ok(Expr::Matches(named(left)?, Match::Unlike(self.regex()?)));
        }
        let (operator, turned) = self.operator()?;
        match (left, self.operand()?) {
            (Operand::Name(name), right) => compare(name, operator, right),
            (left, Operand::Name(name)) => compare(name, turned, left),
            _ => Err("a condition without a field or a tag is not served here".into()),
        }
    }

    /// An operator, and the one that says the same from the other side.
    fn operator(&mut self) -> Result<(Operator, Operator), String> {
        use Operator::{AtLeast, AtMost, Is, IsNot, Less, More};
        let pairs = [
            ("=", (Is, Is)),
            ("!=", (IsNot, IsNot)),
            ("<>", (IsNot, IsNot)),
            ("<=", (AtMost, AtLeast)),
            (">=", (AtLeast, AtMost)),
            ("<", (Less, More)),
            (">", (More, Less)),
        ];
        let found = pairs.into_iter().find(|(mark, _)| self.takes(mark));
        found.map(|(_, pair)| pair).ok_or_else(|| self.expected("an operator such as ="))
    }

    fn operand(&mut self) -> Result<Operand, String> {
        let mut left = self.term()?;
        loop {
            let sign = match (self.takes("+"), self.is("-")) {
                (true, _) => 1,
                (false, true) => {
                    self.takes("-");
                    -1
                }
                (false, false) => return Ok(left),
            };
            let at = nanoseconds(left)?;
            let right = nanoseconds(self.term()?)?;
            left = Operand::Nanoseconds(at.saturating_add(right.saturating_mul(sign)));
        }
    }

    fn term(&mut self) -> Result<Operand, String> {
        let minus = self.takes("-");
        let token = self.peek().token.clone();
        let of = |value| Ok(Operand::Value(value));
        let term = match token {
            Token::Word(word) if word.eq_ignore_ascii_case("true") => of(Value::Boolean(true)),
            Token::Word(word) if word.eq_ignore_ascii_case("false") => of(Value::Boolean(false)),
            Token::Word(word) if word.eq_ignore_ascii_case("now") => {
                self.next();
                self.needs("(")?;
                self.needs(")")?;
                return Ok(Operand::Nanoseconds(self.now));
            }
            Token::Word(_) | Token::Quoted(_) => return self.name(LITERAL).map(Operand::Name),
            Token::Text(text) => of(Value::Text(text)),
            Token::Integer(number) => of(Value::Integer(if minus { -number } else { number })),
            Token::Number(number) => of(Value::Float(if minus { -number } else { number })),
            Token::Duration(span) => Ok(Operand::Nanoseconds(if minus { -span } else { span })),
            _ => Err(self.expected(LITERAL)),
        }?;
        self.next();
        Ok(term)
    }
}

fn named(operand: Operand) -> Result<String, String> {
    match operand {
        Operand::Name(name) => Ok(name),
        _ => Err("a pattern is for a tag".into()),
    }
}

fn compare(name: String, operator: Operator, with: Operand) -> Result<Expr, String> {
    if name.eq_ignore_ascii_case("time") {
        return Ok(Expr::Time(operator, nanoseconds(with)?));
    }
    match with {
        Operand::Value(value) => Ok(Expr::Compare(name, operator, value)),
        Operand::Name(_) | Operand::Nanoseconds(_) => {
            Err(format!("{name} can be compared with a text or a number only"))
        }
    }
}

fn nanoseconds(operand: Operand) -> Result<i64, String> {
    let incompatible =
        |with: &str| format!("invalid operation: time and *influxql.{with} are not compatible");
    match operand {
        Operand::Nanoseconds(span) | Operand::Value(Value::Integer(span)) => Ok(span),
        Operand::Value(Value::Float(span)) => Ok(span as i64),
        Operand::Value(Value::Text(text)) => {
            time::instant(&text).ok_or_else(|| incompatible("StringLiteral"))
        }
        Operand::Value(Value::Boolean(_)) => Err(incompatible("BooleanLiteral")),
        Operand::Name(_) => Err(incompatible("VarRef")),
    }
}

//! Whether a row meets a condition, and which times can at all.
//! Never reads the store: the bounds it gives are what the store is asked for. Conditions are made in
//! [`super::predicate`].

use super::statement::{Expr, Operator};
use super::store::Kinds;
use super::{Fields, Tags, Value};

/// The first and the last nanosecond.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub from: i64,
    pub to: i64,
}

impl Span {
    pub const ALL: Self = Self { from: i64::MIN, to: i64::MAX };

    /// The times that can meet a condition.
    pub fn of(condition: Option<&Expr>) -> Self {
        match condition {
            Some(Expr::And(one, other)) => {
                let (one, other) = (Self::of(Some(one)), Self::of(Some(other)));
                Self { from: one.from.max(other.from), to: one.to.min(other.to) }
            }
            Some(Expr::Time(operator, at)) => match operator {
                Operator::Is => Self { from: *at, to: *at },
                Operator::IsNot => Self::ALL,
                Operator::Less => Self { to: at.saturating_sub(1), ..Self::ALL },
                Operator::AtMost => Self { to: *at, ..Self::ALL },
                Operator::More => Self { from: at.saturating_add(1), ..Self::ALL },
                Operator::AtLeast => Self { from: *at, ..Self::ALL },
            },
            _ => Self::ALL,
        }
    }
}

/// One row, looked at.
pub(super) struct Seen<'a> {
    pub tags: &'a Tags,
    pub time: i64,
    pub fields: &'a Fields,
    /// Which names are those of fields.
    pub kinds: &'a Kinds,
}

impl Seen<'_> {
    /// Whether it meets a condition.
    pub fn meets(&self, condition: &Expr) -> bool {
        match condition {
            Expr::And(one, other) => self.meets(one) && self.meets(other),
            Expr::Or(one, other) => self.meets(one) || self.meets(other),
            Expr::Time(operator, at) => holds(operator, self.time.partial_cmp(at)),
            Expr::Matches(name, matching) => match self.fields.get(name) {
                Some(Value::Text(text)) => matching.holds(text),
                Some(_) => false,
                None => !self.kinds.contains_key(name) && matching.holds(self.tag(name)),
            },
            Expr::Compare(name, operator, with) => match (self.fields.get(name), with) {
                (Some(value), with) => compares(value, operator, with),
                (None, _) if self.kinds.contains_key(name) => false,
                (None, Value::Text(text)) if is_equality(operator) => {
                    holds(operator, self.tag(name).partial_cmp(text.as_str()))
                }
                (None, _) => false,
            },
        }
    }

    /// The value of a tag; without one it is empty.
    fn tag(&self, name: &str) -> &str {
        self.tags.get(name).map_or("", String::as_str)
    }
}

fn is_equality(operator: &Operator) -> bool {
    matches!(operator, Operator::Is | Operator::IsNot)
}

fn compares(value: &Value, operator: &Operator, with: &Value) -> bool {
    let order = match (value, with) {
        (Value::Text(one), Value::Text(other)) if is_equality(operator) => Some(one.cmp(other)),
        (Value::Boolean(one), Value::Boolean(other)) if is_equality(operator) => {
            Some(one.cmp(other))
        }
        (Value::Integer(one), Value::Integer(other)) => Some(one.cmp(other)),
        (one, other) => match (one.number(), other.number()) {
            (Some(one), Some(other)) => one.partial_cmp(&other),
            _ => None,
        },
    };
    holds(operator, order)
}

fn holds(operator: &Operator, order: Option<std::cmp::Ordering>) -> bool {
    let Some(order) = order else { return false };
    match operator {
        Operator::Is => order.is_eq(),
        Operator::IsNot => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::AtMost => order.is_le(),
        Operator::More => order.is_gt(),
        Operator::AtLeast => order.is_ge(),
    }
}

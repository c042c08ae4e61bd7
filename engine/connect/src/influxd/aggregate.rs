//! The functions of InfluxQL over the rows of a window, and what fills windows without rows.
//! Never reads the store. Which rows and windows: [`super::select`].

use super::Value;
use super::answer::Cell;
use super::statement::Fill;

/// What makes one value of many.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Count,
    Sum,
    Mean,
    Median,
    Spread,
    Stddev,
    Min,
    Max,
    First,
    Last,
}

use Function::{Count, First, Last, Max, Mean, Median, Min, Spread, Stddev, Sum};

const NAMES: [(&str, Function); 10] = [
    ("count", Count),
    ("sum", Sum),
    ("mean", Mean),
    ("median", Median),
    ("spread", Spread),
    ("stddev", Stddev),
    ("min", Min),
    ("max", Max),
    ("first", First),
    ("last", Last),
];

/// What InfluxDB has and this has not.
const NOT_SERVED: [&str; 18] = [
    "bottom",
    "ceiling",
    "cumulative_sum",
    "derivative",
    "difference",
    "distinct",
    "elapsed",
    "floor",
    "histogram",
    "holt_winters",
    "integral",
    "mode",
    "moving_average",
    "non_negative_derivative",
    "non_negative_difference",
    "percentile",
    "sample",
    "top",
];

impl Function {
    /// The function of a name.
    ///
    /// # Errors
    /// In InfluxDB's words if there is none; by name if it is not served.
    pub fn named(name: &str) -> Result<Self, String> {
        match NAMES.iter().find(|(known, _)| *known == name) {
            Some((_, function)) => Ok(*function),
            None if NOT_SERVED.contains(&name) => Err(format!("{name}() is not served here")),
            None => Err(format!("undefined function {name}()")),
        }
    }

    /// Whether its value is that of one of the rows, which has a time.
    pub fn selects(self) -> bool {
        matches!(self, Min | Max | First | Last)
    }

    /// Its value over rows in the order of time, and the time of the row that it selects.
    ///
    /// # Errors
    /// If it has no meaning for such values.
    pub fn of(self, rows: &[(i64, Value)]) -> Result<Option<(i64, Value)>, String> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(None) };
        let made = match self {
            Count => Value::Integer(rows.len() as i64),
            First => return Ok(Some(first.clone())),
            Last => return Ok(Some(last.clone())),
            _ => {
                let numbers = self.numbers(rows)?;
                if matches!(self, Min | Max) {
                    let at = extreme(&numbers, self == Max);
                    return Ok(Some(rows[at].clone()));
                }
                let whole = matches!(first.1, Value::Integer(_));
                let Some(made) = self.computed(numbers) else { return Ok(None) };
                match (self, whole) {
                    (Sum, true) => Value::Integer(sum(rows)),
                    (Spread, true) => Value::Integer(made as i64),
                    _ => Value::Float(made),
                }
            }
        };
        Ok(Some((first.0, made)))
    }

    fn numbers(self, rows: &[(i64, Value)]) -> Result<Vec<f64>, String> {
        let number = |value: &Value| {
            value.number().ok_or_else(|| {
                let name = NAMES.iter().find(|(_, one)| *one == self).map_or("", |(name, _)| name);
                let kind = value.kind().name();
                format!("unsupported {name} iterator type: *query.{kind}InterruptIterator")
            })
        };
        rows.iter().map(|(_, value)| number(value)).collect()
    }

    fn computed(self, mut numbers: Vec<f64>) -> Option<f64> {
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        match self {
            Sum => Some(numbers.iter().sum()),
            Mean => Some(mean),
            Median => {
                numbers.sort_by(f64::total_cmp);
                let middle = numbers.len() / 2;
                let upper = numbers[middle];
                let even = numbers.len().is_multiple_of(2);
                Some(if even { (numbers[middle - 1] + upper) / 2.0 } else { upper })
            }
            Spread => Some(numbers[extreme(&numbers, true)] - numbers[extreme(&numbers, false)]),
            // Of a sample: one row says nothing.
            Stddev if numbers.len() < 2 => None,
            Stddev => {
                let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
                Some((squares / (count - 1.0)).sqrt())
            }
            Count | Min | Max | First | Last => None,
        }
    }
}

/// The position of the largest or smallest; of several, the first.
fn extreme(numbers: &[f64], largest: bool) -> usize {
    let mut at = 0;
    for (here, number) in numbers.iter().enumerate() {
        let better = if largest { *number > numbers[at] } else { *number < numbers[at] };
        if better {
            at = here;
        }
    }
    at
}

fn sum(rows: &[(i64, Value)]) -> i64 {
    rows.iter().fold(0, |sum, (_, value)| match value {
        Value::Integer(integer) => sum.wrapping_add(*integer),
        _ => sum,
    })
}

/// Fills the windows of one column that have no value.
pub(super) fn fill(column: &mut [Cell], function: Function, fill: Fill) {
    match fill {
        // Nothing counted is none.
        Fill::Null if function == Count => constant(column, Value::Integer(0)),
        Fill::Null | Fill::None => {}
        Fill::Number(number) if function == Count => {
            constant(column, Value::Integer(number as i64))
        }
        Fill::Number(number) => constant(column, Value::Float(number)),
        Fill::Previous => {
            let mut last = Cell::Null;
            for cell in column {
                match cell {
                    Cell::Null => *cell = last.clone(),
                    known => last = known.clone(),
                }
            }
        }
        Fill::Linear => linear(column),
    }
}

fn constant(column: &mut [Cell], value: Value) {
    column
        .iter_mut()
        .filter(|cell| **cell == Cell::Null)
        .for_each(|cell| *cell = Cell::Value(value.clone()));
}

fn linear(column: &mut [Cell]) {
    let number = |cell: &Cell| match cell {
        Cell::Value(value) => value.number(),
        _ => None,
    };
    let known: Vec<usize> = (0..column.len()).filter(|at| number(&column[*at]).is_some()).collect();
    for pair in known.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let (Some(low), Some(high)) = (number(&column[from]), number(&column[to])) else {
            continue;
        };
        let whole = matches!(column[from], Cell::Value(Value::Integer(_)));
        for (step, cell) in column[from + 1..to].iter_mut().enumerate() {
            let share = (step + 1) as f64 / (to - from) as f64;
            let between = low + (high - low) * share;
            let value = if whole { Value::Integer(between as i64) } else { Value::Float(between) };
            *cell = Cell::Value(value);
        }
    }
}

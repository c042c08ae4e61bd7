//! The values that a scenario's keys take: spans and ranges of them, seeds, shares, picks.
//! Each reads itself from text and says what it expected; nothing here is drawn or decided.
//! The keys they belong to are in [`super::format`].

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use slackwater_core::random::RandomStream;
use slackwater_core::time::parse_span;

/// A span such as `"1s"`, or a range such as `"1ms..10ms"` from which one is drawn.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Spans {
    /// The shortest.
    pub low: Duration,
    /// The longest.
    pub high: Duration,
}

impl Spans {
    /// One of them, each millisecond as likely.
    pub fn draw(self, random: &mut RandomStream) -> Duration {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let drawn = random.between(millis(self.low), millis(self.high));
        Duration::from_millis(drawn.unsigned_abs())
    }

    /// Reads `"1s"` or `"1ms..10ms"`.
    ///
    /// # Errors
    /// What was expected.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (low, high) = text.split_once("..").unwrap_or((text, text));
        let (low, high) = (parse_span(low.trim())?, parse_span(high.trim())?);
        if low > high {
            return Err(format!("the range {text:?} runs backwards"));
        }
        Ok(Self { low, high })
    }
}

/// A single span such as `"1s"`; a range is an error.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// The seeds of a run: `"0..16"` (half open), or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(pub Vec<u64>);

impl Seeds {
    /// Reads `"0..16"`, `"7"` or `"0x2f1c"`.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((from, to)) = text.split_once("..") else {
            return Ok(Self(vec![parse_seed(text)?]));
        };
        let (from, to) = (parse_seed(from)?, parse_seed(to)?);
        if from >= to {
            return Err(format!("the range of seeds {text:?} is empty: it is half open"));
        }
        Ok(Self((from..to).collect()))
    }
}

/// `seeds` of a file: those that stand there, or where they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeedsPart {
    /// These.
    Listed(Seeds),
    /// New ones in every search; without a search the pinned ones.
    Fresh,
    /// The pinned ones, and no others.
    Corpus,
}

/// Reads a seed: decimal, or hexadecimal with `0x`.
///
/// # Errors
/// What was expected.
pub fn parse_seed(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed
        .map_err(|_| format!("expected a seed such as 7, 0x2f1c or a range 0..16, found {text:?}"))
}

/// Which of the seeds are run twice: the first of every so many.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// One of how many; 1 is all of them.
    pub one_of: usize,
}

impl Share {
    fn parse(text: &str) -> Result<Self, String> {
        let one_of = match text.split_once('/') {
            Some(("1", of)) => of.parse().ok().filter(|of| *of > 0),
            None if text == "all" => Some(1),
            _ => None,
        };
        let expected = || format!("expected \"all\" or a share such as \"1/8\", found {text:?}");
        Ok(Self { one_of: one_of.ok_or_else(expected)? })
    }
}

/// Which of several nodes: a number from 0, or `"any"`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// This one.
    Number(u32),
    /// Drawn from the seed.
    Any,
}

/// What a setting of a job is: text, a number or a truth; programs read text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting(pub String);

/// What a key of an expectation says.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// Text.
    Text(String),
    /// A number.
    Number(f64),
    /// A truth.
    Truth(bool),
    /// A list.
    List(Vec<Arg>),
    /// A table of other keys.
    Table(BTreeMap<String, Arg>),
    /// `{ at_least = …, at_most = … }`, either of them optional.
    Bounds {
        /// From here.
        at_least: Option<f64>,
        /// Up to and with here.
        at_most: Option<f64>,
    },
}

macro_rules! from_text {
    ($type:ty, $expected:literal, $parse:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        $parse(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}
from_text!(Spans, "a span such as \"1s\", or a range such as \"1ms..10ms\"", Spans::parse);
from_text!(Span, "a span such as \"1s\"", |text| parse_span(text).map(Span));
from_text!(Share, "\"all\" or a share such as \"1/8\"", Share::parse);

impl<'de> Deserialize<'de> for Seeds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Seeds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a half-open range such as \"0..16\", or a list of seeds")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Seeds, E> {
                Seeds::parse(text).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Seeds, A::Error> {
                #[derive(serde::Deserialize)]
                #[serde(untagged)]
                enum Seed {
                    Number(u64),
                    // TOML's numbers are signed: half of all seeds are text.
                    Text(String),
                }
                let mut seeds = Vec::new();
                while let Some(seed) = list.next_element()? {
                    seeds.push(match seed {
                        Seed::Number(seed) => seed,
                        Seed::Text(text) => parse_seed(&text).map_err(de::Error::custom)?,
                    });
                }
                if seeds.is_empty() {
                    return Err(de::Error::custom("a run has at least one seed"));
                }
                Ok(Seeds(seeds))
            }
        }
        deserializer.deserialize_any(List)
    }
}

impl<'de> Deserialize<'de> for SeedsPart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged, expecting = "seeds: \"0..16\", a list, \"fresh\" or \"corpus\"")]
        enum Any {
            Text(String),
            List(Seeds),
        }
        match Any::deserialize(deserializer)? {
            Any::Text(text) if text == "fresh" => Ok(Self::Fresh),
            Any::Text(text) if text == "corpus" => Ok(Self::Corpus),
            Any::Text(text) => Seeds::parse(&text).map(Self::Listed).map_err(de::Error::custom),
            Any::List(seeds) => Ok(Self::Listed(seeds)),
        }
    }
}

impl<'de> Deserialize<'de> for Pick {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Choice;
        impl Visitor<'_> for Choice {
            type Value = Pick;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the number of a node from 0, or \"any\"")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Pick, E> {
                u32::try_from(number).map(Pick::Number).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Pick, E> {
                match text {
                    "any" => Ok(Pick::Any),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Choice)
    }
}

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Setting;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a number, true or false")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Setting, E> {
                Ok(Setting(text.to_owned()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Setting, E> {
                Ok(Setting(number.to_string()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Setting, E> {
                Ok(Setting(number.to_string()))
            }

            fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Setting, E> {
                Ok(Setting(truth.to_string()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for Arg {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Arg;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a number, a list, or a table such as { at_least = … }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Arg, E> {
                Ok(Arg::Text(text.to_owned()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Arg, E> {
                Ok(Arg::Number(number as f64))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Arg, E> {
                Ok(Arg::Number(number))
            }

            fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Arg, E> {
                Ok(Arg::Truth(truth))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Arg, A::Error> {
                let mut args = Vec::new();
                while let Some(arg) = list.next_element()? {
                    args.push(arg);
                }
                Ok(Arg::List(args))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Arg, A::Error> {
                let mut table = BTreeMap::new();
                while let Some((key, arg)) = map.next_entry::<String, Arg>()? {
                    table.insert(key, arg);
                }
                let is_bound = |key: &String| ["at_least", "at_most"].contains(&key.as_str());
                if table.is_empty() || !table.keys().all(is_bound) {
                    return Ok(Arg::Table(table));
                }
                let bound = |key: &str| match table.get(key) {
                    Some(Arg::Number(number)) => Ok(Some(*number)),
                    None => Ok(None),
                    Some(_) => Err(de::Error::custom(format!("`{key}` is a number"))),
                };
                Ok(Arg::Bounds { at_least: bound("at_least")?, at_most: bound("at_most")? })
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use slackwater_core::time::ms;

    use super::*;

    #[test]
    fn spans_seeds_and_shares_say_what_they_expected() {
        assert_eq!(Spans::parse("1ms..10ms"), Ok(Spans { low: ms(1), high: ms(10) }));
        assert_eq!(Spans::parse("2s"), Ok(Spans { low: ms(2_000), high: ms(2_000) }));
        assert_eq!(Spans::parse("2s..1s"), Err("the range \"2s..1s\" runs backwards".into()));
        assert!(Spans::parse("1").unwrap_err().starts_with("expected a span"));
        assert_eq!(Seeds::parse("3..5"), Ok(Seeds(vec![3, 4])));
        assert_eq!(Seeds::parse("0x10"), Ok(Seeds(vec![16])));
        assert!(Seeds::parse("5..5").unwrap_err().contains("half open"));
        assert_eq!(Share::parse("1/8"), Ok(Share { one_of: 8 }));
        assert_eq!(Share::parse("all"), Ok(Share { one_of: 1 }));
        assert!(Share::parse("1/0").is_err());
    }

    #[test]
    fn a_range_is_drawn_from_its_stream_alone() {
        let spans = Spans { low: ms(3), high: ms(9) };
        let draw = || spans.draw(&mut RandomStream::named(1, "fault/kill/at"));
        assert_eq!(draw(), draw());
        assert!((ms(3)..=ms(9)).contains(&draw()));
    }
}

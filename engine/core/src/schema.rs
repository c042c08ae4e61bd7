//! Schemas: the shape of a serde type, found without a value of it, and its fingerprint.
//! Compared before a byte is decoded, so that a changed type is refused by name, never misread.
//! Who writes fingerprints beside data: [`crate::codec`], the exchange, and snapshots of state.

mod diff;

use std::any::{TypeId, type_name};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_reflection::{ContainerFormat, Format, Registry, Tracer, TracerConfig};
use xxhash_rust::xxh3::xxh3_64;

/// 64 bits that stand for a schema: XXH3-64 of its text.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

thread_local! {
    /// The schemas of types that were traced before: a type never changes its own, and every
    /// snapshot asks for those of its states.
    static KNOWN: RefCell<BTreeMap<TypeId, Schema>> = const { RefCell::new(BTreeMap::new()) };
}

/// The shape of a type: field names and types, nothing of its path or its documentation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    text: String,
}

impl Schema {
    /// The schema of `T`, found by asking serde to deserialize it and watching what it wants.
    ///
    /// ```
    /// use slackwater_core::schema::Schema;
    /// assert_eq!(Schema::of::<(u32, String)>().unwrap().text(), "(u32, str)");
    /// ```
    ///
    /// # Errors
    /// If `T` cannot be traced: untagged enums and `deserialize_any` have no fixed shape.
    pub fn of<T: DeserializeOwned + 'static>() -> Result<Self, SchemaError> {
        let of = TypeId::of::<T>();
        if let Some(known) = KNOWN.with_borrow(|known| known.get(&of).cloned()) {
            return Ok(known);
        }
        let schema = Self::traced::<T>()?;
        KNOWN.with_borrow_mut(|known| known.insert(of, schema.clone()));
        Ok(schema)
    }

    fn traced<T: DeserializeOwned>() -> Result<Self, SchemaError> {
        let mut tracer = Tracer::new(TracerConfig::default());
        let refuse = |reason: String| SchemaError { type_name: type_name::<T>(), reason };
        let (root, _) =
            tracer.trace_type_once::<T>(&Default::default()).map_err(|e| refuse(e.to_string()))?;
        tracer.trace_simple_type::<T>().map_err(|e| refuse(e.to_string()))?;
        let registry = tracer.registry().map_err(|e| refuse(e.to_string()))?;
        let mut pen = Pen { registry: &registry, open: Vec::new(), out: String::new() };
        pen.format(&root);
        Ok(Self { text: pen.out })
    }

    /// The schema that this text stands for, as [`Schema::text`] gave it.
    pub fn of_text(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    /// The shape as text, such as `Reading {key: str, at: i64, value: f64}`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What differs from `self`, as it was found, to `expected`: field by field where both have
    /// fields, or as a whole.
    ///
    /// ```
    /// use slackwater_core::schema::Schema;
    /// let found = Schema::of_text("Reading {key: str, at: i64}");
    /// let expected = Schema::of_text("Reading {key: str, at: u64, unit: str}");
    /// assert_eq!(
    ///     found.differences(&expected),
    ///     ["field at was i64 and is u64 now", "field unit: str is not in it"]
    /// );
    /// ```
    pub fn differences(&self, expected: &Self) -> Vec<String> {
        let mut out = Vec::new();
        diff::compare((&self.text, &expected.text), "", &mut out);
        out
    }

    /// What is compared and stored.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(xxh3_64(self.text.as_bytes()))
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// A type whose shape cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    type_name: &'static str,
    reason: String,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the type {} has no fixed shape ({}): use structs, enums, tuples and collections \
             without #[serde(untagged)] or #[serde(flatten)]",
            self.type_name, self.reason
        )
    }
}

impl std::error::Error for SchemaError {}

/// Writes formats as text.
struct Pen<'a> {
    registry: &'a Registry,
    /// The containers that are being written, outermost first.
    open: Vec<String>,
    out: String,
}

impl Pen<'_> {
    /// Writes a format; a container is written where it is first met, and by name inside itself.
    fn format(&mut self, format: &Format) {
        match format {
            Format::TypeName(name) => self.container(name),
            Format::Option(inner) => self.wrapped("option<", inner, ">"),
            Format::Seq(inner) => self.wrapped("[", inner, "]"),
            Format::TupleArray { content, size } => {
                self.wrapped("[", content, &format!("; {size}]"));
            }
            Format::Map { key, value } => {
                self.wrapped("{", key, ": ");
                self.wrapped("", value, "}");
            }
            Format::Tuple(parts) => self.tuple(parts),
            Format::Unit => self.out.push_str("()"),
            plain => self.out.push_str(&format!("{plain:?}").to_lowercase()),
        }
    }

    fn wrapped(&mut self, before: &str, inner: &Format, after: &str) {
        self.out.push_str(before);
        self.format(inner);
        self.out.push_str(after);
    }

    fn tuple(&mut self, parts: &[Format]) {
        self.out.push('(');
        for (index, part) in parts.iter().enumerate() {
            self.wrapped(if index > 0 { ", " } else { "" }, part, "");
        }
        self.out.push(')');
    }

    fn container(&mut self, name: &str) {
        self.out.push_str(name);
        let met = self.open.iter().any(|open| open == name);
        let Some(container) = self.registry.get(name).filter(|_| !met) else { return };
        self.open.push(name.to_owned());
        match container {
            ContainerFormat::UnitStruct => self.out.push_str("()"),
            ContainerFormat::NewTypeStruct(inner) => self.wrapped("(", inner, ")"),
            ContainerFormat::TupleStruct(parts) => self.tuple(parts),
            ContainerFormat::Struct(fields) => {
                self.out.push_str(" {");
                for (index, field) in fields.iter().enumerate() {
                    self.out.push_str(if index > 0 { ", " } else { "" });
                    self.out.push_str(&field.name);
                    self.wrapped(": ", &field.value, "");
                }
                self.out.push('}');
            }
            ContainerFormat::Enum(variants) => {
                // The variants' own shapes are written by the library's stable debug form: they
                // hold names of containers only, which are part of the fingerprint through this text.
                self.out.push_str(&format!(" {variants:?}"));
            }
        }
        self.open.pop();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::time::EventTime;

    #[derive(Serialize, Deserialize)]
    struct Reading {
        key: String,
        at: EventTime,
        value: f64,
    }

    #[derive(Serialize, Deserialize)]
    enum Shape {
        Dot,
        Line(u32),
        Box { side: Option<u8> },
    }

    fn text<T: DeserializeOwned + 'static>() -> String {
        Schema::of::<T>().expect("traceable").text
    }

    #[test]
    fn a_schema_names_fields_and_types() {
        assert_eq!(text::<Reading>(), "Reading {key: str, at: i64, value: f64}");
        assert_eq!(text::<BTreeMap<String, Vec<Option<i8>>>>(), "{str: [option<i8>]}");
        assert_eq!(text::<((), bool)>(), "((), bool)");
        assert!(text::<Shape>().contains("Line"), "{}", text::<Shape>());
    }

    #[test]
    fn a_renamed_field_changes_the_fingerprint() {
        #[derive(Deserialize)]
        #[serde(rename = "Reading")]
        #[allow(dead_code)]
        struct Renamed {
            key: String,
            at: EventTime,
            amount: f64,
        }
        let of = |schema: Result<Schema, SchemaError>| schema.expect("traceable").fingerprint();
        assert_ne!(of(Schema::of::<Reading>()), of(Schema::of::<Renamed>()));
    }
}

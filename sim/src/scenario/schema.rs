//! The JSON Schema of scenario files, for editors that complete names and show what they mean.
//! Made of the very types that read a file, so that it knows no key that they do not; what is drawn
//! or merged before a shape is read (`base`, `[matrix]`, `[swarm]`, `one_of`, …) is added here.
//! It is told by `slackwater schema`; whether a file is right is [`super::Scenario::read`]'s to say.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};
use slackwater_core::fact::PROBES;
use slackwater_core::message::MessageKind;

use super::fault::Place;
use super::format::{Document, Expect, Job, Jobs, Must};
use super::obligation::{Ratio, Seen, SeenEvent};
use super::values::{Arg, Pick, Seeds, SeedsPart, Setting, Share, Span, Spans};
use crate::check::{CHECKS, Check, Kind, Since};

/// The schema of a scenario file.
pub fn schema() -> Value {
    let mut root = Value::from(schemars::schema_for!(Document));
    root["title"] = json!("A scenario of Slackwater");
    let named = ["FaultPart", "StepPart", "Expect", "SometimesPart"];
    if let Some(parts) = root["$defs"].as_object_mut() {
        let drawn = ["FaultPart", "StepPart", "Target", "Peer", "When"];
        for (name, part) in parts.iter_mut() {
            open(part, drawn.contains(&name.as_str()));
            // A file that is based on another says only in what it differs.
            if !named.contains(&name.as_str()) {
                part.as_object_mut().map(|part| part.remove("required"));
            }
        }
        parts.extend(additions());
    }
    open(&mut root, false);
    root["required"] = json!([]);
    add(
        &mut root,
        "base",
        json!({
            "type": "string",
            "description": "Another file, by its path from this one: tables merge by key, [[fault]] and [[step]] by name, [[expect]] by check, [[sometimes]] by label.",
        }),
    );
    add(
        &mut root,
        "faults",
        json!({
            "const": "only",
            "description": "None of the base's faults, steps, draws, obligations and calm: what stands here is the whole story.",
        }),
    );
    add(
        &mut root,
        "matrix",
        json!({
            "type": "object",
            "additionalProperties": { "type": "array", "minItems": 1 },
            "description": "Axes: the cross product is played, \"$axis\" stands for the value.",
        }),
    );
    add(&mut root, "swarm", json!({ "$ref": "#/$defs/Swarm" }));
    for part in ["FaultPart", "StepPart"] {
        if root["$defs"].get(part).is_some() {
            let about = "In this share of the seeds it comes at all.";
            let odds =
                json!({ "type": "number", "minimum": 0, "maximum": 1, "description": about });
            add(&mut root["$defs"][part], "odds", odds);
        }
    }
    by_chance(&mut root["$defs"]["When"]);
    links(&mut root["$defs"]["Target"]);
    without_nulls(&mut root);
    second_names(&mut root["$defs"]);
    root
}

/// Names that the derive does not see.
fn second_names(defs: &mut Value) {
    if let Some(deeds) = defs["Deed"]["oneOf"].as_array_mut() {
        deeds.push(json!({ "const": "hold", "description": "`partition_one_way`." }));
        let about = "Links fall silent one by one, and come back in another order.";
        deeds.push(json!({ "const": "swizzle", "description": about }));
    }
    if let Some(roles) = defs["Role"]["oneOf"].as_array_mut() {
        roles.push(json!({ "const": "sink", "description": "`series_database`." }));
    }
}

/// Links, as messages and draws name them.
fn links(target: &mut Value) {
    let link = "Both ends of a link, as a message or a draw has them: \"sender -> receiver\".";
    let links = "Of a swizzle: which links.";
    add(target, "link", json!({ "type": "string", "description": link }));
    add(target, "links", json!({ "enum": ["some", "all"], "description": links }));
}

/// What is optional is left out: TOML has no null.
fn without_nulls(schema: &mut Value) {
    let is_null = |value: &Value| value == "null" || value == &json!({ "type": "null" });
    match schema {
        Value::Object(rules) => {
            rules.retain(|word, rule| !(word == "default" && rule.is_null()));
            for (word, rule) in rules.iter_mut() {
                if let (true, Value::Array(list)) = (word == "anyOf" || word == "type", &mut *rule)
                {
                    list.retain(|value| !is_null(value));
                    if let ("type", [one]) = (word.as_str(), &list[..]) {
                        *rule = one.clone();
                    }
                }
                without_nulls(rule);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// The keys of a fault that comes by chance.
fn by_chance(when: &mut Value) {
    let chance = json!({ "type": "number", "minimum": 0, "maximum": 1, "description": "How likely it comes in every `per`." });
    add(when, "chance", chance);
    for (key, about) in [
        ("per", "One chance for each of these spans."),
        ("from", "By chance: not before this time since every job was RUNNING."),
        ("until", "By chance: not after; until the calm or the stop unless given."),
    ] {
        let old = when["properties"].get(key).cloned();
        let span = json!({ "$ref": "#/$defs/Span", "description": about });
        add(when, key, old.map_or(span.clone(), |old| json!({ "anyOf": [old, span] })));
    }
}

/// What has no type of its own, since it is gone before a shape is read.
fn additions() -> Map<String, Value> {
    let about_swarm = "What is drawn anew for every seed, by dotted paths such as \"cluster.net.delay\" or \"job.set.parallelism\".";
    let additions = json!({
        "Span": span(),
        "Axis": { "type": "string", "pattern": "^\\$", "description": "The value of an axis of [matrix]." },
        "Drawn": {
            "type": "object",
            "description": "Drawn from the seed.",
            "properties": {
                "one_of": { "type": "array", "minItems": 1, "description": "One of these." },
                "range": { "type": "array", "items": { "type": "integer" }, "minItems": 2, "maxItems": 2, "description": "A whole number from the first to the second." },
            },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
        },
        "Swarm": {
            "type": "object",
            "description": about_swarm,
            "properties": {
                "omit": { "type": "number", "minimum": 0, "maximum": 1, "description": "Each [[fault]] is left out of a seed with this probability." },
                "require": { "type": "string", "description": "A draw for which this does not hold is drawn again: \"task_managers * slots >= parallelism\"." },
            },
            "patternProperties": { "\\.": { "$ref": "#/$defs/Drawn" } },
            "additionalProperties": false,
        },
    });
    match additions {
        Value::Object(additions) => additions,
        _ => Map::new(),
    }
}

fn add(part: &mut Value, key: &str, schema: Value) {
    part["properties"][key] = schema;
}

/// Lets every property be an axis of the matrix too, and what is drawn be an alternative.
fn open(part: &mut Value, drawn: bool) {
    let Some(properties) = part.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for (key, property) in properties {
        if ["format", "name", "check", "label"].contains(&key.as_str()) {
            continue;
        }
        let description = property.as_object_mut().and_then(|p| p.remove("description"));
        let mut any = vec![property.take(), json!({ "$ref": "#/$defs/Axis" })];
        any.extend(drawn.then(|| json!({ "$ref": "#/$defs/Drawn" })));
        *property = json!({ "anyOf": any });
        if let Some(description) = description {
            property["description"] = description;
        }
    }
}

fn span() -> Value {
    json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$", "description": "A span of time such as \"100ms\", \"1s\", \"60m\" or \"2h\"." })
}

/// The name of a probe: for keys that hold one.
pub(super) struct Probe;

impl JsonSchema for Probe {
    fn schema_name() -> Cow<'static, str> {
        "Probe".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let probes = PROBES
            .iter()
            .map(|(name, about)| json!({ "const": name, "description": about.trim() }));
        json_schema!({ "anyOf": probes.collect::<Vec<_>>() })
    }
}

/// The kind of a message: for keys that hold one.
pub(super) struct Message;

impl JsonSchema for Message {
    fn schema_name() -> Cow<'static, str> {
        "Message".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let kinds = MessageKind::ALL.iter().map(|kind| kind.name());
        json_schema!({ "enum": kinds.collect::<Vec<_>>() })
    }
}

impl JsonSchema for Jobs {
    fn schema_name() -> Cow<'static, str> {
        "Jobs".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<Job>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

impl JsonSchema for Seen {
    fn schema_name() -> Cow<'static, str> {
        "Seen".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<SeenEvent>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

impl JsonSchema for Expect {
    fn schema_name() -> Cow<'static, str> {
        "Expect".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let must = generator.subschema_for::<Must>();
        generator.subschema_for::<Since>();
        let names =
            CHECKS.iter().map(|check| json!({ "const": check.name, "description": check.about }));
        let mut properties = json!({
            "check": { "description": "What is looked at.", "anyOf": names.collect::<Vec<_>>() },
            "must": must,
        });
        let mut rules = Vec::new();
        for check in CHECKS {
            let keys = keys(check);
            let words =
                keys.keys().map(String::as_str).chain(["check", "must"]).collect::<Vec<_>>();
            rules.push(json!({
                "if": { "properties": { "check": { "const": check.name } } },
                "then": { "propertyNames": { "enum": words }, "properties": keys },
            }));
            for (key, _) in keys {
                properties[&key] = json!(true);
            }
        }
        json_schema!({
            "type": "object",
            "description": "`[[expect]]`: a check, its polarity, and whatever keys the check has.",
            "properties": properties,
            "required": ["check"],
            "additionalProperties": false,
            "allOf": rules,
        })
    }
}

/// The keys and measures of a check.
fn keys(check: &Check) -> Map<String, Value> {
    let axis = || json!({ "$ref": "#/$defs/Axis" });
    let own = check.keys.iter().map(|(key, kind)| {
        let kind = match kind {
            Kind::Text | Kind::Step => json!({ "type": "string" }),
            Kind::Span => span(),
            Kind::Number => json!({ "type": "number" }),
            Kind::Since => json!({ "$ref": "#/$defs/Since" }),
            Kind::Period => json!({
                "type": "object",
                "properties": { "period": { "type": "number", "minimum": 1 } },
                "required": ["period"],
                "additionalProperties": false,
            }),
            Kind::Steps => json!({ "type": "array", "items": { "type": "string" } }),
        };
        ((*key).to_owned(), json!({ "anyOf": [kind, axis()] }))
    });
    let bound = json!({
        "type": "object",
        "description": "Measured: between which bounds it must lie.",
        "properties": { "at_least": { "type": "number" }, "at_most": { "type": "number" } },
        "additionalProperties": false,
        "minProperties": 1,
    });
    let measures = check.measures.iter().map(|measure| ((*measure).to_owned(), bound.clone()));
    own.chain(measures).collect()
}

/// Values that are written in a way of their own.
macro_rules! written {
    ($($type:ty: $name:literal = $schema:tt;)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

written! {
    Span: "Span" = { "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$" };
    Spans: "Spans" = {
        "type": "string",
        "pattern": "^[0-9]+(ms|s|m|h)(\\.\\.[0-9]+(ms|s|m|h))?$",
        "description": "A span of time such as \"1s\", or a range such as \"1ms..10ms\" from which one is drawn.",
    };
    Seeds: "Seeds" = {
        "anyOf": [
            { "type": "string", "pattern": "^(0x[0-9a-fA-F]+|[0-9]+)(\\.\\.(0x[0-9a-fA-F]+|[0-9]+))?$" },
            { "type": "array", "minItems": 1, "items": { "type": ["integer", "string"] } },
        ],
        "description": "A half-open range such as \"0..16\", one seed, or a list.",
    };
    SeedsPart: "SeedsPart" = {
        "anyOf": [
            { "enum": ["fresh", "corpus"] },
            { "type": "string", "pattern": "^(0x[0-9a-fA-F]+|[0-9]+)(\\.\\.(0x[0-9a-fA-F]+|[0-9]+))?$" },
            { "type": "array", "minItems": 1, "items": { "type": ["integer", "string"] } },
        ],
        "description": "A half-open range such as \"0..16\", a list, \"fresh\" (new ones in every search) or \"corpus\" (the pinned ones).",
    };
    Share: "Share" = { "type": "string", "pattern": "^(all|1/[0-9]+)$" };
    Ratio: "Ratio" = { "type": "string", "pattern": "^ *[0-9]+ */ *[0-9]+ *$" };
    Pick: "Pick" = { "anyOf": [{ "type": "integer", "minimum": 0 }, { "const": "any" }] };
    Place: "Place" = { "anyOf": [{ "const": "uniform" }, { "type": "number", "minimum": 0, "maximum": 1 }] };
    Setting: "Setting" = { "type": ["string", "number", "boolean"] };
    Arg: "Arg" = {};
    Since: "Since" = {
        "anyOf": [
            { "enum": ["fault", "return"] },
            { "type": "object", "properties": { "healed": { "type": "string" } }, "required": ["healed"], "additionalProperties": false },
            { "type": "object", "properties": { "calm": { "const": true } }, "required": ["calm"], "additionalProperties": false },
            {
                "type": "object",
                "properties": { "event": { "$ref": "#/$defs/Probe" }, "where": { "type": "object" }, "after": { "type": "string" } },
                "required": ["event"],
                "additionalProperties": false,
            },
        ],
    };
}

#[cfg(test)]
mod tests;

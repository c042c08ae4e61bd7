//! Whether the schema says what the reader reads: every file of ours is good, every mistake is not.
//! The validator knows as much of JSON Schema as the schema uses, and stumbles over any other word.

use serde_json::Value;

use super::schema;

/// What is wrong with a value, by its path.
fn wrong(root: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let Some(schema) = schema.as_object() else {
        return if schema == &Value::Bool(true) { vec![] } else { vec![format!("{path}: never")] };
    };
    let mut all = Vec::new();
    for (word, rule) in schema {
        all.extend(match word.as_str() {
            "$ref" => {
                let name = rule.as_str().and_then(|name| name.strip_prefix('#')).expect("a place");
                let at = root.pointer(name).unwrap_or_else(|| panic!("{name} is not there"));
                wrong(root, at, value, path)
            }
            "anyOf" | "oneOf" => {
                let tried = list(rule).iter().map(|rule| wrong(root, rule, value, path));
                let tried: Vec<_> = tried.collect();
                let fits = tried.iter().any(Vec::is_empty);
                // The alternative that came furthest says best what is wrong.
                let depth = |why: &Vec<String>| why.iter().map(String::len).max();
                if fits { vec![] } else { tried.into_iter().max_by_key(depth).unwrap_or_default() }
            }
            "allOf" => list(rule).iter().flat_map(|rule| wrong(root, rule, value, path)).collect(),
            "then" => match wrong(root, &schema["if"], value, path).is_empty() {
                true => wrong(root, rule, value, path),
                false => vec![],
            },
            _ => plainly_wrong(root, schema, (word, rule), value, path),
        });
    }
    all
}

fn plainly_wrong(
    root: &Value,
    schema: &serde_json::Map<String, Value>,
    (word, rule): (&str, &Value),
    value: &Value,
    path: &str,
) -> Vec<String> {
    let unless = |holds: bool| if holds { vec![] } else { vec![format!("{path}: {word} {rule}")] };
    let number = |value: &Value| value.as_f64().expect("a number");
    let object = value.as_object();
    let known = |key: &str| {
        let by_pattern = schema.get("patternProperties").and_then(Value::as_object);
        schema.get("properties").is_some_and(|known| known.get(key).is_some())
            || by_pattern.is_some_and(|known| known.keys().any(|_| key.contains('.')))
    };
    match word {
        "type" => unless(match rule {
            Value::Array(types) => types.iter().any(|rule| has_type(rule, value)),
            rule => has_type(rule, value),
        }),
        "const" => unless(rule == value),
        "enum" => unless(list(rule).contains(value)),
        "pattern" => unless(value.as_str().is_none_or(|text| fits(rule, text))),
        "minimum" => unless(value.as_f64().is_none_or(|value| value >= number(rule))),
        "maximum" => unless(value.as_f64().is_none_or(|value| value <= number(rule))),
        "minItems" | "minProperties" => unless(length(value).is_none_or(|l| l >= number(rule))),
        "maxItems" | "maxProperties" => unless(length(value).is_none_or(|l| l <= number(rule))),
        "required" => unless(object.is_none_or(|o| {
            list(rule).iter().all(|key| o.contains_key(key.as_str().expect("a key")))
        })),
        "propertyNames" => unless(object.is_none_or(|o| {
            o.keys().all(|key| list(&rule["enum"]).contains(&Value::from(key.as_str())))
        })),
        "items" => {
            let values = value.as_array().into_iter().flatten().enumerate();
            let at = |(at, value)| wrong(root, rule, value, &format!("{path}[{at}]"));
            values.flat_map(at).collect()
        }
        "prefixItems" => {
            let values = value.as_array().into_iter().flatten().zip(list(rule));
            values.flat_map(|(value, rule)| wrong(root, rule, value, path)).collect()
        }
        "properties" => {
            let values = object.into_iter().flatten();
            let known = values.filter_map(|(key, value)| Some((key, rule.get(key)?, value)));
            known.flat_map(|(k, rule, v)| wrong(root, rule, v, &format!("{path}.{k}"))).collect()
        }
        "patternProperties" => {
            let rule = rule.get("\\.").expect("the one pattern there is");
            let dotted = object.into_iter().flatten().filter(|(key, _)| key.contains('.'));
            dotted.flat_map(|(k, v)| wrong(root, rule, v, &format!("{path}.{k}"))).collect()
        }
        "additionalProperties" => {
            let others = object.into_iter().flatten().filter(|(key, _)| !known(key));
            others.flat_map(|(k, v)| wrong(root, rule, v, &format!("{path}.{k}"))).collect()
        }
        "$schema" | "$defs" | "title" | "description" | "default" | "format" | "if" => vec![],
        word => panic!("the validator does not know {word:?}"),
    }
}

/// How many things a list or a table has.
fn length(value: &Value) -> Option<f64> {
    let list = value.as_array().map(Vec::len);
    list.or_else(|| value.as_object().map(serde_json::Map::len)).map(|length| length as f64)
}

fn list(rule: &Value) -> &[Value] {
    rule.as_array().map_or(&[], Vec::as_slice)
}

fn has_type(rule: &Value, value: &Value) -> bool {
    match rule.as_str().expect("a type") {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the validator does not know the type {other:?}"),
    }
}

/// The patterns that the schema has are those of spans, seeds, shares and axes.
fn fits(pattern: &Value, text: &str) -> bool {
    use crate::scenario::values::{Seeds, Spans};
    match pattern.as_str().expect("a pattern") {
        "^\\$" => text.starts_with('$'),
        "^[0-9]+(ms|s|m|h)$" => !text.contains("..") && Spans::parse(text).is_ok(),
        spans if spans.starts_with("^[0-9]+(ms|s|m|h)(\\.\\.") => Spans::parse(text).is_ok(),
        seeds if seeds.starts_with("^(0x") => Seeds::parse(text).is_ok(),
        "^(all|1/[0-9]+)$" => text == "all" || text.starts_with("1/"),
        "^ *[0-9]+ */ *[0-9]+ *$" => text.contains('/'),
        other => panic!("the validator does not know the pattern {other:?}"),
    }
}

fn mistakes(text: &str) -> Vec<String> {
    let value: toml::Value = toml::from_str(text).expect("TOML");
    let root = schema();
    wrong(&root, &root, &serde_json::to_value(value).expect("JSON"), "")
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads the files that it is about")]
fn every_scenario_is_good_by_the_schema() {
    let mut folders = vec![std::path::PathBuf::from("../scenarios")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "toml") {
                let text = std::fs::read_to_string(&path).expect("a file");
                assert_eq!(mistakes(&text), Vec::<String>::new(), "{}", path.display());
                files += 1;
            }
        }
    }
    assert!(files > 40, "{files} files");
}

const GOOD: &str = r#"#:schema slackwater.schema.json
format = 1
title = "good"
base = "other.toml"
[run]
seeds = "fresh"
pinned = [1, "0xffffffffffffffff"]
limit = { sim = "9s", steps = 100 }
[cluster]
slots = "$slots"
[matrix]
slots = [1, 2]
[swarm]
omit = 0.5
require = "slots > 1"
"job.set.checkpoint" = { one_of = ["1s"] }
[[fault]]
name = "kill"
when = { chance = 0.1, per = "1s" }
do = { one_of = ["crash", "power_loss"] }
down = "1s..2s"
odds = 0.5
[[expect]]
check = "recovered"
from = { healed = "kill" }
restarts = { at_least = 1 }
[[sometimes]]
label = "seen"
when = { event = "checkpoint.completed", after = "kill" }
at_least = "1/64"
"#;

#[test]
fn the_schema_sees_what_the_reader_would_tell() {
    assert_eq!(mistakes(GOOD), Vec::<String>::new());
    for (from, to) in [
        ("format = 1", "fromat = 1"),
        ("[run]", "[rum]"),
        ("pinned", "pined"),
        ("\"9s\"", "\"9\""),
        ("slots = \"$slots\"", "slots = \"two\""),
        ("slots = \"$slots\"", "slot = 2"),
        ("omit = 0.5", "omit = 5"),
        ("one_of = [\"1s\"]", "one_off = [\"1s\"]"),
        ("\"job.set.checkpoint\"", "checkpoint"),
        ("name = \"kill\"", ""),
        ("chance = 0.1", "chance = 2"),
        ("\"power_loss\"] }", "\"power_loss\"], of = 2 }"),
        ("\"recovered\"", "\"recoverd\""),
        ("restarts =", "restart ="),
        ("healed =", "heeled ="),
        ("\"checkpoint.completed\"", "\"checkpoint.complete\""),
        ("\"1/64\"", "\"often\""),
    ] {
        assert!(GOOD.contains(from), "{from}");
        assert_ne!(mistakes(&GOOD.replacen(from, to, 1)), Vec::<String>::new(), "{from} -> {to}");
    }
}

#[test]
fn every_key_says_what_it_means() {
    let root = schema();
    let whole = "the file".to_owned();
    let parts = root["$defs"].as_object().expect("parts").iter().chain([(&whole, &root)]);
    for (name, part) in parts {
        let keys = part.get("properties").and_then(Value::as_object).into_iter().flatten();
        for (key, schema) in keys.filter(|_| !["Expect", "Since"].contains(&name.as_str())) {
            let told = schema.get("description").or(schema.get("$ref"));
            assert!(told.is_some(), "{name}.{key} is not explained: {schema}");
        }
    }
}

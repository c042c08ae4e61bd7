//! What differs between two shapes, told from their texts: fields by name, tuples part by part.
//! Never guesses at what a text does not say: what has no fields differs as a whole.
//! The texts are [`super::Schema`]'s.

/// Adds what differs between `found` and `expected`, which lie at `path`.
pub(super) fn compare((found, expected): (&str, &str), path: &str, out: &mut Vec<String>) {
    if found == expected {
        return;
    }
    let (old, new) = (fields(found), fields(expected));
    if let (Some((was, old)), Some((is, new))) = (&old, &new)
        && was == is
    {
        return compare_fields(old, new, path, out);
    }
    if let (Some(old), Some(new)) = (tuple(found), tuple(expected))
        && old.len() == new.len()
    {
        for (index, (old, new)) in old.iter().zip(&new).enumerate() {
            // The first part of an entry is its key, the second its value: a person knows those.
            let inner = if path.is_empty() { String::new() } else { format!("{path}.{index}") };
            compare((old, new), &inner, out);
        }
        return;
    }
    out.push(match path {
        "" => format!("was {found} and is {expected} now"),
        path => format!("field {path} was {found} and is {expected} now"),
    });
}

fn compare_fields(old: &[(&str, &str)], new: &[(&str, &str)], path: &str, out: &mut Vec<String>) {
    let at = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    for (name, shape) in old {
        match new.iter().find(|(other, _)| other == name) {
            Some((_, other)) => compare((shape, other), &at(name), out),
            None => out.push(format!("field {}: {shape} is gone", at(name))),
        }
    }
    for (name, shape) in new.iter().filter(|(name, _)| !old.iter().any(|(o, _)| o == name)) {
        out.push(format!("field {}: {shape} is not in it", at(name)));
    }
    let order =
        |fields: &[(&str, &str)]| fields.iter().map(|(n, _)| (*n).to_owned()).collect::<Vec<_>>();
    let (before, after) = (order(old), order(new));
    let mut sorted = (before.clone(), after.clone());
    sorted.0.sort();
    sorted.1.sort();
    if sorted.0 == sorted.1 && before != after {
        out.push(format!(
            "the fields of {} are in another order",
            if path.is_empty() { "it" } else { path }
        ));
    }
}

/// The name and the fields of a struct: `Name {a: x, b: y}`.
fn fields(text: &str) -> Option<(&str, Vec<(&str, &str)>)> {
    let (name, rest) = text.split_once(" {")?;
    let plain = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let inner = rest.strip_suffix('}').filter(|_| plain)?;
    let parts = parts(inner)?;
    let field = |part: &'_ str| part.split_once(": ").map(|_| ());
    parts.iter().all(|part| field(part).is_some()).then_some(())?;
    Some((name, parts.into_iter().filter_map(|part| part.split_once(": ")).collect()))
}

/// The parts of a tuple: `(a, b)`.
fn tuple(text: &str) -> Option<Vec<&str>> {
    parts(text.strip_prefix('(')?.strip_suffix(')')?)
}

/// What commas part on the outermost level; `None` if brackets do not fit together.
fn parts(text: &str) -> Option<Vec<&str>> {
    let (mut depth, mut start, mut parts) = (0usize, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if !text.is_empty() {
        parts.push(text[start..].trim());
    }
    (depth == 0).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_told_field_by_field() {
        for (found, expected, told) in [
            ("u32", "u32", &[][..]),
            ("u32", "u64", &["was u32 and is u64 now"]),
            ("(str, u32)", "(str, A {n: u32})", &["was u32 and is A {n: u32} now"]),
            ("(str, A {n: u32})", "(str, A {n: u32, m: str})", &["field m: str is not in it"]),
            ("A {n: u32, m: str}", "A {n: u32}", &["field m: str is gone"]),
            (
                "A {n: B {x: u8, y: [u8]}}",
                "A {n: B {x: u8, y: [u16]}}",
                &["field n.y was [u8] and is [u16] now"],
            ),
            ("A {n: u8, m: u8}", "A {m: u8, n: u8}", &["the fields of it are in another order"]),
            ("A {n: (u8, u8)}", "A {n: (u8, i8)}", &["field n.1 was u8 and is i8 now"]),
        ] {
            let mut out = Vec::new();
            compare((found, expected), "", &mut out);
            assert_eq!(out, told, "{found} / {expected}");
        }
    }

    #[test]
    fn a_struct_of_another_name_with_the_same_fields_differs_all_the_same() {
        let mut out = Vec::new();
        compare(("A {n: u8}", "B {n: u8}"), "", &mut out);
        assert_eq!(out, ["was A {n: u8} and is B {n: u8} now"]);
    }
}

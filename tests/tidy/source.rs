//! Takes a Rust file apart, just far enough: comments and strings blanked, tests cut off,
//! functions measured. Knows no grammar beyond brackets and quotes; what rustc refuses to compile
//! it may misread. The rules that use it are in [`crate::shape`] and [`crate::reach`].

use std::ops::Range;

/// The code with every comment, string and character literal blanked, line for line.
pub fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        match end {
            Some(end) => {
                out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
                at = end;
            }
            None => {
                out.push(chars[at]);
                at += 1;
            }
        }
    }
    out
}

/// Where the comment or literal that starts at `at` ends; none if code stands there.
fn literal_end(chars: &[char], at: usize) -> Option<usize> {
    let rest = &chars[at..];
    let ident_before = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match rest {
        ['/', '/', ..] => Some(at + rest.iter().position(|&c| c == '\n').unwrap_or(rest.len())),
        ['/', '*', ..] => Some(block_comment_end(chars, at)),
        ['"', ..] => Some(quoted_end(chars, at + 1, '"')),
        ['r', '"' | '#', ..] | ['b', 'r', '"' | '#', ..] if !ident_before => raw_end(chars, at),
        // A lifetime is not a character: `'a` has no quote behind its first letter.
        ['\'', '\\', ..] => Some(quoted_end(chars, at + 1, '\'')),
        ['\'', _, '\'', ..] => Some(at + 3),
        _ => None,
    }
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < chars.len() {
        match &chars[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted_end(chars: &[char], start: usize, quote: char) -> usize {
    let mut at = start;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// The end of `r"…"`, `r#"…"#` and so on; none if it is a raw identifier.
fn raw_end(chars: &[char], at: usize) -> Option<usize> {
    let start = at + chars[at..].iter().position(|&c| c == 'r')? + 1;
    let hashes = chars[start..].iter().take_while(|&&c| c == '#').count();
    if chars.get(start + hashes) != Some(&'"') {
        return None;
    }
    let closes = |end: usize| chars[end + 1..].iter().take_while(|&&c| c == '#').count() >= hashes;
    let end = (start + hashes + 1..chars.len()).find(|&end| chars[end] == '"' && closes(end))?;
    Some(end + 1 + hashes)
}

/// The code (see [`code`]) with everything behind `#[cfg(test)]` blanked.
pub fn without_tests(code: &str) -> String {
    let mut bytes = code.as_bytes().to_vec();
    let mut from = 0;
    while let Some(found) = code[from..].find("#[cfg(test)]") {
        let start = from + found;
        let end = item_end(code, start);
        bytes[start..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
        from = end;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where the item that starts at `from` ends: at its semicolon or its closing bracket.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0;
    for (at, c) in code[from..].char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' if depth == 1 => return from + at + 1,
            '}' | ')' | ']' => depth -= 1,
            ';' if depth == 0 => return from + at + 1,
            _ => {}
        }
    }
    code.len()
}

/// A function: its name and the lines it takes, counted from 0.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub lines: Range<usize>,
}

/// Every function of the code (see [`code`]) that has a body.
pub fn functions(code: &str) -> Vec<Function> {
    let line_of = |at: usize| code[..at].matches('\n').count();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let word = at > 0 && code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let name: String =
            code[at + 3..].chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect();
        let end = item_end(code, at);
        if !word && !name.is_empty() && code[..end].ends_with('}') {
            found.push(Function { name, lines: line_of(at)..line_of(end) + 1 });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_nothing_else() {
        for (text, expected) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("f(\"x.unwrap()\")", "f(            )"),
            ("f(\"a\\\"b\", 'c')", "f(      ,    )"),
            ("f(r#\"a\"b\"#, y)", "f(        , y)"),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("m('\\'', '{')", "m(    ,    )"),
            ("bar\"x\"", "bar   "),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
    }

    #[test]
    fn tests_are_cut_off() {
        let text =
            "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { x }\n}\n#[cfg(test)]\nmod t;\nc";
        assert_eq!(
            without_tests(text).split_whitespace().collect::<Vec<_>>(),
            ["fn", "a()", "{}", "c"]
        );
    }

    #[test]
    fn functions_are_measured_from_signature_to_bracket() {
        let text = "trait T { fn no_body(&self); }\nfn one() -> fn(u8) {\n\n}\nfn two(a: [u8; 2]) { if a {} }";
        let two_lines = [("one", 1..4), ("two", 4..5)];
        let expected: Vec<_> =
            two_lines.map(|(name, lines)| Function { name: name.into(), lines }).into();
        assert_eq!(functions(text), expected);
    }
}

//! The secret that a cluster's nodes and clients share, if others than this machine reach it.
//! Never printed, and compared in a time that does not say where two differ.
//! Who asks for it: [`super::handshake`], and REST.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A token is at least this long, in bytes: what is shorter is guessed.
pub const TOKEN_MIN: usize = 16;

/// A token is at most this long, in bytes.
pub const TOKEN_MAX: usize = 128;

/// A shared secret: printable characters, such as `openssl rand -hex 32` prints.
#[derive(Copy, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Token {
    text: [u8; TOKEN_MAX],
    length: usize,
}

impl Token {
    /// A token of this text; space around it is not part of it.
    ///
    /// # Errors
    /// In words, if it is shorter than [`TOKEN_MIN`], longer than [`TOKEN_MAX`], or holds anything
    /// that cannot stand in an HTTP header.
    pub fn new(text: &str) -> Result<Self, String> {
        let bytes = text.trim().as_bytes();
        if !bytes.iter().all(u8::is_ascii_graphic) {
            return Err("a token is one word of printable ASCII".into());
        }
        if bytes.len() < TOKEN_MIN || bytes.len() > TOKEN_MAX {
            return Err(format!(
                "a token has {TOKEN_MIN} to {TOKEN_MAX} characters, this one has {}",
                bytes.len()
            ));
        }
        let mut text = [0; TOKEN_MAX];
        text[..bytes.len()].copy_from_slice(bytes);
        Ok(Self { text, length: bytes.len() })
    }

    /// Its text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }

    /// Whether this is what somebody said.
    pub fn is(&self, said: &str) -> bool {
        same(self.text().as_bytes(), said.as_bytes())
    }
}

impl TryFrom<String> for Token {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::new(&text)
    }
}

impl From<Token> for String {
    fn from(token: Token) -> Self {
        token.text().to_owned()
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.is(other.text())
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Whether two secrets are the same, in a time that does not say where they differ.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    let differs = one.iter().zip(other).fold(0, |differs, (one, other)| differs | (one ^ other));
    one.len() == other.len() && differs == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_word_that_is_long_enough_and_never_shown() {
        let refused = |text: &str| Token::new(text).expect_err("no token");
        assert_eq!(refused("short"), "a token has 16 to 128 characters, this one has 5");
        assert_eq!(refused(&"x".repeat(129)), "a token has 16 to 128 characters, this one has 129");
        assert_eq!(refused("two words, as it were"), "a token is one word of printable ASCII");
        let token = Token::new("0123456789abcdef\n").expect("a token");
        assert!(token.is("0123456789abcdef"));
        for other in ["0123456789abcdeg", "0123456789abcde", "0123456789abcdef0", ""] {
            assert!(!token.is(other), "{other}");
        }
        assert_eq!(format!("{token:?}"), "Token");
    }
}

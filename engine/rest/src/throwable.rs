//! A failure as Flink's command line reads it: a `SerializedThrowable` in Java's own encoding.
//! Never carries a stack trace or a class that would have to be loaded: only the words.
//! The encoding is that of the Java Object Serialization Specification, chapter 6.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A string of the encoding is at most this long, in bytes.
const TEXT_MAX: usize = u16::MAX as usize;

/// A failure of this class, in JSON.
pub(crate) fn told(class: &str, why: &str) -> Value {
    let words = format!("{class}: {why}");
    json!({
        "class": class,
        "stack-trace": words,
        "serialized-throwable": STANDARD.encode(serialized(class, why)),
    })
}

const MAGIC: [u8; 4] = [0xac, 0xed, 0x00, 0x05];
const NULL: u8 = b'p';
const REFERENCE: u8 = b'q';
const CLASS: u8 = b'r';
const OBJECT: u8 = b's';
const STRING: u8 = b't';
const ARRAY: u8 = b'u';
const END: u8 = b'x';

/// Handles count classes, strings and objects from here, in the order of their first mention.
const FIRST_HANDLE: u32 = 0x007e_0000;

/// The handle of `Ljava/lang/String;`: the second thing that is mentioned.
const STRING_TYPE: u32 = FIRST_HANDLE + 1;

fn serialized(class: &str, why: &str) -> Vec<u8> {
    let words = &format!("{class}: {why}");
    let mut out = Bytes(MAGIC.to_vec());
    out.byte(OBJECT);
    let name = "org.apache.flink.util.SerializedThrowable";
    out.class(name, 0x6516_9df5_1fa7_13f3, 2, 3);
    out.field("fullStringifiedStackTrace").string("Ljava/lang/String;");
    out.field("originalErrorClassName").reference(STRING_TYPE);
    out.array_field("serializedException").string("[B");
    out.byte(END);
    out.class("java.lang.Exception", 0xd0fd_1f3e_1a3b_1cc4, 2, 0);
    out.byte(END);
    out.class("java.lang.Throwable", 0xd5c6_3527_3977_b8cb, 3, 4);
    out.field("cause").string("Ljava/lang/Throwable;");
    out.field("detailMessage").reference(STRING_TYPE);
    out.array_field("stackTrace").string("[Ljava/lang/StackTraceElement;");
    out.field("suppressedExceptions").string("Ljava/util/List;");
    out.byte(END).byte(NULL);
    // What a Throwable holds: no cause, why, no stack, nothing suppressed.
    out.byte(NULL).string(why);
    out.byte(ARRAY).class("[Ljava.lang.StackTraceElement;", 0x0246_2a3c_3cfd_2239, 2, 0);
    out.byte(END).byte(NULL).number(0).byte(NULL).byte(END);
    // What a SerializedThrowable holds: its words, its class, no bytes of the original.
    out.string(words).string(class);
    out.byte(ARRAY).class("[B", 0xacf3_17f8_0608_54e0, 2, 0);
    out.byte(END).byte(NULL).number(0);
    out.0
}

struct Bytes(Vec<u8>);

impl Bytes {
    fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    fn number(&mut self, number: u32) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        let text = modified(text);
        self.0.extend((text.len() as u16).to_be_bytes());
        self.0.extend(text);
        self
    }

    fn string(&mut self, text: &str) -> &mut Self {
        self.byte(STRING).text(text)
    }

    fn reference(&mut self, handle: u32) -> &mut Self {
        self.byte(REFERENCE).number(handle)
    }

    fn class(&mut self, name: &str, version: u64, flags: u8, fields: u16) -> &mut Self {
        self.byte(CLASS).text(name);
        self.0.extend(version.to_be_bytes());
        self.byte(flags);
        self.0.extend(fields.to_be_bytes());
        self
    }

    fn field(&mut self, name: &str) -> &mut Self {
        self.byte(b'L').text(name)
    }

    fn array_field(&mut self, name: &str) -> &mut Self {
        self.byte(b'[').text(name)
    }
}

/// Text in the encoding's own UTF-8, cut where it would be too long. It has other bytes than UTF-8
/// only for zero and for what lies beyond the basic plane: those become a question mark.
fn modified(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len().min(TEXT_MAX));
    for letter in text.chars() {
        let letter = if letter == '\0' || letter > '\u{ffff}' { '?' } else { letter };
        if bytes.len() + letter.len_utf8() > TEXT_MAX {
            break;
        }
        bytes.extend(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_byte_for_byte_that_of_a_recorded_one() {
        // What Flink 2.3.0 answered for a savepoint of an unknown job, up to the first field.
        let recorded = b"\xac\xed\x00\x05sr\x00)org.apache.flink.util.SerializedThrowable\
            e\x16\x9d\xf5\x1f\xa7\x13\xf3\x02\x00\x03L\x00\x19fullStringifiedStackTrace\
            t\x00\x12Ljava/lang/String;L\x00\x16originalErrorClassNameq\x00~\x00\x01\
            [\x00\x13serializedExceptiont\x00\x02[Bxr\x00\x13java.lang.Exception\
            \xd0\xfd\x1f>\x1a;\x1c\xc4\x02\x00\x00xr\x00\x13java.lang.Throwable\
            \xd5\xc65'9w\xb8\xcb\x03\x00\x04L\x00\x05causet\x00\x15Ljava/lang/Throwable;\
            L\x00\rdetailMessageq\x00~\x00\x01[\x00\nstackTracet\x00\x1e[Ljava/lang/StackTraceElement;\
            L\x00\x14suppressedExceptionst\x00\x10Ljava/util/List;xp";
        let ours = serialized("a.Class", "why");
        assert_eq!(&ours[..recorded.len()], recorded);
    }

    #[test]
    fn text_stays_within_what_the_encoding_can_hold() {
        for (text, expected) in [("why", "why"), ("a\0b", "a?b"), ("\u{1f600}!", "?!"), ("é", "é")]
        {
            assert_eq!(modified(text), expected.as_bytes());
        }
        assert_eq!(modified(&"é".repeat(TEXT_MAX)).len(), TEXT_MAX - 1);
    }
}

//! One event, one line: `key=value` text or a JSON object. Nothing in a value can end the line, forge another or grow
//! without a bound.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::redact::{may_hold_credential, scrub};
use crate::domain::Clock;

/// A value's characters beyond this are cut.
const MAX_VALUE: usize = 2048;

/// How lines look.
pub(super) struct Line {
    pub(super) json: bool,
    pub(super) clock: Arc<dyn Clock>,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields { json: self.json, text: String::with_capacity(512), log_target: None };
        event.record(&mut fields);
        let target = fields.log_target.as_deref().unwrap_or_else(|| event.metadata().target());
        let level = event.metadata().level().as_str();
        let [before, after_time, after_level, end] =
            if self.json { ["{\"time\":\"", "\",\"level\":\"", "\",\"target\":\"", "}\n"] } else { ["", " ", " ", "\n"] };
        write!(out, "{before}{}", self.clock.now())?;
        for piece in [after_time, level, after_level, target, if self.json { "\"" } else { "" }, &fields.text, end] {
            out.write_str(piece)?;
        }
        Ok(())
    }
}

struct Fields {
    json: bool,
    text: String,
    /// What a message of the `log` crate says its target is.
    log_target: Option<String>,
}

impl Fields {
    /// Writes what stands before a value; false when the field is not to be written.
    fn name(&mut self, field: &Field) -> bool {
        let name = field.name();
        if name.starts_with("log.") {
            return false;
        }
        let name = name.strip_prefix("r#").unwrap_or(name);
        // Field names are written in our source: they need no escaping.
        let pieces = match (self.json, name) {
            (true, _) => [",\"", name, "\":"],
            (false, "message") => [": ", "", ""],
            (false, _) => [" ", name, "="],
        };
        self.text.extend(pieces);
        true
    }

    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        if self.name(field) {
            let _ = write!(self.text, "{value}");
        }
    }

    fn number(&mut self, value: impl itoa::Integer) {
        self.text.push_str(itoa::Buffer::new().format(value));
    }

    fn string(&mut self, field: &Field, value: &str) {
        if field.name() == "log.target" {
            self.log_target = Some(value.chars().filter(|c| c.is_ascii_alphanumeric() || "_:".contains(*c)).collect());
        }
        if !self.name(field) {
            return;
        }
        if is_plain(value) {
            let quote = if self.json { "\"" } else { "" };
            self.text.extend([quote, value, quote]);
            return;
        }
        let value = scrub(value);
        let quoted = self.json || (field.name() != "message" && needs_quotes(&value));
        if quoted {
            self.text.push('"');
        }
        for (i, c) in value.chars().enumerate() {
            if i >= MAX_VALUE {
                self.text.push('…');
                break;
            }
            escape(&mut self.text, c, quoted);
        }
        if quoted {
            self.text.push('"');
        }
    }
}

/// Whether a value stands in every line as it is: most do.
fn is_plain(value: &str) -> bool {
    // No way out in the middle: so many bytes are looked at at once.
    let harmless =
        value.bytes().fold(true, |all, byte| all & (b'!'..=b'~').contains(&byte) & !matches!(byte, b'"' | b'=' | b'\\'));
    harmless && (1..=MAX_VALUE).contains(&value.len()) && !may_hold_credential(value)
}

/// Whether `key=value` would be read otherwise than it was meant.
fn needs_quotes(value: &str) -> bool {
    value.is_empty() || value.chars().any(|c| c.is_whitespace() || matches!(c, '"' | '=' | '\\') || is_hidden(c))
}

/// Control characters, and those that hide or reorder what stands beside them.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// `text` with everything escaped that could steer a terminal or hide what stands beside it.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    text.chars().for_each(|c| escape(&mut shown, c, false));
    shown
}

/// A character as a JSON string writes it (RFC 8259 §7).
fn escape(out: &mut String, c: char, quoted: bool) {
    let _ = match c {
        '"' | '\\' if quoted => write!(out, "\\{c}"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        c if is_hidden(c) => write!(out, "\\u{:04x}", u32::from(c)),
        c => out.write_char(c),
    };
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.string(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut bounded = Bounded(String::new());
        // It fails when the value is longer than what is shown of it.
        let _ = write!(bounded, "{value:?}");
        self.string(field, &bounded.0);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if self.name(field) {
            self.number(value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if self.name(field) {
            self.number(value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        match thousandths(value) {
            Some(whole) if self.name(field) => {
                self.number(whole / 1000);
                if whole % 1000 > 0 {
                    // The one in front keeps the zeros behind it.
                    let mut buffer = itoa::Buffer::new();
                    let digits = buffer.format(1000 + whole % 1000).strip_prefix('1').unwrap_or_default();
                    self.text.extend([".", digits.trim_end_matches('0')]);
                }
            }
            Some(_) => {}
            None if value.is_finite() => self.plain(field, value),
            None => self.plain(field, "null"),
        }
    }
}

/// A number that three decimals say exactly, in thousandths: the shortest form of any number is dear to find.
fn thousandths(value: f64) -> Option<u64> {
    let whole = (value * 1000.0).round();
    #[expect(clippy::float_cmp, reason = "whether it is the very number is what is asked")]
    let exact = whole / 1000.0 == value;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be within")]
    (exact && (0.0..9e15).contains(&whole) && value.is_sign_positive()).then_some(whole as u64)
}

/// Takes a little more than is shown of a value, so that a huge one costs no memory.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Whole pieces only, so that a credential is not cut in two before it is recognised.
        self.0.push_str(text);
        if self.0.len() > 4 * MAX_VALUE { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use tracing::callsite::Callsite as _;

    use super::*;

    fn written(value: f64) -> String {
        let callsite = tracing::callsite! { name: "numbers", kind: tracing::metadata::Kind::EVENT, fields: number };
        let field = callsite.metadata().fields().field("number").unwrap();
        let mut fields = Fields { json: false, text: String::new(), log_target: None };
        fields.record_f64(&field, value);
        fields.text
    }

    #[test]
    fn a_number_is_written_as_shortly_as_it_can_be() {
        for value in
            [0.0, 1.0, 1.5, 0.001, 0.01, 1.234, 11.11, 1.1, 10.0, 1.0005, 123_456_789.001, 1e300, -1.5, 0.1 + 0.2, 1111.0]
        {
            assert_eq!(written(value), format!(" number={value}"));
        }
        assert_eq!((written(f64::NAN), written(f64::INFINITY)), (" number=null".into(), " number=null".into()));
    }
}

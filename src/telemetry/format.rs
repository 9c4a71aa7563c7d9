//! One event, one line: `key=value` text or a JSON object. Nothing in a value can end the line, forge another or grow
//! without a bound.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::redact::{may_hold_credential, scrub};
use crate::domain::{Clock, Timestamp};

/// A value's characters beyond this are cut.
const MAX_VALUE: usize = 2048;

/// A line in the making.
pub(super) struct Entry {
    json: bool,
    line: String,
}

impl Entry {
    /// Begins one.
    pub(super) fn new(json: bool, now: Timestamp, level: &str, target: &str) -> Self {
        let [before, after_time, after_level, after_target] =
            if json { ["{\"time\":\"", "\",\"level\":\"", "\",\"target\":\"", "\""] } else { ["", " ", " ", ""] };
        let mut line = String::with_capacity(512);
        line.push_str(before);
        // Writing to a string does not fail.
        let _ = write!(line, "{now}");
        line.extend([after_time, level, after_level, target, after_target]);
        Self { json, line }
    }

    /// Ends it.
    pub(super) fn end(mut self) -> String {
        self.line.push_str(if self.json { "}\n" } else { "\n" });
        self.line
    }

    /// Writes what stands before a value. Names are written in our source: they need no escaping.
    fn name(&mut self, name: &str) {
        self.line.extend(match (self.json, name) {
            (true, _) => [",\"", name, "\":"],
            (false, "message") => [": ", "", ""],
            (false, _) => [" ", name, "="],
        });
    }

    /// A whole number.
    pub(super) fn number(&mut self, name: &str, value: impl itoa::Integer) {
        self.name(name);
        self.digits(value);
    }

    fn digits(&mut self, value: impl itoa::Integer) {
        self.line.push_str(itoa::Buffer::new().format(value));
    }

    /// A span in milliseconds, with up to three decimals.
    pub(super) fn millis(&mut self, name: &str, span: Duration) {
        let micros = span.saturating_add(Duration::from_nanos(500)).as_micros();
        self.name(name);
        self.digits(micros / 1000);
        if !micros.is_multiple_of(1000) {
            // The one in front keeps the zeros behind it.
            let mut buffer = itoa::Buffer::new();
            let digits = buffer.format(1000 + micros % 1000).strip_prefix('1').unwrap_or_default();
            self.line.extend([".", digits.trim_end_matches('0')]);
        }
    }

    fn plain(&mut self, name: &str, value: impl fmt::Display) {
        self.name(name);
        let _ = write!(self.line, "{value}");
    }

    /// The same, where there is a value.
    pub(super) fn some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A text, without credentials, bounded, and with nothing in it that could end the value.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        if is_plain(value) {
            let quote = if self.json { "\"" } else { "" };
            self.line.extend([quote, value, quote]);
            return;
        }
        let value = scrub(value);
        let quoted = self.json || (name != "message" && needs_quotes(&value));
        if quoted {
            self.line.push('"');
        }
        for (i, c) in value.chars().enumerate() {
            if i >= MAX_VALUE {
                self.line.push('…');
                break;
            }
            escape(&mut self.line, c, quoted);
        }
        if quoted {
            self.line.push('"');
        }
    }
}

/// How the lines of events look.
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
        let mut said = LogTarget(None);
        event.record(&mut said);
        let metadata = event.metadata();
        let target = said.0.as_deref().unwrap_or_else(|| metadata.target());
        let mut fields = Fields(Entry::new(self.json, self.clock.now(), metadata.level().as_str(), target));
        event.record(&mut fields);
        out.write_str(&fields.0.end())
    }
}

/// What a message of the `log` crate says its target is.
struct LogTarget(Option<String>);

impl Visit for LogTarget {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "log.target" {
            self.0 = Some(value.chars().filter(|c| c.is_ascii_alphanumeric() || "_:".contains(*c)).collect());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// An event's fields.
struct Fields(Entry);

/// A field's name in the line; none of what the `log` crate adds.
fn shown(field: &Field) -> Option<&'static str> {
    let name = field.name();
    (!name.starts_with("log.")).then(|| name.strip_prefix("r#").unwrap_or(name))
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
        if let Some(name) = shown(field) {
            self.0.text(name, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut bounded = Bounded(String::new());
        // It fails when the value is longer than what is shown of it.
        let _ = write!(bounded, "{value:?}");
        self.record_str(field, &bounded.0);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if let Some(name) = shown(field) {
            self.0.number(name, value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if let Some(name) = shown(field) {
            self.0.number(name, value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if let Some(name) = shown(field) {
            self.0.plain(name, value);
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        match shown(field) {
            Some(name) if value.is_finite() => self.0.plain(name, value),
            Some(name) => self.0.plain(name, "null"),
            None => {}
        }
    }
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
    use super::*;

    #[test]
    fn a_span_is_written_in_milliseconds_as_shortly_as_it_can_be() {
        for (micros, written) in
            [(0, "0"), (1, "0.001"), (10, "0.01"), (1234, "1.234"), (11_100, "11.1"), (111_111, "111.111"), (5000, "5")]
        {
            let mut entry = Entry { json: false, line: String::new() };
            entry.millis("ms", Duration::from_micros(micros));
            assert_eq!(entry.line, format!(" ms={written}"));
        }
        let mut entry = Entry { json: false, line: String::new() };
        entry.millis("ms", Duration::from_nanos(1500));
        entry.millis("ms", Duration::MAX);
        assert_eq!(entry.line, " ms=0.002 ms=18446744073709551615999.999");
    }
}

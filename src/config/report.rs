//! What is wrong with a configuration: every error at once, each with its place, its line and what to write instead.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing is loaded.
    Error,
    /// It loads, and deserves a second look.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file as the operator named it, or the environment variable.
    pub file: Arc<str>,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// What is wrong, without a final stop.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    span: Span,
    related: Option<(Span, String)>,
}

/// A stretch of one source, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Span {
    source: usize,
    start: usize,
    end: usize,
}

/// A text that was read: a file, or the value of an environment variable.
#[derive(Clone)]
struct Source {
    name: Arc<str>,
    text: String,
    /// Stretches that hold secrets: they print as asterisks.
    secrets: Vec<Range<usize>>,
    /// Whether it is the value of an environment variable.
    environment: bool,
    /// The lines with syntax errors: what else was read there is not to be trusted.
    broken: BTreeSet<u32>,
}

/// Only the name: the text may hold secrets.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// All findings about gateway.toml and the route files, with the texts they point into.
#[derive(Clone, Debug, Default)]
pub struct Report {
    sources: Vec<Source>,
    findings: Vec<Diagnostic>,
    seen: BTreeSet<(Severity, Span, String)>,
}

/// A finding before it is filed.
#[must_use]
#[derive(Debug)]
pub(crate) struct Finding {
    message: String,
    help: Option<String>,
    related: Option<(Span, String)>,
}

impl Finding {
    /// What is wrong.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, related: None }
    }

    /// And what to write instead.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// And another place that has to do with it.
    pub(crate) fn also(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related = Some((span, label.into()));
        self
    }
}

impl From<String> for Finding {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl From<&str> for Finding {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl Report {
    /// Whether there is no error.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.errors().next().is_none()
    }

    /// The errors, in the order of files and lines.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.of(Severity::Error)
    }

    /// The warnings, in the order of files and lines.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.of(Severity::Warning)
    }

    fn of(&self, severity: Severity) -> impl Iterator<Item = &Diagnostic> {
        let mut findings: Vec<_> = self.findings.iter().filter(|finding| finding.severity == severity).collect();
        findings.sort_by_key(|finding| finding.span);
        findings.into_iter()
    }

    /// Files an error found by somebody who knows lines and columns only, such as a conflict of two routes.
    ///
    /// `at` and `other` are `(file, line, column)` as the sources are named here; `other` comes with a label.
    pub fn error_at(
        &mut self,
        at: (&str, u32, u32),
        message: impl Into<String>,
        help: Option<String>,
        other: Option<((&str, u32, u32), &str)>,
    ) {
        let span = self.find(at);
        let related = other.map(|(place, label)| (self.find(place), label.to_owned()));
        self.file(Severity::Error, span, Finding { message: message.into(), help, related });
    }

    /// One more finding as it would be shown on a terminal, without being filed.
    pub(crate) fn show_error(&self, span: Span, finding: Finding, colors: bool) -> String {
        let renderer = if colors { Renderer::styled() } else { Renderer::plain() };
        let (line, column) = self.position(span);
        let Finding { message, help, related } = finding;
        let file = self.name_of(span);
        let shown = Diagnostic { severity: Severity::Error, file, line, column, message, help, span, related };
        self.picture(&renderer, &shown) + "\n"
    }

    /// Every finding as it is shown on a terminal: errors, then warnings, each with its line.
    #[must_use]
    pub fn render(&self, colors: bool) -> String {
        let renderer = if colors { Renderer::styled() } else { Renderer::plain() };
        self.errors().chain(self.warnings()).map(|finding| self.picture(&renderer, finding) + "\n\n").collect()
    }

    /// `{"ok", "errors": [{"file", "line", "column", "message", "help"}], "warnings": […]}`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let list = |findings: &mut dyn Iterator<Item = &Diagnostic>| -> Vec<serde_json::Value> {
            findings
                .map(|d| {
                    serde_json::json!({
                        "file": &*d.file, "line": d.line, "column": d.column, "message": d.message, "help": d.help,
                    })
                })
                .collect()
        };
        serde_json::json!({
            "ok": self.is_good(), "errors": list(&mut self.errors()), "warnings": list(&mut self.warnings()),
        })
    }

    /// Takes a text in, to be pointed into; gives its number.
    pub(crate) fn add_source(&mut self, name: &str, text: String) -> usize {
        self.add(name, text, false)
    }

    /// Takes the value of an environment variable in; gives its number.
    pub(crate) fn add_variable(&mut self, name: &str, value: String) -> usize {
        self.add(name, value, true)
    }

    fn add(&mut self, name: &str, text: String, environment: bool) -> usize {
        self.sources.push(Source { name: name.into(), text, secrets: Vec::new(), environment, broken: BTreeSet::new() });
        self.sources.len() - 1
    }

    /// Whether the file that `span` lies in has a syntax error in a header, or in a line with one of `words`: what it seems
    /// to lack may be there after all.
    pub(crate) fn may_hide(&self, span: Span, words: &[&str]) -> bool {
        self.sources.get(span.source).is_some_and(|source| {
            let mut lines = source.text.lines().zip(1..).filter(|(_, number)| source.broken.contains(number));
            lines.any(|(line, _)| line.trim_start().starts_with('[') || words.iter().any(|word| line.contains(word)))
        })
    }

    /// Whether `span` is the value of an environment variable.
    pub(crate) fn is_environment(&self, span: Span) -> bool {
        self.sources.get(span.source).is_some_and(|source| source.environment)
    }

    /// Whether an error stands at that very place already.
    pub(crate) fn blames(&self, span: Span) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error && finding.span == span)
    }

    /// What the operator calls that source.
    pub(crate) fn name_of(&self, span: Span) -> Arc<str> {
        self.sources.get(span.source).map_or_else(|| "".into(), |source| Arc::clone(&source.name))
    }

    /// The line and column where `span` begins, from 1.
    pub(crate) fn position(&self, span: Span) -> (u32, u32) {
        let Some(before) = self.sources.get(span.source).and_then(|source| source.text.get(..span.start)) else {
            return (1, 1);
        };
        let line = before.bytes().filter(|byte| *byte == b'\n').count();
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
        (small(line), small(column))
    }

    /// From now on `span`, which holds a secret, prints as asterisks; a lone `${NAME}` tells nothing and stays.
    pub(crate) fn hide_secret(&mut self, span: Span) {
        let text = self.sources.get(span.source).filter(|source| !source.environment);
        let text = text.and_then(|source| source.text.get(span.start..span.end)).unwrap_or_default();
        let inner = text.trim_matches(['"', '\'']).strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        if !inner.is_some_and(|name| name.starts_with("file:") || name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())) {
            self.hide(span);
        }
    }

    /// From now on `span` prints as asterisks.
    pub(crate) fn hide(&mut self, span: Span) {
        if let Some(source) = self.sources.get_mut(span.source) {
            source.secrets.push(span.start..span.end);
        }
    }

    /// Files a syntax error. Its line may hold a secret: it is shown up to the first `=` only.
    pub(crate) fn syntax_error(&mut self, span: Span, finding: Finding) {
        let (line, _) = self.position(span);
        if let Some(source) = self.sources.get_mut(span.source) {
            let start = source.text.get(..span.start).and_then(|text| text.rfind('\n')).map_or(0, |at| at + 1);
            let rest = source.text.get(start..).unwrap_or_default();
            let end = start + rest.find('\n').unwrap_or(rest.len());
            let name_end = start + rest.find('=').unwrap_or(rest.len()).min(end - start);
            let named = source.text.get(start..name_end).unwrap_or_default().to_lowercase();
            if ["secret", "password", "url", "authorization", "key"].iter().any(|word| named.contains(word)) {
                source.secrets.push(name_end.saturating_add(1)..end);
            }
        }
        // The first of two values stands: nothing is lost.
        let harmless = finding.message.ends_with("duplicate key");
        self.file(Severity::Error, span, finding);
        if let Some(source) = self.sources.get_mut(span.source)
            && !harmless
        {
            source.broken.insert(line);
        }
    }

    /// Files an error.
    pub(crate) fn error(&mut self, span: Span, finding: impl Into<Finding>) {
        self.file(Severity::Error, span, finding.into());
    }

    /// Files a warning.
    pub(crate) fn warning(&mut self, span: Span, finding: impl Into<Finding>) {
        self.file(Severity::Warning, span, finding.into());
    }

    /// One finding a place and message: `[defaults]` are read once for each route.
    fn file(&mut self, severity: Severity, span: Span, finding: Finding) {
        let (line, column) = self.position(span);
        if self.sources.get(span.source).is_some_and(|source| source.broken.contains(&line) && !source.environment) {
            return;
        }
        if self.seen.insert((severity, span, finding.message.clone())) {
            let Finding { message, help, related } = finding;
            self.findings.push(Diagnostic { severity, file: self.name_of(span), line, column, message, help, span, related });
        }
    }

    /// From a place to the end of its line.
    pub(crate) fn span_at(&self, place: (&str, u32, u32)) -> Span {
        self.find(place)
    }

    fn find(&self, (file, line, column): (&str, u32, u32)) -> Span {
        let number = self.sources.iter().position(|source| &*source.name == file).unwrap_or_default();
        let text = self.sources.get(number).map_or("", |source| source.text.as_str());
        let skipped: usize = text.split_inclusive('\n').take(line.saturating_sub(1) as usize).map(str::len).sum();
        let rest = text.get(skipped..).unwrap_or_default().lines().next().unwrap_or_default();
        let indent: usize = rest.chars().take(column.saturating_sub(1) as usize).map(char::len_utf8).sum();
        Span { source: number, start: skipped + indent, end: skipped + rest.len() }
    }

    fn picture(&self, renderer: &Renderer, finding: &Diagnostic) -> String {
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = level.primary_title(&finding.message).elements(Vec::<annotate_snippets::Message<'_>>::new());
        let mut snippet = self.snippet(finding.span, AnnotationKind::Primary, None);
        if let Some(unread) = self.sources.get(finding.span.source).filter(|source| source.text.is_empty()) {
            // A file that could not be read has no line to show.
            group = group.element(Origin::path(unread.name.to_string()).line(1).char_column(1));
        } else if let Some((span, label)) = &finding.related {
            if span.source == finding.span.source {
                snippet = snippet.annotation(AnnotationKind::Context.span(span.start..span.end).label(label));
                group = group.element(snippet);
            } else {
                group = group.element(snippet).element(self.snippet(*span, AnnotationKind::Context, Some(label)));
            }
        } else {
            group = group.element(snippet);
        }
        if let Some(help) = &finding.help {
            group = group.element(Level::HELP.message(help));
        }
        renderer.render(&[group])
    }

    fn snippet<'a>(
        &self,
        span: Span,
        kind: AnnotationKind,
        label: Option<&'a String>,
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let (name, text) = self.sources.get(span.source).map_or_else(Default::default, |s| (s.name.to_string(), s.masked()));
        Snippet::source(text).path(name).annotation(kind.span(span.start..span.end).label(label.map(String::as_str)))
    }
}

/// As `check` prints it, without colours.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

impl Span {
    /// The stretch `range` of the source with that number.
    pub(crate) const fn new(source: usize, range: Range<usize>) -> Self {
        Self { source, start: range.start, end: range.end }
    }
}

impl Source {
    /// The text with its secrets as asterisks, byte for byte, so that places stay what they are.
    fn masked(&self) -> String {
        let hidden = |at: usize| self.secrets.iter().any(|secret| secret.contains(&at));
        let mut shown = String::with_capacity(self.text.len());
        for (at, c) in self.text.char_indices() {
            if hidden(at) && c != '\n' {
                shown.extend(std::iter::repeat_n('*', c.len_utf8()));
            } else {
                shown.push(c);
            }
        }
        shown
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX).saturating_add(u32::from(true))
}

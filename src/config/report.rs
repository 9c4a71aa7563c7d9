//! What is wrong with a configuration: every error at once, each with its place, its line and what to write instead.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{Annotation, AnnotationKind, Level, Origin, Renderer, Snippet};

use super::source::Source;

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

/// All findings about gateway.toml and the route files, with the texts they point into.
#[derive(Clone, Debug, Default)]
pub struct Report {
    sources: Vec<Source>,
    findings: Vec<Diagnostic>,
    /// How many of them are errors.
    failures: usize,
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
        self.failures == 0
    }

    /// How many errors there are.
    pub(crate) const fn failures(&self) -> usize {
        self.failures
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
        self.sources.push(Source::new(name, text, environment));
        self.sources.len() - 1
    }

    /// Whether the file that `span` lies in has a syntax error in a header, or in a line with one of `words`: what it seems
    /// to lack may be there after all.
    pub(crate) fn may_hide(&self, span: Span, words: &[&str]) -> bool {
        let hides = |line: &str| line.trim_start().starts_with('[') || words.iter().any(|word| line.contains(word));
        self.sources.get(span.source).is_some_and(|source| source.broken_lines().any(hides))
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
        self.sources.get(span.source).map_or((1, 1), |source| source.place(span.start))
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
            source.hide(span.start..span.end);
        }
    }

    /// Files a syntax error. Its line may hold a secret: it is shown up to the first `=` only.
    pub(crate) fn syntax_error(&mut self, span: Span, finding: Finding) {
        let (line, _) = self.position(span);
        if let Some(source) = self.sources.get_mut(span.source) {
            let Range { start, end } = source.line(line);
            let text = source.text.get(start..end).unwrap_or_default();
            let name = text.split('=').next().unwrap_or_default();
            let (named, value) = (name.to_lowercase(), start + name.len() + 1);
            if ["secret", "password", "url", "authorization", "key"].iter().any(|word| named.contains(word)) {
                source.hide(value..end.max(value));
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
            self.failures += usize::from(severity == Severity::Error);
            self.findings.push(Diagnostic { severity, file: self.name_of(span), line, column, message, help, span, related });
        }
    }

    /// From a place to the end of its line.
    pub(crate) fn span_at(&self, place: (&str, u32, u32)) -> Span {
        self.find(place)
    }

    fn find(&self, (file, line, column): (&str, u32, u32)) -> Span {
        let number = self.sources.iter().position(|source| &*source.name == file).unwrap_or_default();
        let stretch = self.sources.get(number).map_or(0..0, |source| source.stretch(line, column));
        Span::new(number, stretch)
    }

    fn picture(&self, renderer: &Renderer, finding: &Diagnostic) -> String {
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = level.primary_title(&finding.message).elements(Vec::<annotate_snippets::Message<'_>>::new());
        let (at, related) = (finding.span, finding.related.as_ref());
        let beside = related.filter(|(span, _)| span.source == at.source);
        let wanted = beside.map_or(at.start..at.end, |(span, _)| at.start.min(span.start)..at.end.max(span.end));
        let (mut snippet, start) = self.snippet(at.source, wanted);
        snippet = snippet.annotation(at.within(start, AnnotationKind::Primary));
        if let Some(unread) = self.sources.get(finding.span.source).filter(|source| source.text.is_empty()) {
            // A file that could not be read has no line to show.
            group = group.element(Origin::path(unread.name.to_string()).line(1).char_column(1));
        } else {
            if let Some((span, label)) = beside {
                snippet = snippet.annotation(span.within(start, AnnotationKind::Context).label(label));
            }
            group = group.element(snippet);
            if let Some((span, label)) = related.filter(|_| beside.is_none()) {
                let (snippet, start) = self.snippet(span.source, span.start..span.end);
                group = group.element(snippet.annotation(span.within(start, AnnotationKind::Context).label(label)));
            }
        }
        if let Some(help) = &finding.help {
            group = group.element(Level::HELP.message(help));
        }
        renderer.render(&[group])
    }

    /// The lines around `wanted`, and where they begin.
    fn snippet<'a>(&self, source: usize, wanted: Range<usize>) -> (Snippet<'a, Annotation<'a>>, usize) {
        let Some(source) = self.sources.get(source) else { return (Snippet::source("").path(""), 0) };
        let shown = source.masked(wanted);
        (Snippet::source(shown.text).line_start(shown.line).path(source.name.to_string()), shown.start)
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

    /// It as a mark in a text that begins at `start`.
    fn within<'a>(self, start: usize, kind: AnnotationKind) -> Annotation<'a> {
        kind.span(self.start.saturating_sub(start)..self.end.saturating_sub(start))
    }
}

//! `portcullis test`: the policy tests of the route files, with a picture of each that fails.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::Colors;
use super::check::{Format, Outcome, refused};
use super::trace::{self, Paint};
use crate::config::Environment;
use crate::policy::file::{Everything, load_untested};
use crate::policy::policy_test::{Outcome as Came, described};
use crate::policy::{PolicyTest, Ruling, Survey};

/// One test that was run.
struct Ran<'a> {
    test: &'a PolicyTest,
    ruling: Ruling,
    passed: bool,
}

/// Runs the tests of the configuration at `path` whose request, name, route or file has `filter` in it.
#[must_use]
pub fn test(path: &Path, filter: Option<&str>, format: Format, colors: Colors, env: &Environment) -> Outcome {
    let everything = match load_untested(path, env) {
        Ok(everything) => everything,
        Err(report) if format == Format::Json => {
            return Outcome { code: 1, out: format!("{:#}\n", report.to_json()), err: String::new() };
        }
        Err(report) => return Outcome { code: 1, out: String::new(), err: refused(path, &report, colors.err) },
    };
    let ran: Vec<Ran<'_>> =
        everything.tests.iter().filter(|test| is_meant(test, filter)).map(|test| run(test, &everything)).collect();
    let code = u8::from(ran.iter().any(|ran| !ran.passed) || (ran.is_empty() && !everything.tests.is_empty()));
    if format == Format::Json {
        return Outcome { code, out: format!("{:#}\n", as_json(&ran, &everything)), err: String::new() };
    }
    match (ran.as_slice(), filter, everything.tests.as_slice()) {
        ([], _, []) => Outcome { code, out: NONE.to_owned(), err: String::new() },
        ([], Some(filter), all) => {
            let err =
                format!("error: none of the {} policy tests has `{filter}` in its request, name, route or file\n", all.len());
            Outcome { code, out: String::new(), err }
        }
        _ => Outcome { code, out: as_text(&ran, &everything, colors.out), err: String::new() },
    }
}

const NONE: &str = "there are no policy tests; write one into a route file:\n\n    [[test]]\n    request = \"GET /orders/7\"\n    \
                    as = \"anonymous\"\n    expect = 401\n";

fn is_meant(test: &PolicyTest, filter: Option<&str>) -> bool {
    let Some(filter) = filter else { return true };
    let request = format!("{} {}", test.method, test.url);
    [Some(request.as_str()), test.name.as_deref(), test.route.as_deref(), Some(&*test.place.file)]
        .into_iter()
        .flatten()
        .any(|text| text.contains(filter))
}

fn run<'a>(test: &'a PolicyTest, everything: &Everything) -> Ran<'a> {
    let ruling = test.judge(&everything.config, &everything.table);
    let passed = test.mismatch(&ruling).is_none();
    Ran { test, ruling, passed }
}

fn as_text(ran: &[Ran<'_>], everything: &Everything, colors: bool) -> String {
    let paint = Paint(colors);
    let total = ran.len();
    let mut text = format!("running {total} policy test{}\n", if total == 1 { "" } else { "s" });
    for Ran { test, passed, .. } in ran {
        let verdict = if *passed { paint.good("ok") } else { paint.bad("FAILED") };
        let title = test.name.clone().unwrap_or_else(|| format!("{} -> {}", test.title(), test.expect));
        let _ = writeln!(text, "test {title} ... {verdict}");
    }
    text.push('\n');
    for failed in ran.iter().filter(|ran| !ran.passed) {
        text.push_str(&failed.picture(everything, paint));
        text.push('\n');
    }
    let failed = ran.iter().filter(|ran| !ran.passed).count();
    let filtered = everything.tests.len() - total;
    let verdict = if failed == 0 { paint.good("ok") } else { paint.bad("FAILED") };
    let _ = write!(text, "test result: {verdict}. {} passed; {failed} failed", total - failed);
    let _ = if filtered == 0 { writeln!(text) } else { writeln!(text, "; {filtered} filtered out") };
    text
}

fn as_json(ran: &[Ran<'_>], everything: &Everything) -> Value {
    let failed = ran.iter().filter(|ran| !ran.passed).count();
    json!({
        "ok": failed == 0,
        "passed": ran.len() - failed,
        "failed": failed,
        "filtered_out": everything.tests.len() - ran.len(),
        "tests": ran.iter().map(|ran| ran.json(everything)).collect::<Vec<_>>(),
    })
}

impl Ran<'_> {
    fn survey(&self, everything: &Everything) -> Option<Survey> {
        let target = self.ruling.target.as_ref()?;
        Some(everything.table.survey(target.host.as_deref(), &target.path, &self.test.method))
    }

    /// What is wrong, where, and how it came to that.
    fn picture(&self, everything: &Everything, paint: Paint) -> String {
        let mut text = everything.failure(self.test, &self.ruling, paint.0).unwrap_or_default();
        let caller = self.test.caller.as_ref();
        let _ = writeln!(text, "   {} {} {}", paint.bold("request"), self.test.method, self.test.url);
        let _ = writeln!(text, "   {}  {}", paint.bold("caller"), described(caller));
        if let Some(matched) = &self.ruling.matched {
            let spec = matched.route.spec();
            let _ = writeln!(text, "   {}  {} ({})", paint.bold("winner"), spec.name, trace::at(&spec.place));
            text.push_str(&trace::checks(&matched.checks(caller), "           ", paint));
        } else if !matches!(self.ruling.outcome, Came::Own) {
            let _ = writeln!(text, "   {}  none: {}", paint.bold("winner"), self.ruling.reason(caller));
        }
        if let Some(survey) = self.survey(everything).filter(|survey| !survey.losers.is_empty()) {
            let losers = trace::losers(&survey.losers, "           ", paint);
            let _ = writeln!(text, "   {}  {}", paint.bold("losers"), losers.trim_start().trim_end());
        }
        text
    }

    fn json(&self, everything: &Everything) -> Value {
        let (test, ruling) = (self.test, &self.ruling);
        let caller = test.caller.as_ref();
        let (status, code) = match &ruling.outcome {
            Came::Refused(refusal) => (Some(refusal.status().as_u16()), Some(refusal.code())),
            Came::Allowed(_) | Came::Own => (None, None),
        };
        json!({
            "name": test.name,
            "file": &*test.place.file,
            "line": test.place.line,
            "column": test.place.column,
            "request": format!("{} {}", test.method, test.url),
            "as": described(caller),
            "expect": test.expect.to_string(),
            "expect_route": test.route.as_deref(),
            "passed": self.passed,
            "outcome": match &ruling.outcome { Came::Allowed(_) => "allow", Came::Refused(_) => "deny", Came::Own => "own" },
            "status": status,
            "code": code,
            "reason": ruling.reason(caller),
            "route": ruling.matched.as_ref().map(|matched| trace::route_json(&matched.route)),
            "checks": ruling.matched.as_ref().map(|matched| trace::checks_json(&matched.checks(caller))),
            "losers": self.survey(everything).map(|survey| trace::losers_json(&survey.losers)),
        })
    }
}

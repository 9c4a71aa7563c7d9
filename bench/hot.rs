//! What each request asks, by itself: `cargo bench`. A request as a whole is counted by `bench/instructions`.

#![expect(clippy::unwrap_used, reason = "a bench that can't be set up shall say so")]
#![allow(missing_docs, reason = "criterion's macros make functions without")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::Method;
use portcullis::config::Environment;
use portcullis::domain::{CanonicalPath, Concern, Entry, Revoked, SystemEntropy, Timestamp, TokenId, UserId};
use portcullis::policy::{RouteTable, file};
use portcullis::revocation::List;

const NOW: Timestamp = Timestamp::from_secs(1_795_360_500);
/// Routes of each host.
const EACH: usize = 10;

/// So many routes, ten of each host, a hundred in each file.
fn table(routes: usize) -> RouteTable {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("routes")).unwrap();
    std::fs::write(home.path().join("gateway.toml"), "version = 1\n").unwrap();
    for file in 0..routes.div_ceil(100) {
        let mut text = String::from("version = 1\n[defaults]\nbackend = \"http://127.0.0.1:9\"\n");
        for number in file * 100..routes.min((file + 1) * 100) {
            let (host, place) = (number / EACH, number % EACH);
            writeln!(
                text,
                "[[route]]\nname = \"r{number}\"\nhosts = [\"h{host}.example.com\"]\npath = \"/api/v1/p{place}/{{id}}/**\"\nscopes = [\"x:read\"]"
            )
            .unwrap();
        }
        std::fs::write(home.path().join(format!("routes/{file:04}.toml")), text).unwrap();
    }
    file::load(&home.path().join("gateway.toml"), &Environment::default()).map_err(|report| report.to_string()).unwrap().table
}

fn matching(c: &mut Criterion) {
    let mut group = c.benchmark_group("match");
    let path = CanonicalPath::parse(b"/api/v1/p7/12345/orders/7").unwrap();
    for routes in [10, 100, 1000, 10_000] {
        let table = table(routes);
        let hosts: Vec<String> = (0..routes / EACH).map(|host| format!("h{host}.example.com")).collect();
        let mut next = 0;
        group.bench_function(format!("{routes} routes"), |b| {
            b.iter(|| {
                // Far from the last one, so that caches do not answer.
                next = (next + 577) % hosts.len();
                black_box(table.find(hosts.get(next).map(String::as_str), &path, &Method::GET))
            });
        });
    }
    group.finish();
}

fn revocations(c: &mut Criterion) {
    let mut group = c.benchmark_group("revocation");
    for count in [0, 1_000_000] {
        let list = List::default();
        let until = NOW.plus(Duration::from_hours(1));
        for seq in 0..count {
            list.apply(&Entry { seq, what: Revoked::Token { id: TokenId::generate(NOW, &SystemEntropy) }, until });
        }
        let concern = || Concern {
            token: Some(TokenId::generate(NOW, &SystemEntropy)),
            session: None,
            account: Some((UserId::generate(NOW, &SystemEntropy), 1)),
            key: None,
        };
        group.bench_function(format!("asked of {count}"), |b| {
            b.iter_batched(concern, |concern| black_box(list.revoked(&concern)), BatchSize::LargeInput);
        });
    }
    group.finish();
}

fn paths(c: &mut Criterion) {
    let mut group = c.benchmark_group("path");
    for (name, path) in [("ordinary", "/api/v1/orders/12345/lines"), ("escaped", "/api/v1/orders/caf%C3%A9/%7Eann")] {
        group.bench_function(name, |b| b.iter(|| black_box(CanonicalPath::parse(black_box(path).as_bytes()))));
    }
    group.finish();
}

criterion_group!(hot, matching, revocations, paths);
criterion_main!(hot);

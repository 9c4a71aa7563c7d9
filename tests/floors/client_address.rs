//! Who the client is, and what a backend is told of the way that it came.

#![expect(clippy::expect_used, reason = "a test that meets what it did not expect ends")]

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis::proxy::forwarded::{Claimed, Origin};
use portcullis::proxy::target::Authority;
use proptest::prelude::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().expect("a network")).collect()
}

fn client(peer: &str, fields: &[&str], proxies: &[&str]) -> (String, Vec<String>) {
    let fields: Vec<&[u8]> = fields.iter().map(|field| field.as_bytes()).collect();
    let origin = Origin::of(ip(peer), false, None, Claimed { r#for: &fields, ..Claimed::default() }, &nets(proxies));
    (origin.client.to_string(), origin.chain.iter().map(IpAddr::to_string).collect())
}

#[test]
fn the_client_is_the_first_from_the_right_that_is_no_proxy_of_ours() {
    const OURS: &[&str] = &["10.0.0.0/8", "fd00::/8"];
    type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);
    let cases: [Case<'_>; 24] = [
        // Nobody is believed by default.
        ("10.0.0.1", &["1.2.3.4"], &[], &["10.0.0.1"]),
        ("127.0.0.1", &["1.2.3.4"], &[], &["127.0.0.1"]),
        ("9.9.9.9", &["1.2.3.4"], OURS, &["9.9.9.9"]),
        ("10.0.0.1", &[], OURS, &["10.0.0.1"]),
        ("10.0.0.1", &["1.2.3.4"], OURS, &["1.2.3.4", "10.0.0.1"]),
        ("10.0.0.1", &["6.6.6.6, 1.2.3.4"], OURS, &["1.2.3.4", "10.0.0.1"]),
        ("10.0.0.1", &["6.6.6.6", "1.2.3.4"], OURS, &["1.2.3.4", "10.0.0.1"]),
        ("10.0.0.1", &["1.2.3.4, 10.0.0.2"], OURS, &["1.2.3.4", "10.0.0.2", "10.0.0.1"]),
        ("10.0.0.1", &["6.6.6.6, 1.2.3.4,10.0.0.3", "10.0.0.2"], OURS, &["1.2.3.4", "10.0.0.3", "10.0.0.2", "10.0.0.1"]),
        ("10.0.0.1", &["10.0.0.9"], OURS, &["10.0.0.9", "10.0.0.1"]),
        // Garbage stops the walk.
        ("10.0.0.1", &["unknown"], OURS, &["10.0.0.1"]),
        ("10.0.0.1", &["1.2.3.4, unknown"], OURS, &["10.0.0.1"]),
        ("10.0.0.1", &["1.2.3.4,"], OURS, &["10.0.0.1"]),
        ("10.0.0.1", &["1.2.3.4, _hidden, 10.0.0.2"], OURS, &["10.0.0.2", "10.0.0.1"]),
        ("10.0.0.1", &["1.2.3.4.5"], OURS, &["10.0.0.1"]),
        ("10.0.0.1", &["01.2.3.4"], OURS, &["10.0.0.1"]),
        ("10.0.0.1", &[""], OURS, &["10.0.0.1"]),
        // Ports and brackets.
        ("10.0.0.1", &["1.2.3.4:5678"], OURS, &["1.2.3.4", "10.0.0.1"]),
        ("10.0.0.1", &["[2001:db8::1]:5678"], OURS, &["2001:db8::1", "10.0.0.1"]),
        ("10.0.0.1", &["[2001:db8::1]"], OURS, &["2001:db8::1", "10.0.0.1"]),
        ("10.0.0.1", &["2001:DB8:0::1"], OURS, &["2001:db8::1", "10.0.0.1"]),
        // IPv4-mapped IPv6 is IPv4.
        ("::ffff:10.0.0.1", &["::ffff:1.2.3.4"], OURS, &["1.2.3.4", "10.0.0.1"]),
        ("10.0.0.1", &["1.2.3.4"], &["::ffff:10.0.0.0/104"], &["1.2.3.4", "10.0.0.1"]),
        ("fd00::1", &["1.2.3.4, fd12::3"], OURS, &["1.2.3.4", "fd12::3", "fd00::1"]),
    ];
    for (peer, fields, proxies, chain) in cases {
        let (client, found) = client(peer, fields, proxies);
        assert_eq!(found, chain, "{peer} {fields:?}");
        assert_eq!(client, chain[0], "{peer} {fields:?}");
    }
    assert_eq!(client("10.0.0.1", &["1.2.3.4"], &["::/0"]).0, "10.0.0.1", "all of IPv6 is not all of IPv4");
}

fn told(origin: &Origin) -> Vec<String> {
    let mut lines: Vec<String> =
        origin.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII"))).collect();
    lines.sort();
    lines
}

fn own(host: &str) -> Option<Authority> {
    Authority::parse(host.as_bytes())
}

const CLAIMED: Claimed<'static> =
    Claimed { r#for: &[b"6.6.6.6, 1.2.3.4"], proto: &[b"https"], host: &[b"Shop.Example.com:8443"], port: &[b"9"] };

#[test]
fn a_strangers_claims_are_replaced() {
    let origin = Origin::of(ip("9.9.9.9"), false, own("h:8080"), CLAIMED, &nets(&["10.0.0.0/8"]));
    assert!(!origin.trusted);
    assert_eq!(
        told(&origin),
        [
            "forwarded: for=9.9.9.9;host=\"h:8080\";proto=http",
            "x-forwarded-for: 9.9.9.9",
            "x-forwarded-host: h:8080",
            "x-forwarded-port: 8080",
            "x-forwarded-proto: http",
            "x-real-ip: 9.9.9.9",
        ]
    );
}

#[test]
fn a_trusted_proxys_claims_are_passed_on() {
    let origin = Origin::of(ip("10.0.0.1"), false, own("h"), CLAIMED, &nets(&["10.0.0.0/8"]));
    assert!(origin.trusted);
    assert_eq!(
        told(&origin),
        [
            "forwarded: for=1.2.3.4;host=\"shop.example.com:8443\";proto=https, for=10.0.0.1",
            "x-forwarded-for: 1.2.3.4, 10.0.0.1",
            "x-forwarded-host: shop.example.com:8443",
            "x-forwarded-port: 8443",
            "x-forwarded-proto: https",
            "x-real-ip: 1.2.3.4",
        ]
    );
}

#[test]
fn what_a_proxy_says_wrongly_is_not_passed_on() {
    let claimed = Claimed { r#for: &[], proto: &[b"gopher"], host: &[b"a b\"<"], port: &[b"0"] };
    let origin = Origin::of(ip("::1"), true, own("[::2]"), claimed, &nets(&["::1/128"]));
    assert_eq!(
        told(&origin),
        [
            "forwarded: for=\"[::1]\";host=\"[::2]\";proto=https",
            "x-forwarded-for: ::1",
            "x-forwarded-host: [::2]",
            "x-forwarded-port: 443",
            "x-forwarded-proto: https",
            "x-real-ip: ::1",
        ]
    );
    let nameless = Origin::of(ip("9.9.9.9"), false, None, Claimed::default(), &[]);
    assert_eq!(told(&nameless)[0], "forwarded: for=9.9.9.9;proto=http");
    assert!(!told(&nameless).iter().any(|line| line.starts_with("x-forwarded-host")));
}

#[test]
fn of_several_claims_the_nearest_proxys_counts() {
    let proxies = nets(&["10.0.0.0/8"]);
    for (fields, https) in [
        (&[b"https, http".as_slice()][..], false),
        (&[b"http".as_slice(), b"HTTPS"][..], true),
        (&[b" https ".as_slice()][..], true),
        (&[b"wss".as_slice()][..], true),
        (&[b"https,".as_slice()][..], false),
    ] {
        let claimed = Claimed { proto: fields, ..Claimed::default() };
        assert_eq!(Origin::of(ip("10.0.0.1"), false, None, claimed, &proxies).https, https, "{fields:?}");
    }
    let claimed = Claimed { port: &[b"8443"], ..Claimed::default() };
    assert_eq!(Origin::of(ip("10.0.0.1"), false, own("h"), claimed, &proxies).port, 8443);
    assert_eq!(Origin::of(ip("10.0.0.1"), false, own("h:81"), claimed, &proxies).port, 81);
}

proptest! {
    #[test]
    fn a_client_cannot_choose_its_address(forged: Vec<u8>, real: u32) {
        let real = IpAddr::from(std::net::Ipv4Addr::from(real));
        let proxies = nets(&["10.0.0.0/8"]);
        prop_assume!(!proxies[0].contains(&real));
        // The proxy appends who connected to it.
        let field = [forged.as_slice(), b", ", real.to_string().as_bytes()].concat();
        let claimed = Claimed { r#for: &[&field], ..Claimed::default() };
        prop_assert_eq!(Origin::of(ip("10.0.0.1"), false, None, claimed, &proxies).client, real);
    }

    #[test]
    fn nothing_that_is_claimed_breaks_a_header(host: Vec<u8>, port: Vec<u8>, r#for: Vec<u8>) {
        let claimed = Claimed { r#for: &[&r#for], proto: &[&host], host: &[&host], port: &[&port] };
        let origin = Origin::of(ip("10.0.0.1"), false, None, claimed, &nets(&["10.0.0.0/8"]));
        for line in told(&origin) {
            prop_assert!(line.bytes().all(|byte| (0x20..=0x7e).contains(&byte)), "{line}");
        }
    }
}

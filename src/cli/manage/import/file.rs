//! The formats: each gives a map of names and values a line.

use serde_json::{Map, Value};

use super::super::super::args::ImportFormat;
use super::{Line, fields};
use crate::credential::strict_json;

/// Why nothing of a file can be read, and the line that shows it.
type Unreadable = (u64, String);

/// What a format is called on the command line.
pub(super) const fn called(format: ImportFormat) -> &'static str {
    match format {
        ImportFormat::Htpasswd => "htpasswd",
        ImportFormat::Csv => "csv",
        ImportFormat::Jsonl => "jsonl",
    }
}

/// The lines that tell of accounts, or are meant to.
pub(super) fn lines(bytes: &[u8], format: ImportFormat) -> Result<Vec<Line>, Unreadable> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match format {
        ImportFormat::Htpasswd => Ok(each_line(bytes, htpasswd)),
        ImportFormat::Jsonl => Ok(each_line(bytes, jsonl)),
        ImportFormat::Csv => csv(bytes),
    }
}

fn each_line(bytes: &[u8], read: impl Fn(&str) -> Option<Result<Map<String, Value>, String>>) -> Vec<Line> {
    let lines = (1..).zip(bytes.split(|&byte| byte == b'\n'));
    lines
        .filter_map(|(number, line)| {
            let map = match std::str::from_utf8(line) {
                Ok(line) => read(line.trim())?,
                Err(_) => Err(NOT_UTF8.to_owned()),
            };
            Some((number, map.and_then(|map| fields::account(number, map))))
        })
        .collect()
}

const NOT_UTF8: &str = "this is not UTF-8: convert the file with iconv";

fn htpasswd(line: &str) -> Option<Result<Map<String, Value>, String>> {
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let map = match line.split_once(':') {
        // What is behind a second colon would be another column of another format.
        Some((name, hash)) => {
            let pairs = [("username", name), ("password_hash", hash)];
            Ok(pairs.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
        }
        None => Err("this is no line of htpasswd: it has a name, a colon and a hash".to_owned()),
    };
    Some(map)
}

fn jsonl(line: &str) -> Option<Result<Map<String, Value>, String>> {
    if line.is_empty() {
        return None;
    }
    let what = "this is no JSON object on one line, or has a member twice";
    Some(strict_json::object(line.as_bytes()).ok_or_else(|| what.to_owned()))
}

fn csv(bytes: &[u8]) -> Result<Vec<Line>, Unreadable> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::Headers).from_reader(bytes);
    let unreadable = |_| (1, NOT_UTF8.to_owned());
    let header: Vec<String> = reader.headers().map_err(unreadable)?.iter().map(str::to_owned).collect();
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    for (at, name) in header.iter().enumerate() {
        fields::is_known(name).map_err(|why| (1, format!("column {}: {why}", at + 1)))?;
        if header.iter().take(at).any(|other| other == name) {
            return Err((1, format!("column {}: `{name}` is there twice", at + 1)));
        }
    }
    if !header.iter().any(|name| name == "username") {
        return Err((1, "the first line names the columns, and has to name `username` and `password_hash`".to_owned()));
    }
    let (mut lines, mut line, mut seen) = (Vec::new(), 1, 0);
    for record in reader.byte_records() {
        let Ok(record) = record else {
            return Err((line, "the file can't be read to its end".to_owned()));
        };
        // The reader's own count does not know yet of what ended the line before.
        let start = record.position().and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(seen);
        let blank = bytes.get(start..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let passed = bytes.get(seen..start + blank).unwrap_or_default();
        line += passed.iter().map(|&byte| u64::from(byte == b'\n')).sum::<u64>();
        seen = start + blank;
        lines.push((line, row(&header, &record).and_then(|map| fields::account(line, map))));
    }
    Ok(lines)
}

fn row(header: &[String], record: &csv::ByteRecord) -> Result<Map<String, Value>, String> {
    if record.len() != header.len() {
        let (has, wanted) = (record.len(), header.len());
        return Err(format!("this row has {has} columns and the header {wanted}: what has a comma in it needs \"quotes\""));
    }
    let mut map = Map::new();
    for (name, value) in header.iter().zip(record) {
        let value = std::str::from_utf8(value).map_err(|_| NOT_UTF8.to_owned())?.trim();
        if !value.is_empty() {
            map.insert(name.clone(), value.into());
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::ExposeSecret;

    const HASH: &str = "$2y$04$QIRZznakbMLvv82878Qa8ePhEFmxwhpnnBfut31GEtKqM.6Q/XiIy";

    fn read(text: &str, format: ImportFormat) -> Vec<Line> {
        lines(text.as_bytes(), format).expect("readable")
    }

    fn errors(text: &str, format: ImportFormat) -> Vec<String> {
        let lines = match lines(text.as_bytes(), format) {
            Ok(lines) => lines,
            Err((line, why)) => return vec![format!("{line}: {why}")],
        };
        lines.into_iter().filter_map(|(line, account)| Some(format!("{line}: {}", account.err()?))).collect()
    }

    #[test]
    fn htpasswd_has_names_and_hashes_beside_comments() {
        let found = read(&format!("# users\r\n\nann:{HASH}\r\nbob:x:y\n"), ImportFormat::Htpasswd);
        let [(3, Ok(ann)), (4, Ok(bob))] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((ann.username.as_str(), ann.line), ("ann", 3));
        assert_eq!(ann.password_hash.as_ref().map(ExposeSecret::expose_secret), Some(HASH));
        assert_eq!(bob.password_hash.as_ref().map(ExposeSecret::expose_secret), Some("x:y"));
        assert_eq!(errors("ann", ImportFormat::Htpasswd).len(), 1);
    }

    #[test]
    fn a_table_and_objects_say_the_same() {
        let table = format!(
            "\u{feff}username,email,full_name,password_hash,roles,scopes,attributes,attributes.tenant,is_active\r\n\
             ann,ann@example.org,\"Ann, of\nHere\",{HASH},\"user, admin\",items:read b,\"{{\"\"n\"\":[1]}}\",a1,false\r\nbob,,,{HASH},,,,,\n"
        );
        let objects = format!(
            "{{\"username\":\"ann\",\"email\":\"ann@example.org\",\"full_name\":\"Ann, of\\nHere\",\"password_hash\":\"{HASH}\",\
             \"roles\":[\"user\",\"admin\"],\"scopes\":[\"items:read\",\"b\"],\"attributes\":{{\"n\":[1],\"tenant\":\"a1\"}},\"disabled\":true}}\n\n\
             {{\"username\":\"bob\",\"password_hash\":\"{HASH}\",\"email\":null}}"
        );
        let [csv, jsonl] = [(table, ImportFormat::Csv), (objects, ImportFormat::Jsonl)]
            .map(|(text, format)| read(&text, format).into_iter().map(|(_, account)| account.expect("good")).collect::<Vec<_>>());
        let shown = |accounts: &[crate::accounts::admin::ImportedUser]| {
            let lineless = accounts.iter().map(|account| format!("{account:?}").split_once(',').expect("a line").1.to_owned());
            lineless.collect::<Vec<_>>()
        };
        assert_eq!(shown(&csv), shown(&jsonl));
        assert!(csv[0].disabled && csv[0].email_verified && csv[0].attributes["tenant"] == "a1" && csv[1].roles.is_none());
        assert_eq!((csv[1].line, jsonl[1].line), (4, 3));
    }

    #[test]
    fn what_is_wrong_is_told_by_line_and_shows_no_hash() {
        let csv = |rest: &str| errors(rest, ImportFormat::Csv);
        let jsonl = |text: &str| errors(text, ImportFormat::Jsonl);
        let found = [
            csv("username,plaintext\nann,hunter2\n"),
            csv("username,password,hashed_password\nann,hunter2,hunter2\n"),
            csv("username,pasword_hash\nann,x\n"),
            csv(&format!("ann,{HASH}\n")),
            csv("email,password_hash\n"),
            csv("username,username\n"),
            csv("username,password_hash,disabled\nann,x\nbob,x,perhaps\n"),
            csv("username,password_hash,attributes\nann,x,[1]\n"),
            jsonl(&format!("\"{HASH}\"\n[1]\n{{\n{{\"username\":\"a\",\"username\":\"b\"}}")),
            jsonl(&format!(
                "{{\"username\":[\"{HASH}\"]}}\n{{\"username\":\"a\",\"roles\":{{}}}}\n{{\"username\":\"a\",\"{HASH}\":1}}"
            )),
            jsonl(
                "{\"username\":\"a\",\"secret\":\"hunter2\"}\n{\"password_hash\":\"x\"}\n{\"username\":\"a\",\"scopes\":\"a b!\"}",
            ),
        ];
        let text = found.iter().flatten().map(String::as_str).collect::<Vec<_>>().join("\n");
        assert!(!text.contains("hunter2") && !text.contains("$2y$"), "{text}");
        insta::assert_snapshot!(text);
        assert!(errors("username\n\u{e9}", ImportFormat::Csv).iter().all(|error| !error.contains("UTF-8")));
        assert!(
            matches!(lines(b"username,password_hash\n\xff,x\n", ImportFormat::Csv).expect("read")[0].1, Err(ref why) if why == NOT_UTF8)
        );
    }
}

//! What tells a backend who is calling: forged headers are removed, the permit's are set.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderName, HeaderValue};

use crate::config;
use crate::config::identity::FORWARDING;
use crate::domain::{Headers, IdentityTable, Principal, Template, TemplateError};
use crate::policy::{Permit, RouteTable};

/// What the `oauth2-proxy` preset answers `auth_request` with, beside what it sets.
const AUTH_REQUEST_HEADERS: [&str; 4] =
    ["x-auth-request-user", "x-auth-request-email", "x-auth-request-groups", "x-auth-request-preferred-username"];

/// Where a signed assertion goes, unless it is configured otherwise.
const ASSERTION: &str = "x-auth-assertion";

/// Whatever follows is taken for the `oauth2-proxy` preset's.
const AUTH_REQUEST: &[u8] = b"x-auth-request-";

/// A kept name that the gateway itself sets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// In `keep_client_headers`.
    #[error("keep_client_headers: `{0}` is set by the gateway, so a client's can't be kept")]
    Kept(String),
    /// In a table.
    #[error("identity header `{0}`: {1}")]
    Template(HeaderName, TemplateError),
}

/// Which request headers are removed from what clients send, in every spelling that a backend may fold into them.
#[derive(Clone, Debug)]
pub struct StripSet {
    /// Folded: lower case, `-` for whatever is no letter or digit.
    names: HashSet<Box<[u8]>>,
    /// Exact but for case.
    kept: HashSet<Box<[u8]>>,
    /// Bit n: some name begins with the n-th letter.
    initials: u32,
}

/// Names up to this length are folded without an allocation.
const SHORT: usize = 64;

impl StripSet {
    /// What `tables` can set, what any preset can, the assertion header, the forwarding headers, and `also`:
    /// less `keep`, which is spelled exactly but for case.
    pub fn build<'t>(
        tables: impl IntoIterator<Item = &'t IdentityTable>,
        keep: &[String],
        also: &[&str],
    ) -> Result<Self, IdentityError> {
        let mut set: HashSet<Box<[u8]>> = HashSet::new();
        let mut fixed: HashSet<Box<[u8]>> = HashSet::new();
        fixed.extend(FORWARDING.iter().chain(also).map(|name| fold(name.as_bytes())));
        for table in tables {
            fixed.extend(table.headers.iter().map(|(name, _)| fold(name.as_str().as_bytes())));
        }
        set.extend(AUTH_REQUEST_HEADERS.iter().chain(&[ASSERTION]).map(|name| fold(name.as_bytes())));
        for preset in IdentityTable::PRESETS.iter().filter_map(|name| IdentityTable::preset(name)) {
            set.extend(preset.headers.iter().map(|(name, _)| fold(name.as_str().as_bytes())));
        }
        if let Some(name) = keep.iter().find(|name| fixed.contains(without_http(&fold(name.as_bytes())))) {
            return Err(IdentityError::Kept(name.clone()));
        }
        set.extend(fixed);
        // The prefix begins with an x as well.
        let initials = set.iter().filter_map(|name| name.first()).fold(initial(b'x') | initial(b'h'), |all, &c| all | initial(c));
        let kept = keep.iter().map(|name| name.to_ascii_lowercase().into_bytes().into()).collect();
        Ok(Self { names: set, kept, initials })
    }

    /// Removes `name` too, unless it is kept.
    fn add(&mut self, name: &str) {
        let folded = fold(name.as_bytes());
        self.initials |= folded.first().map_or(0, |&first| initial(first));
        self.names.insert(folded);
    }

    /// Whether a client's header of this name is removed.
    #[must_use]
    pub fn removes(&self, name: &[u8]) -> bool {
        let Some(&first) = name.first() else { return true };
        if self.initials & initial(first) == 0 {
            return false;
        }
        let mut short = [0; SHORT];
        let long;
        let folded = if let Some(buffer) = short.get_mut(..name.len()) {
            buffer.iter_mut().zip(name).for_each(|(to, from)| *to = fold_byte(*from));
            &*buffer
        } else {
            long = fold(name);
            &*long
        };
        let bare = without_http(folded);
        let listed = bare.starts_with(AUTH_REQUEST) || self.names.contains(bare) || self.names.contains(folded);
        listed && (self.kept.is_empty() || !self.keeps(name))
    }

    fn keeps(&self, name: &[u8]) -> bool {
        self.kept.contains(name.to_ascii_lowercase().as_slice())
    }
}

const HTTP: &[u8] = b"http-";

/// A bit for a letter, one for all digits and signs together.
const fn initial(byte: u8) -> u32 {
    match byte.to_ascii_lowercase() {
        letter @ b'a'..=b'z' => 1 << (letter - b'a'),
        _ => 1 << 26,
    }
}

/// CGI and its heirs put `HTTP_` before every header.
fn without_http(folded: &[u8]) -> &[u8] {
    folded.strip_prefix(HTTP).unwrap_or(folded)
}

const fn fold_byte(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

fn fold(name: &[u8]) -> Box<[u8]> {
    name.iter().map(|&byte| fold_byte(byte)).collect()
}

/// An identity table whose templates were read once.
#[derive(Debug)]
pub struct Emitter {
    /// No other has it, in this process.
    number: u64,
    headers: Vec<(HeaderName, Template)>,
}

/// The number of the next [`Emitter`].
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Emitter {
    /// Reads the table's templates.
    pub fn new(table: &IdentityTable) -> Result<Self, IdentityError> {
        let read = |(name, template): &(HeaderName, String)| {
            let template = Template::parse(template).map_err(|error| IdentityError::Template(name.clone(), error))?;
            Ok((name.clone(), template))
        };
        let headers = table.headers.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { number: NEXT.fetch_add(1, Ordering::Relaxed), headers })
    }

    /// The headers that say who `principal` is; none for what is absent.
    #[must_use]
    pub fn emit(&self, principal: &Principal) -> Headers {
        principal.rendered.by(self.number, || self.write(principal))
    }

    fn write(&self, principal: &Principal) -> Headers {
        // Rendered text is printable ASCII, which is always a header value.
        let value = |template: &Template| template.render(principal).and_then(|text| HeaderValue::try_from(text).ok());
        self.headers.iter().filter_map(|(name, template)| Some((name.clone(), value(template)?))).collect()
    }
}

/// All of a configuration's identity rules.
#[derive(Clone, Debug)]
pub struct Identity {
    strip: StripSet,
    /// By the route's index; routes that share a table share it here too.
    emitters: Vec<Arc<Emitter>>,
}

impl Identity {
    /// Reads the tables of all routes. `also` names more client headers to remove, such as the API key's.
    pub fn build(table: &RouteTable, config: &config::Identity, also: &[&str]) -> Result<Self, IdentityError> {
        let mut known: Vec<(&Arc<IdentityTable>, Arc<Emitter>)> = Vec::new();
        let mut emitters = Vec::with_capacity(table.routes().len());
        for route in table.routes() {
            let own = &route.spec().identity;
            let same = known.iter().find(|(other, _)| Arc::ptr_eq(other, own) || *other == own);
            let emitter = if let Some((_, emitter)) = same {
                Arc::clone(emitter)
            } else {
                let emitter = Arc::new(Emitter::new(own)?);
                known.push((own, Arc::clone(&emitter)));
                emitter
            };
            emitters.push(emitter);
        }
        let tables = known.iter().map(|(table, _)| table.as_ref()).chain([config.headers.as_ref()]);
        let mut strip = StripSet::build(tables, &config.keep_client_headers, also)?;
        strip.add(config.assertion.header.as_str());
        Ok(Self { strip, emitters })
    }

    /// Whether a client's header of this name is removed.
    #[must_use]
    pub fn removes(&self, name: &[u8]) -> bool {
        self.strip.removes(name)
    }

    /// What the backend is told; nothing where the permit has nobody.
    #[must_use]
    pub fn emit(&self, permit: &Permit) -> Headers {
        match (permit.principal(), self.emitters.get(permit.route().index())) {
            (Some(principal), Some(emitter)) => emitter.emit(principal),
            _ => Headers::default(),
        }
    }
}

//! `[roles]`, `[login]`, `[passwords]`, `[accounts]`, `[mail]`: people, how they log in and what they may.

use super::{KIB, MIB};
use crate::config::Rate;
use crate::config::schema::{At, section};
use crate::config::values::{Count, Secret, Size};
use crate::config::words::words;
use crate::config::wrapped::Required;
use crate::domain::Scope;

section! {
    /// An entry of `[roles]`.
    pub(crate) struct Role {
        /// The roles it includes.
        includes: Vec<At<String>> = "[]",
        /// The scopes it gives itself.
        scopes: Vec<At<Scope>> = "[]",
    }
}

section! {
    /// `[login]`
    pub(crate) struct Login {
        /// Attempts a client address: an IPv4 address, an IPv6 /64.
        rate_limit: Rate = r#""5/1m""#,
        /// Failures an account.
        account_rate_limit: Rate = r#""20/15m""#,
        /// Password checks at once; 0 is half the cores, at least 1.
        concurrency: Count<0, 1024> = "0",
        /// How many may wait for one.
        queue: Count<0, 100_000> = "64",
    }
}

section! {
    /// `[passwords]`
    pub(crate) struct Passwords {
        /// In code points.
        min_length: Count<1, 1024> = "15",
        /// In bytes, of new passwords.
        max_length: Size<64, { 16 * KIB }> = r#""256B""#,
        /// Kinds of characters that must be there.
        require: Vec<At<PasswordKind>> = "[]",
        /// Passwords that are refused: `"builtin"`, `"off"`, or a file with one a line.
        blocklist: String = r#""builtin""#,
        /// What a new hash costs.
        argon2: Argon2 = "{}",
    }
}

words! {
    /// `passwords.require`
    pub(crate) enum PasswordKind {
        /// Upper-case letters.
        Uppercase = "uppercase",
        /// Lower-case letters.
        Lowercase = "lowercase",
        /// Digits.
        Digit = "digit",
        /// Anything else.
        Symbol = "symbol",
    } later []
}

section! {
    /// `[passwords].argon2`
    pub(crate) struct Argon2 {
        /// Memory.
        memory: Size<{ 8 * KIB }, { 4096 * MIB }> = r#""64MiB""#,
        /// Passes over it.
        iterations: Count<1, 64> = "3",
        /// Lanes.
        parallelism: Count<1, 64> = "4",
    }
}

section! {
    /// `[accounts]`
    pub(crate) struct Accounts {
        /// Whether people make their own accounts.
        registration: bool = "false",
        /// The role of an account that is made without one.
        default_role: String = r#""viewer""#,
    }
}

section! {
    /// `[mail]`
    pub(crate) struct Mail {
        /// The server that takes mail: `smtps://user:${SMTP_PASSWORD}@mail.example.com` for TLS, `smtp://host:587?tls=required` for
        /// STARTTLS, `smtp://127.0.0.1:25` in the clear.
        smtp: Required<Secret> = "",
        /// The sender: `"no-reply@example.com"`, or with a name before it in angle brackets.
        from: Required<String> = "",
    }
}

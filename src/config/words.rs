//! The types of words: [`words!`] declares one, with how each of its values is written.

use super::report::Finding;
use super::schema::{did_you_mean, quoted_list};

/// Files that `word` is none of `words`; those of `later` are not available yet.
pub(crate) fn refuse_word(name: &str, word: &str, words: &[&str], later: &[&str]) -> Finding {
    if later.contains(&word) {
        return Finding::new(format!("`{name} = \"{word}\"` is not available yet")).help(format!("take {}", one_of(words)));
    }
    let all: Vec<_> = words.iter().chain(later).copied().collect();
    let finding = Finding::new(format!("`{name}` is {}, not `{word}`", one_of(&all)));
    if super::schema::nearest(word, &all).is_some() { finding.help(did_you_mean(word, &all)) } else { finding }
}

fn one_of(words: &[&str]) -> String {
    if words.len() == 1 { quoted_list(words) } else { format!("one of {}", quoted_list(words)) }
}

/// Declares a type of words: each variant with how it is written, then those that are not available yet.
macro_rules! words {
    ($(#[doc = $doc:literal])+ $vis:vis enum $type:ident { $( $(#[doc = $about:literal])+ $variant:ident = $word:literal ),+ $(,)? } later [ $($later:literal),* ]) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $type { $( $(#[doc = $about])+ $variant ),+ }

        $crate::config::words::words!(@read $type { $($variant = $word),+ } later [ $($later),* ]);
    };
    (@read $type:ty { $( $variant:ident = $word:literal ),+ } later [ $($later:literal),* ]) => {
        impl $crate::config::schema::FromNode for $type {
            const TAKES: &'static str = concat!("one of" $(, " \"", $word, "\"")+);
            const LATER_WORDS: &'static [&'static str] = &[$($later),*];

            fn schema() -> serde_json::Value {
                $crate::config::json_schema::words(&[$($word),+])
            }

            fn read(
                node: &$crate::config::document::Node,
                report: &mut $crate::config::report::Report,
            ) -> Option<Self> {
                $crate::config::values::parsed(node, Self::TAKES, report, |text| match text {
                    $( $word => Ok(Self::$variant), )+
                    _ => Err($crate::config::words::refuse_word(&node.name, text, &[$($word),+], &[$($later),*])),
                })
            }
        }
    };
}
pub(crate) use words;

//! Opaque tokens: a payload, bound to what it belongs to, with a checksum against accidents and curiosity.
//!
//! Not a secret: a token shows nothing that its holder may not know, and a forged one only names another place to
//! begin.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What a token is for; one kind is never taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Page,
    Resume,
}

/// The longest token that is looked at, in characters.
const TOKEN_MAX: usize = 1_024;
const VERSION: u8 = 1;
const CHECK_BYTES: usize = 8;

pub(crate) fn seal(kind: Kind, binding: u64, payload: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(payload.len().saturating_add(1 + CHECK_BYTES));
    bytes.push(VERSION);
    bytes.extend_from_slice(payload);
    let check = check(kind, binding, &bytes);
    bytes.extend_from_slice(&check);
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn open(kind: Kind, binding: u64, token: &str) -> Option<Vec<u8>> {
    if token.len() > TOKEN_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (body, found) = bytes.split_last_chunk::<CHECK_BYTES>()?;
    let (version, payload) = body.split_first()?;
    (*version == VERSION && check(kind, binding, body) == *found).then(|| payload.to_vec())
}

fn check(kind: Kind, binding: u64, body: &[u8]) -> [u8; CHECK_BYTES] {
    let kind: &[u8] = match kind {
        Kind::Page => b"page",
        Kind::Resume => b"resume",
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update(kind).update(&[0]).update(&binding.to_be_bytes()).update(body);
    first_eight(&hasher.finalize()).to_be_bytes()
}

pub(crate) fn first_eight(hash: &blake3::Hash) -> u64 {
    hash.as_bytes().first_chunk().copied().map_or(0, u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    proptest! {
        #[test]
        fn a_token_opens_where_it_belongs_and_nowhere_else(
            payload in vec(any::<u8>(), 0..200), binding in any::<u64>(), other in any::<u64>(),
        ) {
            let token = seal(Kind::Page, binding, &payload);
            prop_assert_eq!(open(Kind::Page, binding, &token), Some(payload));
            prop_assert_eq!(open(Kind::Resume, binding, &token), None);
            prop_assume!(other != binding);
            prop_assert_eq!(open(Kind::Page, other, &token), None);
        }

        #[test]
        fn a_harmed_token_is_refused(
            payload in vec(any::<u8>(), 0..60), at in any::<Index>(), put in "[A-Za-z0-9_=+/-]{0,3}", cut in any::<bool>(),
        ) {
            let token = seal(Kind::Resume, 7, &payload);
            let at = at.index(token.len());
            let rest = if cut { "" } else { &token[at + 1..] };
            let harmed = format!("{}{put}{rest}", &token[..at]);
            prop_assume!(harmed != token);
            prop_assert_eq!(open(Kind::Resume, 7, &harmed), None);
        }

        #[test]
        fn a_text_of_anybody_is_no_token(text in ".{0,300}", letters in "[A-Za-z0-9_-]{0,300}") {
            prop_assert_eq!(open(Kind::Page, 7, &text), None);
            prop_assert_eq!(open(Kind::Page, 7, &letters), None);
        }
    }
}

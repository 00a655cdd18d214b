//! Endpoints' secrets at rest: sealed before anything is decided, opened only to sign, or to show a new one once.
//!
//! | what | how |
//! |---|---|
//! | cipher | XChaCha20-Poly1305; workspace and endpoint are bound to it as associated data |
//! | its key | BLAKE3's `derive_key` of a key of the file |
//! | its nonce | 24 bytes of a keyed BLAKE3 over workspace, endpoint and secret: equal ones stay equal |
//! | the key's id | 16 hexadecimal digits of BLAKE3's `derive_key`; it stands beside what was sealed |
//!
//! A file of keys has one a line, 32 bytes in base64; empty lines and those after `#` are passed over. The first
//! seals, every one opens.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use kernel::{EndpointId, WorkspaceId};
use notify::{GivenSecret, SealedSecret};
use zeroize::Zeroizing;

/// How many keys a file may have.
pub const KEYS_MAX: usize = 16;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const ID_BYTES: usize = 8;

/// A secret in clear. It is wiped from memory when it is dropped, and never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, to sign with or to seal, and for who has made it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The keys of an installation: one seals, all open.
#[derive(Clone, Default)]
pub struct Keys(Arc<[Key]>);

struct Key {
    id: String,
    cipher: XChaCha20Poly1305,
    nonces: Zeroizing<[u8; KEY_BYTES]>,
}

/// Why a text is no file of keys. No key is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// A line can't be read.
    #[error("line {line}: a key is 32 bytes in base64")]
    Malformed {
        /// From 1.
        line: usize,
    },
    /// The same key stands there twice.
    #[error("line {line}: this key stands there already")]
    Twice {
        /// From 1.
        line: usize,
    },
    /// There is none.
    #[error("it holds no key: one a line, 32 bytes in base64")]
    Empty,
    /// There are too many.
    #[error("it holds more than {KEYS_MAX} keys")]
    TooMany,
    /// The host gives no randomness.
    #[error("the host gives no randomness")]
    NoRandomness,
}

/// Why a secret can't be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unopened {
    /// Its key is not among those of this process.
    #[error("a secret's key is missing")]
    KeyMissing,
    /// It was changed, or belongs to another endpoint.
    #[error("a sealed secret is damaged")]
    Damaged,
}

impl Unopened {
    /// One word for it, as deliveries show it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::KeyMissing => "secret_key_missing",
            Self::Damaged => "secret_damaged",
        }
    }
}

impl Keys {
    /// No keys: for who folds a log and neither takes secrets nor sends.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads the text of a file of keys.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let mut keys: Vec<Key> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line_number = index.saturating_add(1);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = Key::parse(line).ok_or(KeysError::Malformed { line: line_number })?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(KeysError::Twice { line: line_number });
            }
            if keys.len() >= KEYS_MAX {
                return Err(KeysError::TooMany);
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(KeysError::Empty);
        }
        Ok(Self(keys.into()))
    }

    /// The text of a new file, with a new key.
    pub fn generate() -> Result<Zeroizing<String>, KeysError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        random(&mut *key).map_err(|NoRandomness| KeysError::NoRandomness)?;
        let key = Zeroizing::new(STANDARD.encode(*key));
        Ok(Zeroizing::new(format!(
            "# Switchyard seals webhooks' secrets with the first key; every key opens what it has sealed.\n{}\n",
            *key
        )))
    }

    /// The ids of the keys, the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }

    /// Seals a secret with the first key. `None`: there is no key.
    pub(crate) fn seal(
        &self,
        workspace: &WorkspaceId,
        endpoint: &EndpointId,
        secret: &str,
    ) -> Option<SealedSecret> {
        self.0.first()?.seal(workspace, endpoint, secret)
    }

    /// Seals a secret with every key, so that it is known again under each. `None`: there is no key.
    pub(crate) fn seal_given(
        &self,
        workspace: &WorkspaceId,
        endpoint: &EndpointId,
        secret: &str,
    ) -> Option<GivenSecret> {
        let mut all = self.0.iter().map(|key| key.seal(workspace, endpoint, secret));
        let sealed = all.next()??;
        Some(GivenSecret { sealed, elsewhere: all.collect::<Option<_>>()? })
    }

    /// Opens a secret.
    pub(crate) fn open(
        &self,
        workspace: &WorkspaceId,
        endpoint: &EndpointId,
        sealed: &SealedSecret,
    ) -> Result<Secret, Unopened> {
        let key = self.0.iter().find(|key| key.id == sealed.key_id);
        let key = key.ok_or(Unopened::KeyMissing)?;
        key.open(workspace, endpoint, &sealed.sealed).ok_or(Unopened::Damaged)
    }

    /// Whether a secret is sealed with another key than the one in use.
    pub(crate) fn is_old(&self, sealed: &SealedSecret) -> bool {
        self.0.first().is_some_and(|key| key.id != sealed.key_id)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl Key {
    fn parse(line: &str) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(line).ok()?);
        if bytes.len() != KEY_BYTES {
            return None;
        }
        let derived = |purpose| Zeroizing::new(blake3::derive_key(purpose, &bytes));
        let id = derived("switchyard webhook secret key id v1");
        let key = derived("switchyard webhook secret seal v1");
        Some(Self {
            id: id
                .iter()
                .take(ID_BYTES)
                .fold(String::new(), |id, byte| id + &format!("{byte:02x}")),
            cipher: XChaCha20Poly1305::new((&*key).into()),
            nonces: derived("switchyard webhook secret nonce v1"),
        })
    }

    fn seal(
        &self,
        workspace: &WorkspaceId,
        endpoint: &EndpointId,
        secret: &str,
    ) -> Option<SealedSecret> {
        let place = place(workspace, endpoint);
        let mut hasher = blake3::Hasher::new_keyed(&self.nonces);
        // The place ends where its lengths say, so no two pairs of place and secret give the same bytes.
        hasher.update(&place).update(secret.as_bytes());
        let mut nonce = [0; NONCE_BYTES];
        hasher.finalize_xof().fill(&mut nonce);
        let payload = Payload { msg: secret.as_bytes(), aad: &place };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        let sealed = [nonce.as_slice(), &sealed].concat();
        Some(SealedSecret { key_id: self.id.clone(), sealed })
    }

    fn open(
        &self,
        workspace: &WorkspaceId,
        endpoint: &EndpointId,
        sealed: &[u8],
    ) -> Option<Secret> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: &place(workspace, endpoint) };
        let opened = self.cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
        String::from_utf8(opened).ok().map(Secret::new)
    }
}

/// What a secret is bound to: both ids, each behind its length.
fn place(workspace: &WorkspaceId, endpoint: &EndpointId) -> Vec<u8> {
    let mut place = Vec::new();
    for id in [workspace.as_str(), endpoint.as_str()] {
        let length = u64::try_from(id.len()).unwrap_or(u64::MAX);
        place.extend_from_slice(&length.to_be_bytes());
        place.extend_from_slice(id.as_bytes());
    }
    place
}

/// Fills bytes with randomness.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(bytes).map_err(|_| NoRandomness)
}

/// The host gives no randomness.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the host gives no randomness")]
pub(crate) struct NoRandomness;

#[cfg(test)]
mod tests;

//! The state hash: whether two folds of one log came to the same.

use serde::Serialize;

use crate::meta::Meta;

/// BLAKE3 over the encoded state and the runtime's own. Both are ordered collections, so the encoding is the same on every host.
pub(crate) fn state_hash<T: Serialize>(meta: &Meta, state: &T) -> [u8; 32] {
    let hasher = blake3::Hasher::new();
    match postcard::to_io(&(meta, state), hasher) {
        Ok(hasher) => *hasher.finalize().as_bytes(),
        Err(error) => {
            // Only a type that can't be encoded at all gets here, in every build and test alike.
            tracing::error!(%error, "the state can't be hashed");
            [0; 32]
        }
    }
}

//! The state hash: whether two folds of one log came to the same.

use serde::Serialize;

use crate::meta::Meta;

/// A state that has no encoding, and so no hash. It can't be compared, on purpose: two states without a hash are not
/// known to be equal.
#[derive(Debug, thiserror::Error)]
#[error("the state can't be hashed")]
pub struct Unhashable(#[source] postcard::Error);

/// BLAKE3 over the encoded state and the runtime's own. Both are ordered collections, so the encoding is the same on
/// every host.
pub(crate) fn state_hash<T: Serialize>(meta: &Meta, state: &T) -> Result<[u8; 32], Unhashable> {
    let hasher = blake3::Hasher::new();
    let hasher = postcard::to_io(&(meta, state), hasher).map_err(Unhashable)?;
    Ok(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use serde::Serializer;
    use serde::ser::Error as _;

    use super::*;

    /// Has no encoding.
    struct Opaque;

    impl Serialize for Opaque {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("no form"))
        }
    }

    #[test]
    fn a_state_without_an_encoding_has_no_hash() {
        let meta = Meta::default();
        assert!(state_hash(&meta, &Opaque).is_err());
        assert_eq!(state_hash(&meta, &1_u8).unwrap(), state_hash(&meta, &1_u8).unwrap());
        assert_ne!(state_hash(&meta, &1_u8).unwrap(), state_hash(&meta, &2_u8).unwrap());
    }
}

//! A fold's state as the bytes of a snapshot: encoded and compressed at once, so that it is never there as a whole
//! beside itself.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Quick rather than small: what a state repeats is found at any level.
const COMPRESSION: i32 = 1;

/// How much is compressed at once, in bytes: the encoder hands over a field at a time.
const BUFFER_BYTES: usize = 128 * 1024;

/// Why a state can't be saved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unencodable {
    /// It has no encoding.
    #[error("{0}")]
    Encoding(#[from] postcard::Error),
    /// It can't be compressed.
    #[error("{0}")]
    Compression(#[from] io::Error),
}

pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>, Unencodable> {
    let compressing = zstd::Encoder::new(Vec::new(), COMPRESSION)?;
    let mut writer = postcard::to_io(value, BufWriter::with_capacity(BUFFER_BYTES, compressing))?;
    writer.flush()?;
    let compressing = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(compressing.finish()?)
}

/// None if it is no such value.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let bytes = zstd::decode_all(bytes).ok()?;
    kernel::sharing_ids(|| postcard::from_bytes(&bytes)).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    type Any = (u64, Vec<String>, BTreeMap<String, Vec<u8>>, Option<Box<[u64]>>);

    proptest! {
        /// Also where the compression holds: it is a value, or none. A length that isn't there is not believed.
        #[test]
        fn bytes_of_anybody_are_a_value_or_none(bytes in vec(any::<u8>(), 0..300), lengths in vec(any::<u64>(), 0..4)) {
            drop(decode::<Any>(&bytes));
            let mut said: Vec<u8> = lengths.iter().flat_map(|it| postcard::to_stdvec(it).unwrap()).collect();
            said.extend(bytes);
            drop(decode::<Any>(&zstd::encode_all(&*said, COMPRESSION).unwrap()));
        }
    }

    #[test]
    fn what_is_saved_comes_back_and_is_smaller() {
        let texts = vec!["over and over again".to_owned(); 10_000];
        let bytes = encode(&texts).unwrap();
        assert!(bytes.len() < 10_000);
        assert_eq!(decode::<Vec<String>>(&bytes), Some(texts));
        assert_eq!(decode::<Vec<String>>(&bytes[..bytes.len() / 2]), None);
        assert_eq!(decode::<Vec<String>>(b"no snapshot"), None);
    }
}

//! Values that are kept for long and read seldom.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A value kept as its encoding: one allocation, and a fraction of the memory that its parts would take by themselves. Equal values
/// have equal encodings. Cheap to clone; each [`get`](Self::get) decodes anew.
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Packed<T> {
    bytes: Arc<[u8]>,
    #[serde(skip)]
    of: PhantomData<fn() -> T>,
}

/// What most values take when encoded: one allocation to begin with.
const USUAL_BYTES: usize = 512;

impl<T: DeserializeOwned> Packed<T> {
    /// Packs a value.
    pub fn new(value: &T) -> Self
    where
        T: Serialize,
    {
        Self::of(value)
    }

    /// Packs what has the encoding of a `T` without being one: the same fields, borrowed.
    #[expect(clippy::expect_used, reason = "only a type that has no encoding at all fails, always")]
    pub fn of(value: &impl Serialize) -> Self {
        let bytes = postcard::to_extend(value, Vec::with_capacity(USUAL_BYTES))
            .expect("a type of the domain has an encoding");
        Self { bytes: bytes.into(), of: PhantomData }
    }

    /// The value. None only if another build packed it, whose snapshots this one sets aside.
    pub fn get(&self) -> Option<T> {
        postcard::from_bytes(&self.bytes).ok()
    }
}

impl<T> Clone for Packed<T> {
    fn clone(&self) -> Self {
        Self { bytes: Arc::clone(&self.bytes), of: PhantomData }
    }
}

impl<T> PartialEq for Packed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> fmt::Debug for Packed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({} bytes)", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use crate::{AttributeValue, Attributes, Timestamp};

    use super::*;

    #[test]
    fn what_is_packed_comes_back() {
        let values = [
            AttributeValue::Text("ä".into()),
            AttributeValue::Integer(-7),
            AttributeValue::Number(0.1 + 0.2),
            AttributeValue::Boolean(true),
            AttributeValue::Instant(Timestamp::from_millis(-1)),
            AttributeValue::Texts(vec!["a".into(), String::new()]),
        ];
        let named = values.into_iter().enumerate().map(|(at, value)| (format!("name-{at}"), value));
        let attributes: Attributes = named.collect();
        let packed = Packed::new(&attributes);
        assert_eq!(packed.get(), Some(attributes.clone()));
        assert_eq!(packed, Packed::new(&attributes));
        assert_ne!(packed, Packed::new(&Attributes::new()));
    }
}

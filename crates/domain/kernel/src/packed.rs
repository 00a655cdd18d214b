//! Values that are kept for long and read seldom.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{AttributeValue, Attributes};

/// Values up to this size are encoded without a buffer of their own.
const SMALL_BYTES: usize = 2048;

/// A value kept as its encoding: one allocation, and a fraction of the memory that its parts would take by themselves.
/// Equal values have equal encodings. Cheap to clone; each [`get`](Self::get) decodes anew.
pub struct Packed<T> {
    bytes: Arc<[u8]>,
    of: PhantomData<fn() -> T>,
}

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
        let mut small = [0; SMALL_BYTES];
        let bytes = match postcard::to_slice(value, &mut small) {
            Ok(bytes) => Arc::from(&*bytes),
            Err(_) => {
                postcard::to_stdvec(value).expect("a type of the domain has an encoding").into()
            }
        };
        Self { bytes, of: PhantomData }
    }

    /// How many bytes its encoding has.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The value. None only if another build packed it, whose snapshots this one sets aside.
    pub fn get(&self) -> Option<T> {
        postcard::from_bytes(&self.bytes).ok()
    }
}

impl Packed<Attributes> {
    /// Packs attributes without making a map of them. None if the names don't stand in their order, each once.
    pub fn of_entries(entries: &[(&str, AttributeValue<&str>)]) -> Option<Self> {
        entries.is_sorted_by(|(one, _), (next, _)| one < next).then(|| Self::of(&Map(entries)))
    }

    /// The attributes in the order of their names, their texts not copied.
    pub fn entries(&self) -> BTreeMap<&str, AttributeValue<&str>> {
        postcard::from_bytes(&self.bytes).unwrap_or_default()
    }
}

impl Default for Packed<Attributes> {
    fn default() -> Self {
        Self::of(&Map(&[]))
    }
}

/// Entries in the encoding of a map.
struct Map<'a>(&'a [(&'a str, AttributeValue<&'a str>)]);

impl Serialize for Map<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// As bytes at once: one by one, as a list of them would go, takes many times longer.
impl<T> Serialize for Packed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.bytes)
    }
}

impl<'de, T> Deserialize<'de> for Packed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserializer.deserialize_bytes(Encoding)?;
        Ok(Self { bytes, of: PhantomData })
    }
}

/// Reads an encoding.
struct Encoding;

impl Visitor<'_> for Encoding {
    type Value = Arc<[u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an encoded value")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Arc<[u8]>, E> {
        Ok(bytes.into())
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
    use crate::Timestamp;

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
        assert_eq!(Packed::new(&packed).get(), Some(packed.clone()));
        assert_eq!(packed, Packed::new(&attributes));
        assert_ne!(packed, Packed::new(&Attributes::new()));
    }

    #[test]
    fn a_large_value_is_packed_like_a_small_one() {
        let large = "x".repeat(2 * SMALL_BYTES);
        assert_eq!(Packed::new(&large).get(), Some(large));
    }

    #[test]
    fn entries_are_packed_like_the_map_that_they_make() {
        let entries = [
            ("age", AttributeValue::Integer(7)),
            ("kind", AttributeValue::Text("ä")),
            ("names", AttributeValue::Texts(vec!["a", ""])),
        ];
        let map = Attributes::from([
            ("age".into(), AttributeValue::Integer(7)),
            ("kind".into(), AttributeValue::Text("ä".into())),
            ("names".into(), AttributeValue::Texts(vec!["a".into(), String::new()])),
        ]);
        let packed = Packed::new(&map);
        assert_eq!(packed.entries().into_iter().collect::<Vec<_>>(), entries);
        assert_eq!(Packed::of_entries(&entries), Some(packed));
        assert_eq!(Packed::of_entries(&[]), Some(Packed::new(&Attributes::new())));
        let [first, second, third] = entries;
        assert_eq!(Packed::of_entries(&[second.clone(), first]), None);
        assert_eq!(Packed::of_entries(&[third.clone(), third]), None);
    }
}

//! Reading large maps and sets back: they were written in their order, so they are built in one pass, where serde's own
//! way looks for each entry's place.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};

/// For `#[serde(deserialize_with)]` of a map whose bytes are those of a sequence of pairs, as postcard's are.
pub fn map<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
}

/// The same for a set.
pub fn set<'de, D, T>(deserializer: D) -> Result<BTreeSet<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Ord,
{
    Ok(Vec::<T>::deserialize(deserializer)?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Saved {
        #[serde(deserialize_with = "map")]
        numbers: BTreeMap<String, u32>,
        #[serde(deserialize_with = "set")]
        names: BTreeSet<(u8, String)>,
    }

    #[test]
    fn what_is_saved_comes_back() {
        for count in [0, 1, 1000] {
            let saved = Saved {
                numbers: (0..count).map(|it| (it.to_string(), it)).collect(),
                names: (0..count).map(|it| (u8::from(it > 7), it.to_string())).collect(),
            };
            let bytes = postcard::to_stdvec(&saved).unwrap();
            assert_eq!(postcard::from_bytes::<Saved>(&bytes).unwrap(), saved);
        }
    }
}

//! The only module that names sled: snapshots as chunks and manifests in one tree.
//!
//! ```text
//! m/<service>/<partition>/<generation>          manifest: what, which chunks, and a hash of itself
//! c/<service>/<partition>/<generation>/<chunk>  at most 1 MiB of the state
//! ```

use std::path::Path;

use bytes::{Bytes, BytesMut};

use crate::{GENERATIONS, Snapshot, SnapshotKey};

/// The longest chunk, in bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// How much memory sled may use as its cache.
const CACHE_BYTES: u64 = 32 << 20;

const HASH_BYTES: usize = 32;

/// The open database.
pub(super) struct Database(sled::Db);

impl Database {
    pub(super) fn open(place: &Path) -> Result<Self, String> {
        let database = sled::Config::new()
            .path(place)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .open()
            .map_err(|error| error.to_string())?;
        Ok(Self(database))
    }

    /// Writes the chunks, then the manifest, each flushed; then forgets what is older than the last generations.
    pub(super) fn save(&self, key: &SnapshotKey, snapshot: &Snapshot) -> Result<(), String> {
        let generations = self.generations(key)?;
        let generation = generations.last().map_or(1, |last| last.saturating_add(1));
        let mut manifest = Manifest::of(snapshot);
        for (number, chunk) in (0_u32..).zip(snapshot.bytes.chunks(CHUNK_BYTES)) {
            self.insert(chunk_key(key, generation, number), chunk)?;
            manifest.chunks.push(*blake3::hash(chunk).as_bytes());
        }
        self.flush()?;
        self.insert(manifest_key(key, generation), &manifest.encode())?;
        self.flush()?;
        let keep = GENERATIONS.saturating_sub(1);
        for old in generations.iter().rev().skip(keep) {
            self.forget(key, *old)?;
        }
        Ok(())
    }

    /// The newest generation that is whole; those that aren't are forgotten.
    pub(super) fn load(&self, key: &SnapshotKey) -> Result<Option<Snapshot>, String> {
        for generation in self.generations(key)?.into_iter().rev() {
            if let Some(snapshot) = self.read(key, generation)? {
                return Ok(Some(snapshot));
            }
            tracing::warn!(%key, generation, "a snapshot is damaged and was discarded");
            self.forget(key, generation)?;
        }
        Ok(None)
    }

    /// The newest generation of a record before `seq` that is whole.
    pub(super) fn before(&self, key: &SnapshotKey, seq: u64) -> Result<Option<Snapshot>, String> {
        for generation in self.generations(key)?.into_iter().rev() {
            let stored = self.get(&manifest_key(key, generation))?;
            let manifest = stored.as_deref().and_then(Manifest::decode);
            if manifest.is_some_and(|manifest| manifest.seq < seq)
                && let Some(snapshot) = self.read(key, generation)?
            {
                return Ok(Some(snapshot));
            }
        }
        Ok(None)
    }

    pub(super) fn discard(&self, key: &SnapshotKey, seq: u64) -> Result<(), String> {
        for generation in self.generations(key)? {
            let manifest = self.get(&manifest_key(key, generation))?;
            let manifest = manifest.as_deref().and_then(Manifest::decode);
            if manifest.is_none_or(|manifest| manifest.seq == seq) {
                self.forget(key, generation)?;
            }
        }
        self.flush()
    }

    /// Flushes and closes.
    pub(super) fn close(self) {
        if let Err(error) = self.flush() {
            tracing::warn!(error, "the snapshot store could not be flushed");
            std::mem::forget(self);
        }
    }

    fn read(&self, key: &SnapshotKey, generation: u64) -> Result<Option<Snapshot>, String> {
        let Some(stored) = self.get(&manifest_key(key, generation))? else { return Ok(None) };
        let Some(manifest) = Manifest::decode(&stored) else { return Ok(None) };
        let mut bytes = BytesMut::new();
        for (number, hash) in (0_u32..).zip(&manifest.chunks) {
            match self.get(&chunk_key(key, generation, number))? {
                Some(chunk) if blake3::hash(&chunk) == *hash => bytes.extend_from_slice(&chunk),
                Some(_) | None => return Ok(None),
            }
        }
        Ok(manifest.with(bytes.freeze()))
    }

    /// The manifest goes first, so that a stop in between leaves chunks without one, never the reverse.
    fn forget(&self, key: &SnapshotKey, generation: u64) -> Result<(), String> {
        self.remove(&manifest_key(key, generation))?;
        let prefix = generation_prefix(b'c', key, generation);
        for chunk in self.0.scan_prefix(prefix).keys() {
            self.remove(&chunk.map_err(|error| error.to_string())?)?;
        }
        Ok(())
    }

    /// The generations that have a manifest, oldest first.
    fn generations(&self, key: &SnapshotKey) -> Result<Vec<u64>, String> {
        let prefix = key_prefix(b'm', key);
        let mut generations = Vec::new();
        for stored in self.0.scan_prefix(&prefix).keys() {
            let stored = stored.map_err(|error| error.to_string())?;
            let number = stored.get(prefix.len()..).and_then(|rest| rest.try_into().ok());
            generations.extend(number.map(u64::from_be_bytes));
        }
        Ok(generations)
    }

    fn insert(&self, key: Vec<u8>, value: &[u8]) -> Result<(), String> {
        self.0.insert(key, value).map(drop).map_err(|error| error.to_string())
    }

    fn remove(&self, key: &[u8]) -> Result<(), String> {
        self.0.remove(key).map(drop).map_err(|error| error.to_string())
    }

    fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, String> {
        self.0.get(key).map_err(|error| error.to_string())
    }

    fn flush(&self) -> Result<(), String> {
        self.0.flush().map(drop).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
impl Database {
    pub(super) fn generation_count(&self, key: &SnapshotKey) -> usize {
        self.generations(key).unwrap().len()
    }

    /// Changes one byte of the newest generation's last chunk.
    pub(super) fn damage(&self, key: &SnapshotKey) {
        let (stored, chunk) = self.0.scan_prefix(key_prefix(b'c', key)).last().unwrap().unwrap();
        let mut chunk = chunk.to_vec();
        chunk[1000] ^= 1;
        self.insert(stored.to_vec(), &chunk).unwrap();
    }
}

fn key_prefix(kind: u8, key: &SnapshotKey) -> Vec<u8> {
    let mut prefix = vec![kind, b'/'];
    prefix.extend_from_slice(key.service.as_bytes());
    prefix.push(b'/');
    prefix.extend_from_slice(&key.partition.to_be_bytes());
    prefix.push(b'/');
    prefix
}

fn generation_prefix(kind: u8, key: &SnapshotKey, generation: u64) -> Vec<u8> {
    let mut prefix = key_prefix(kind, key);
    prefix.extend_from_slice(&generation.to_be_bytes());
    prefix
}

fn manifest_key(key: &SnapshotKey, generation: u64) -> Vec<u8> {
    generation_prefix(b'm', key, generation)
}

fn chunk_key(key: &SnapshotKey, generation: u64, number: u32) -> Vec<u8> {
    let mut chunk = generation_prefix(b'c', key, generation);
    chunk.extend_from_slice(&number.to_be_bytes());
    chunk
}

/// What a snapshot consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Manifest {
    version: u32,
    log_id: [u8; 16],
    seq: u64,
    chain: [u8; 16],
    length: u64,
    chunks: Vec<[u8; HASH_BYTES]>,
}

impl Manifest {
    /// Without its chunks yet.
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            version: snapshot.version,
            log_id: snapshot.log_id,
            seq: snapshot.seq,
            chain: snapshot.chain,
            length: u64::try_from(snapshot.bytes.len()).unwrap_or(u64::MAX),
            chunks: Vec::new(),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(&self.log_id);
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.chain);
        bytes.extend_from_slice(&self.length.to_be_bytes());
        for chunk in &self.chunks {
            bytes.extend_from_slice(chunk);
        }
        let own = *blake3::hash(&bytes).as_bytes();
        bytes.extend_from_slice(&own);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, own) = bytes.split_last_chunk::<HASH_BYTES>()?;
        if blake3::hash(body) != *own {
            return None;
        }
        let (version, rest) = body.split_first_chunk()?;
        let (log_id, rest) = rest.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let (chain, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (chunks, []) = rest.as_chunks::<HASH_BYTES>() else { return None };
        Some(Self {
            version: u32::from_be_bytes(*version),
            log_id: *log_id,
            seq: u64::from_be_bytes(*seq),
            chain: *chain,
            length: u64::from_be_bytes(*length),
            chunks: chunks.to_vec(),
        })
    }

    fn with(self, bytes: Bytes) -> Option<Snapshot> {
        let Self { version, log_id, seq, chain, length, chunks: _ } = self;
        let whole = u64::try_from(bytes.len()) == Ok(length);
        whole.then_some(Snapshot { version, log_id, seq, chain, bytes })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    prop_compose! {
        fn manifest()(
            version in any::<u32>(), log_id in any::<[u8; 16]>(), seq in any::<u64>(), chain in any::<[u8; 16]>(),
            length in any::<u64>(), chunks in vec(any::<[u8; HASH_BYTES]>(), 0..5),
        ) -> Manifest {
            Manifest { version, log_id, seq, chain, length, chunks }
        }
    }

    proptest! {
        #[test]
        fn a_manifest_survives_its_form(manifest in manifest()) {
            prop_assert_eq!(Manifest::decode(&manifest.encode()), Some(manifest));
        }

        #[test]
        fn a_harmed_manifest_is_none(
            manifest in manifest(), at in any::<Index>(), bit in 0..8_u8, cut in proptest::option::of(any::<Index>()),
        ) {
            let mut bytes = manifest.encode();
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            } else {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            prop_assert_eq!(Manifest::decode(&bytes), None);
        }

        /// Of whatever length, with a hash that holds or without: it is a manifest of just these bytes, or none.
        #[test]
        fn bytes_of_anybody_are_a_manifest_or_none(mut bytes in vec(any::<u8>(), 0..300), hashed in any::<bool>()) {
            if hashed {
                let own = *blake3::hash(&bytes).as_bytes();
                bytes.extend(own);
            }
            if let Some(manifest) = Manifest::decode(&bytes) {
                prop_assert_eq!(manifest.encode(), bytes);
                // It says a length; only one that its chunks have is believed.
                let short = Bytes::from_static(b"x");
                prop_assert!(manifest.length == 1 || manifest.with(short).is_none());
            }
        }
    }
}

//! Who is next: lanes that take turns. Pure: no lock, no clock, no channel.
//!
//! What comes by one key waits in one lane, first in, first out. The lanes take turns: each lane with something waiting
//! is served once before any is served a second time. So a lane of thousands delays another by one item, not by
//! thousands.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// In all lanes together.
    pub(crate) all: usize,
    /// In one lane.
    pub(crate) lane: usize,
}

/// Which bound was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// All lanes together have what they may have, and no other lane is longer.
    All,
    /// The lane has what one may have.
    Lane,
}

/// Lanes that take turns.
#[derive(Debug)]
pub(crate) struct Turns<K, T> {
    /// None is empty.
    lanes: BTreeMap<K, VecDeque<T>>,
    /// The lanes in the order of their turns, each once.
    rota: VecDeque<K>,
    /// The lanes by their lengths.
    lengths: BTreeSet<(usize, K)>,
    waiting: usize,
    bounds: Bounds,
}

impl<K: Ord + Clone, T> Turns<K, T> {
    /// Nothing waits.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            lanes: BTreeMap::new(),
            rota: VecDeque::new(),
            lengths: BTreeSet::new(),
            waiting: 0,
            bounds,
        }
    }

    /// How much waits in all.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Lets something wait at the end of its lane, or gives it back with the bound that was reached.
    ///
    /// When all lanes together are full, a lane that would still be shorter than the longest displaces that one's
    /// newest item, which is returned. So however many lanes fill the queue, a lane that has little waiting is always
    /// let in.
    pub(crate) fn push(&mut self, key: K, item: T) -> Result<Option<T>, (Bound, T)> {
        let has = self.lanes.get(&key).map_or(0, VecDeque::len);
        if has >= self.bounds.lane {
            return Err((Bound::Lane, item));
        }
        let mut displaced = None;
        if self.waiting >= self.bounds.all {
            let longest = self.lengths.last().filter(|(length, _)| *length > has + 1);
            let Some(longest) = longest.map(|(_, key)| key.clone()) else {
                return Err((Bound::All, item));
            };
            displaced = self.take(&longest, VecDeque::pop_back);
        }
        if has == 0 {
            self.rota.push_back(key.clone());
        }
        self.lengths.remove(&(has, key.clone()));
        self.lengths.insert((has + 1, key.clone()));
        self.lanes.entry(key).or_default().push_back(item);
        self.waiting += 1;
        Ok(displaced)
    }

    /// What is next.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let key = self.rota.pop_front()?;
        let item = self.take(&key, VecDeque::pop_front);
        if self.lanes.contains_key(&key) {
            self.rota.push_back(key);
        }
        item
    }

    /// Takes all that waits, in no order.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        self.rota.clear();
        self.lengths.clear();
        self.waiting = 0;
        std::mem::take(&mut self.lanes).into_values().flatten().collect()
    }

    /// Takes an item out of a lane. A lane that is empty then is gone from everything but the rota.
    fn take(&mut self, key: &K, which: fn(&mut VecDeque<T>) -> Option<T>) -> Option<T> {
        let lane = self.lanes.get_mut(key)?;
        let had = lane.len();
        let item = which(lane)?;
        self.waiting -= 1;
        self.lengths.remove(&(had, key.clone()));
        if had == 1 {
            self.lanes.remove(key);
        } else {
            self.lengths.insert((had - 1, key.clone()));
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests;

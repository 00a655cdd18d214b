//! Who has led one log, as the log says it, and what instances have shown of its state.

use wire::events::v1::{Commit, note::Kind};

/// What a log's records say of its leaders.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// One for each record; the first is record 1.
    written: Vec<Written>,
    /// The epoch and the writer of the last claim.
    leader: Option<(u64, Vec<u8>)>,
    /// The epoch whose leader gave the log up by itself.
    given_up: u64,
    /// Hashes of the state that instances have shown.
    pub(crate) shown: Vec<Shown>,
}

/// A record.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Written {
    /// When it was appended, in milliseconds of true time.
    pub(crate) at_ms: u64,
    epoch: u64,
    /// Whether it says anything but who leads.
    speaks: bool,
}

/// A state that an instance has shown.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) seq: u64,
    pub(crate) hash: [u8; 32],
    pub(crate) by: String,
}

/// A log that got another leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandOver {
    /// The leader before had given it up for this.
    Planned,
    /// The leader before is dead, cut off, or doesn't know yet.
    TakenOver,
}

impl HandOver {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::TakenOver => "taken over",
        }
    }
}

impl Ledger {
    /// Takes note of the next record; says whether it makes another writer the leader.
    pub(crate) fn note(&mut self, at_ms: u64, commit: Option<&Commit>) -> Option<HandOver> {
        let Some(commit) = commit else {
            self.written.push(Written { at_ms, ..Written::default() });
            return None;
        };
        let speaks = !commit.events.is_empty() || !commit.answered.is_empty();
        self.written.push(Written { at_ms, epoch: commit.epoch, speaks });
        let claims =
            |note: &wire::events::v1::Note| matches!(note.kind, Some(Kind::LeaderClaimed(_)));
        if !commit.notes.iter().any(claims) {
            return None;
        }
        let before = self.leader.replace((commit.epoch, commit.writer.clone()));
        let (epoch, writer) = before?;
        (writer != commit.writer).then_some(if self.given_up == epoch {
            HandOver::Planned
        } else {
            HandOver::TakenOver
        })
    }

    /// The epoch of the last claim.
    pub(crate) fn epoch(&self) -> u64 {
        self.leader.as_ref().map_or(0, |(epoch, _)| *epoch)
    }

    /// The leader of this epoch leads no more, and says so itself.
    pub(crate) fn give_up(&mut self, epoch: u64) {
        if self.epoch() == epoch {
            self.given_up = epoch;
        }
    }

    /// When each record was appended.
    pub(crate) fn written(&self) -> &[Written] {
        &self.written
    }

    /// The last record that says anything, and its epoch.
    pub(crate) fn last_word(&self) -> (u64, u64) {
        let last = self.written.iter().rposition(|written| written.speaks);
        let Some(index) = last else { return (0, 0) };
        let epoch = self.written.get(index).map_or(0, |written| written.epoch);
        (seq_of(index), epoch)
    }

    /// The epoch in which a record was written.
    pub(crate) fn epoch_of(&self, seq: u64) -> u64 {
        let index = seq.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.written.get(index)).map_or(0, |written| written.epoch)
    }
}

fn seq_of(index: usize) -> u64 {
    u64::try_from(index).map_or(u64::MAX, |index| index + 1)
}

//! Folding a log: records in, state out. The leader, the snapshots and `verify` all use this one.

use event_log::{Record, Seq};
use kernel::{Actor, Decider, Fact, Timestamp, WorkspaceId};
use snapshots::Snapshot;
use wire::events::v1::{Commit, Event as StoredEvent, note::Kind};

use crate::commit::{ChainReader, Doubt};
use crate::meta::{Handled, META_VERSION, Meta};
use crate::service::{Event, Service, State};
use crate::{LogId, ServiceId};

/// A state hash that a leader wrote, beside what this fold came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashCheck {
    /// The record it is about.
    pub seq: u64,
    /// What the leader wrote.
    pub written: [u8; 32],
    /// What this fold has.
    pub folded: [u8; 32],
}

/// A fold of one log up to a record.
pub struct Fold<S: Service> {
    pub(crate) reader: ChainReader,
    pub(crate) state: State<S>,
    pub(crate) meta: Meta,
    /// The writer of the last record.
    pub(crate) writer: [u8; 16],
}

impl<S: Service> std::fmt::Debug for Fold<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fold").field("reader", &self.reader).finish_non_exhaustive()
    }
}

impl<S: Service> Fold<S> {
    /// The version of all that a state hash or a snapshot is made of. Of another version neither means anything here.
    pub const LAYOUT: u32 = META_VERSION << 16 | S::STATE_VERSION;

    /// A fold that has read nothing.
    pub fn at_start(log_id: LogId) -> Self {
        Self {
            reader: ChainReader::at_start(log_id),
            state: State::<S>::default(),
            meta: Meta::default(),
            writer: [0; 16],
        }
    }

    /// A fold from a snapshot's bytes; `None` if they are not of this state.
    pub(crate) fn from_snapshot(reader: ChainReader, bytes: &[u8]) -> Option<Self> {
        let (meta, state) = postcard::from_bytes::<(Meta, State<S>)>(bytes).ok()?;
        Some(Self { reader, state, meta, writer: [0; 16] })
    }

    /// A snapshot's bytes.
    pub(crate) fn snapshot(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(&(&self.meta, &self.state))
    }

    /// The last record folded.
    pub fn seq(&self) -> u64 {
        self.reader.seq
    }

    /// Events folded.
    pub fn events(&self) -> u64 {
        self.meta.events
    }

    /// The state.
    pub fn state(&self) -> &State<S> {
        &self.state
    }

    /// How far each input is handled: the last record of which everything is.
    pub fn consumed(&self) -> impl Iterator<Item = (ServiceId, Seq)> + '_ {
        let of = |(service, handled): (&u32, &Handled)| {
            Some((ServiceId::from_number(*service)?, handled.seq))
        };
        self.meta.consumed.iter().filter_map(of)
    }

    /// The inputs' records of which something is set aside, to be read again one day.
    pub fn set_aside(&self) -> impl Iterator<Item = (ServiceId, Seq)> + '_ {
        self.meta.parked.iter().flat_map(|((service, ..), parked)| {
            let service = ServiceId::from_number(*service);
            parked.places.iter().filter_map(move |(seq, _)| Some((service?, *seq)))
        })
    }

    /// Whether a snapshot is one of just this state: of this layout, this log and place, and with the same hash.
    pub fn confirms(&self, snapshot: &Snapshot) -> bool {
        let Snapshot { version, log_id, seq, chain, bytes } = snapshot;
        let reader = &self.reader;
        (*version, *log_id, *seq, *chain) == (Self::LAYOUT, reader.log_id, reader.seq, reader.chain)
            && Self::from_snapshot(reader.clone(), bytes)
                .is_some_and(|other| other.state_hash() == self.state_hash())
    }

    /// The state's hash.
    pub fn state_hash(&self) -> [u8; 32] {
        crate::hash::state_hash(&self.meta, &self.state)
    }

    /// A commit's time: the clock, and never before the last one's.
    pub(crate) fn time_ns(&self, now: Timestamp) -> u64 {
        let now = u64::try_from(now.as_millis()).unwrap_or(0).saturating_mul(1_000_000);
        now.max(self.meta.time_ns.saturating_add(1))
    }

    /// Takes the next record, or says why it can't be trusted; then nothing has changed but the place in the chain.
    pub fn take(&mut self, service: &S, record: &Record) -> Result<(), Doubt> {
        let opened = open(service, &mut self.reader, record)?;
        self.apply(&opened);
        Ok(())
    }

    /// [`take`](Self::take), and hands the commit on.
    pub(crate) fn take_commit(&mut self, service: &S, record: &Record) -> Result<Commit, Doubt> {
        let commit = self.reader.take(record)?;
        let facts = commit.events.iter().map(|event| fact(service, commit.seq, event));
        let facts = facts.collect::<Result<Vec<_>, _>>()?;
        self.happened(&commit, &facts, record.bytes.len());
        Ok(commit)
    }

    /// Takes a record in whose place in the chain was checked.
    pub(crate) fn apply(&mut self, opened: &Opened<S>) {
        self.happened(&opened.commit, &opened.facts, opened.bytes);
    }

    fn happened(&mut self, commit: &Commit, facts: &[Fact<Event<S>>], bytes: usize) {
        for fact in facts {
            S::Decider::evolve(&mut self.state, fact);
        }
        self.meta.apply(commit, facts.len(), bytes);
        self.writer = commit.writer.as_slice().try_into().unwrap_or_default();
    }

    /// [`take`](Self::take), and if the record carries a state hash of the one before and of this layout, compares it.
    pub fn take_and_check(
        &mut self,
        service: &S,
        record: &Record,
    ) -> Result<Option<HashCheck>, Doubt> {
        let commit = crate::commit::open_record(record)?;
        let written = commit.notes.iter().find_map(|note| match &note.kind {
            Some(Kind::StateHash(hash))
                if hash.seq == self.reader.seq && hash.state_version == Self::LAYOUT =>
            {
                Some(hash.hash.clone())
            }
            Some(
                Kind::StateHash(_)
                | Kind::Genesis(_)
                | Kind::LeaderClaimed(_)
                | Kind::InputsRetried(_)
                | Kind::InputsDropped(_)
                | Kind::Restored(_)
                | Kind::Origin(_),
            )
            | None => None,
        });
        let check = written.map(|written| HashCheck {
            seq: self.reader.seq,
            written: written.as_slice().try_into().unwrap_or_default(),
            folded: self.state_hash(),
        });
        self.take(service, record)?;
        Ok(check)
    }
}

/// A record that may be trusted, its events decoded.
pub(crate) struct Opened<S: Service> {
    /// Without its events.
    commit: Commit,
    facts: Vec<Fact<Event<S>>>,
    /// The stored length.
    bytes: usize,
}

/// Opens the record after `reader`'s, or says why it can't be trusted.
pub(crate) fn open<S: Service>(
    service: &S,
    reader: &mut ChainReader,
    record: &Record,
) -> Result<Opened<S>, Doubt> {
    let mut commit = reader.take(record)?;
    let events = std::mem::take(&mut commit.events);
    let facts = events.iter().map(|event| fact(service, commit.seq, event));
    Ok(Opened { facts: facts.collect::<Result<_, _>>()?, commit, bytes: record.bytes.len() })
}

/// A stored event as a fact.
pub(crate) fn fact<S: Service>(
    service: &S,
    seq: u64,
    event: &StoredEvent,
) -> Result<Fact<Event<S>>, Doubt> {
    let decoded = service.decode(&event.r#type, event.version, &event.data).map_err(|error| {
        Doubt::Event { seq, event_type: event.r#type.clone(), error: error.to_string() }
    })?;
    Ok(Fact {
        workspace: WorkspaceId::trusted(&event.workspace),
        entity: event.entity.clone(),
        revision: event.revision,
        at: Timestamp::from_millis(event.occurred_at_ms),
        actor: Actor::from_text(&event.actor),
        event: decoded,
    })
}

//! Folding a log: records in, state out. The leader, the snapshots and `verify` all use this one.

mod any;
mod saved;

use bytes::Bytes;
use event_log::{Record, Seq};
use kernel::{Actor, Decider, EntityId, Fact, Timestamp, WorkspaceId};
use snapshots::Snapshot;
use wire::events::v1::Commit;

use crate::commit::{ChainReader, Doubt};
use crate::event_type::{DecodeError, text};
use crate::hash::Unhashable;
use crate::lent_event::LentEvent;
use crate::meta::{Bookkeeping, Handled, META_VERSION, Meta, WrittenHash};
use crate::service::{Event, Service, State};
use crate::{LogId, ServiceId};
pub use any::AnyFold;
pub(crate) use saved::Unencodable;

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
        let (meta, state) = saved::decode::<(Meta, State<S>)>(bytes)?;
        Some(Self { reader, state, meta, writer: [0; 16] })
    }

    /// A snapshot's bytes.
    pub(crate) fn snapshot(&self) -> Result<Vec<u8>, Unencodable> {
        saved::encode(&(&self.meta, &self.state))
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

    /// Whether a snapshot is one of just this state: of this layout, this log and place, and with the same hash. Not if
    /// either has none.
    pub fn confirms(&self, snapshot: &Snapshot) -> bool {
        let Snapshot { version, log_id, seq, chain, bytes } = snapshot;
        let reader = &self.reader;
        (*version, *log_id, *seq, *chain) == (Self::LAYOUT, reader.log_id, reader.seq, reader.chain)
            && Self::from_snapshot(reader.clone(), bytes).is_some_and(|other| {
                match (other.state_hash(), self.state_hash()) {
                    (Ok(other), Ok(own)) => other == own,
                    (Err(_), _) | (_, Err(_)) => false,
                }
            })
    }

    /// The state's hash.
    pub fn state_hash(&self) -> Result<[u8; 32], Unhashable> {
        crate::hash::state_hash(&self.meta, &self.state)
    }

    /// A commit's time: the clock, and never before the last one's.
    pub(crate) fn time_ns(&self, now: Timestamp) -> u64 {
        let now = u64::try_from(now.as_millis()).unwrap_or(0).saturating_mul(1_000_000);
        now.max(self.meta.time_ns.saturating_add(1))
    }

    /// Takes the next record, or says why it can't be trusted; then nothing has changed but the place in the chain.
    pub fn take(&mut self, service: &S, record: &Record) -> Result<(), Doubt> {
        let opened = open(service, &mut self.reader, &mut Names::default(), record)?;
        self.apply(&opened);
        Ok(())
    }

    /// Takes a record in whose place in the chain was checked.
    pub(crate) fn apply(&mut self, opened: &Opened<S>) {
        let Opened { commit, read, facts, bytes } = opened;
        S::Decider::evolve_all(&mut self.state, facts);
        self.meta.apply(commit, read, facts.len(), *bytes);
        self.writer = read.writer;
    }

    /// [`take`](Self::take), and if the record carries a state hash of the one before and of this layout, compares it.
    pub fn take_and_check(
        &mut self,
        service: &S,
        record: &Record,
    ) -> Result<Option<HashCheck>, Doubt> {
        let before = self.reader.seq;
        let opened = open(service, &mut self.reader, &mut Names::default(), record)?;
        let written = opened
            .read
            .state_hash
            .filter(|hash| hash.seq == before && hash.state_version == Self::LAYOUT);
        let check = match written {
            Some(WrittenHash { hash, .. }) => {
                let folded = self.state_hash().map_err(|error| Doubt::Malformed {
                    seq: opened.commit.seq,
                    error: format!("the state before it can't be compared: {error}"),
                })?;
                Some(HashCheck { seq: before, written: hash, folded })
            }
            None => None,
        };
        self.apply(&opened);
        Ok(check)
    }
}

/// A record that may be trusted, its events decoded.
pub(crate) struct Opened<S: Service> {
    /// Without its events.
    commit: Commit,
    read: Bookkeeping,
    facts: Vec<Fact<Event<S>>>,
    /// The stored length.
    bytes: usize,
}

/// Opens the record after `reader`'s, or says why it can't be trusted.
pub(crate) fn open<S: Service>(
    service: &S,
    reader: &mut ChainReader,
    names: &mut Names,
    record: &Record,
) -> Result<Opened<S>, Doubt> {
    let (commit, events) = reader.take_lent(record)?;
    let read = Bookkeeping::of(&commit)?;
    let seq = commit.seq;
    let mut fact = |bytes: &Bytes| {
        let event = LentEvent::read(bytes)
            .map_err(|error| Doubt::Malformed { seq, error: error.to_string() })?;
        fact(service, names, &event, bytes).map_err(|error| {
            let event_type = String::from_utf8_lossy(event.event_type).into_owned();
            Doubt::Event { seq, event_type, error: error.to_string() }
        })
    };
    let mut facts = Vec::with_capacity(events.len());
    for event in &events {
        facts.push(fact(event)?);
    }
    Ok(Opened { commit, read, facts, bytes: record.bytes.len() })
}

/// A stored event as a fact. `bytes` are all of it.
fn fact<S: Service>(
    service: &S,
    names: &mut Names,
    event: &LentEvent<'_>,
    bytes: &Bytes,
) -> Result<Fact<Event<S>>, DecodeError> {
    Ok(Fact {
        workspace: names.workspace(event.workspace)?,
        entity: EntityId::trusted(text(event.entity)?),
        revision: event.revision,
        at: Timestamp::from_millis(event.occurred_at_ms),
        actor: names.actor(event.actor)?,
        event: service.decode(
            text(event.event_type)?,
            event.version,
            &bytes.slice_ref(event.data),
        )?,
    })
}

/// What most events in succession have in common, made once.
#[derive(Debug, Default)]
pub(crate) struct Names {
    workspace: Option<WorkspaceId>,
    actor: Option<(String, Actor)>,
}

impl Names {
    fn workspace(&mut self, bytes: &[u8]) -> Result<WorkspaceId, DecodeError> {
        match &self.workspace {
            Some(known) if known.as_str().as_bytes() == bytes => Ok(known.clone()),
            Some(_) | None => Ok(self.workspace.insert(WorkspaceId::trusted(text(bytes)?)).clone()),
        }
    }

    fn actor(&mut self, bytes: &[u8]) -> Result<Actor, DecodeError> {
        match &self.actor {
            Some((known, actor)) if known.as_bytes() == bytes => Ok(actor.clone()),
            Some(_) | None => {
                let text = text(bytes)?;
                let actor = Actor::from_text(text);
                Ok(self.actor.insert((text.to_owned(), actor)).1.clone())
            }
        }
    }
}

//! From what was decided to a record, and to what is left to do.

use wire::events::v1::{Commit, Consumed};

use super::Leader;
use crate::commit::{FORMAT, reader_of};
use crate::partition::Rest;
use crate::partition::batch::Batch;
use crate::service::{Parked, Service};

impl<S: Service> Leader<'_, S> {
    /// The next record.
    pub(super) fn commit(&self, batch: &mut Batch<S>) -> Commit {
        let consumed = self.applied.iter().map(|(service, handled)| Consumed {
            service: service.number(),
            log_id: handled.log_id.to_vec(),
            seq: handled.seq,
            events_of_next: handled.events_of_next,
            chain: handled.chain.to_vec(),
        });
        let moved = |consumed: &Consumed| {
            self.fold.meta.consumed.get(&consumed.service).is_none_or(|known| {
                (known.seq, known.events_of_next) != (consumed.seq, consumed.events_of_next)
                    || known.log_id.as_slice() != consumed.log_id.as_slice()
            })
        };
        Commit {
            format: FORMAT,
            min_reader: reader_of(&batch.notes),
            log_id: self.fold.reader.log_id.to_vec(),
            seq: self.fold.reader.seq + 1,
            epoch: self.fold.meta.epoch,
            writer: self.setting.writer.to_vec(),
            prev: self.fold.reader.chain.to_vec(),
            time_ns: self.fold.time_ns(self.decided_at.max(self.core.time.now())),
            consumed: consumed.filter(moved).collect(),
            events: std::mem::take(&mut batch.events),
            answered: std::mem::take(&mut batch.answered),
            parked: std::mem::take(&mut batch.parked),
            notes: std::mem::take(&mut batch.notes),
            crc32c: 0,
        }
    }

    /// Says what is still to be done, before anybody can see what was. `decided`: something is decided and not yet
    /// written.
    pub(super) fn publish_rest(&self, decided: bool) {
        let parked = Parked(&self.fold.meta);
        let held = self.held.values().any(|held| !held.is_empty());
        let waits = held || !self.pending.is_empty();
        let next_due = self.core.service.next_due(&self.fold.state, self.core.partition, parked);
        let rest = Rest {
            next_due,
            moot: self.timers.is_moot(next_due),
            busy: decided || waits || self.core.service.busy(&self.fold.state),
        };
        self.core.rest.send_replace(rest);
    }
}

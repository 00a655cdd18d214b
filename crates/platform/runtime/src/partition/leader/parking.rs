//! Retrying and dropping inputs that were set aside.

use std::sync::Arc;

use wire::events::v1::{Cause, InputsReleased, Note, note::Kind};

use super::Leader;
use crate::call::{Failure, Overload};
use crate::parking::{
    AT_ONCE_MAX, PendingRelease, Release, ReleaseHow, Released, Reread, reread, unreadable,
};
use crate::partition::Work;
use crate::partition::batch::{Batch, send};
use crate::service::Service;

impl<S: Service> Leader<'_, S> {
    /// Takes an operator's word: drops at once, or has the inputs read again first.
    pub(super) fn unpark(&mut self, pending: PendingRelease<S>, batch: &mut Batch<S>) {
        if batch.releases(&pending.release.key()) {
            return send(pending.reply, Err(Failure::Overloaded(Overload::Release)));
        }
        let parked = self.fold.meta.parked.get(&pending.release.key());
        let places = parked.map(|parked| parked.places.clone()).unwrap_or_default();
        match pending.release.how {
            _ if places.is_empty() => send(pending.reply, Ok(Released::default())),
            ReleaseHow::Drop(wanted) => {
                let count = wanted.min(u64::try_from(places.len()).unwrap_or(u64::MAX));
                self.note(pending, count, String::new(), batch);
            }
            ReleaseHow::Retry => {
                let (core, provider) = (Arc::clone(self.core), Arc::clone(&self.setting.provider));
                let places = places.into_iter().take(AT_ONCE_MAX).collect();
                tokio::spawn(async move {
                    let service = pending.release.input;
                    let inputs = reread(&*provider, service, core.partition, places).await;
                    // If the leader is gone, the caller hears it by the closing of the way back.
                    core.inbox.own(Work::Reread(pending, inputs));
                });
            }
        }
    }

    /// Applies inputs that were read again, in their order, up to the first that still can't be.
    pub(super) fn retry(
        &mut self,
        pending: PendingRelease<S>,
        inputs: Result<Vec<Reread>, String>,
        batch: &mut Batch<S>,
    ) {
        if batch.releases(&pending.release.key()) {
            return send(pending.reply, Err(Failure::Overloaded(Overload::Release)));
        }
        let inputs = match inputs {
            Ok(inputs) => inputs,
            Err(reason) => return send(pending.reply, Err(unreadable::<S>(&reason))),
        };
        self.timers.moot = None;
        let (mut count, mut left_error) = (0, String::new());
        for Reread { place: (seq, index), commit } in inputs {
            let Release { input, workspace, entity, .. } = &pending.release;
            let parked = self.fold.meta.parked.get(&pending.release.key());
            let place = parked.and_then(|parked| parked.places.get(count));
            let event = commit.events.get(usize::try_from(index).unwrap_or(usize::MAX));
            let event = event.filter(|one| one.workspace == *workspace && one.entity == *entity);
            let (Some(event), true) = (event, place == Some(&(seq, index))) else {
                // Somebody else was quicker, or the log holds another record now: whoever asks again sees.
                break;
            };
            if batch.is_full() {
                break;
            }
            let cause = Cause { service: input.number(), seq, index };
            if let Err(error) = self.apply(&commit, event, cause, *input, batch) {
                left_error = error.to_string();
                break;
            }
            count += 1;
        }
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.note(pending, count, left_error, batch);
    }

    /// Notes how many of an entity's first inputs are set aside no more, and answers once that is in the log.
    fn note(
        &mut self,
        pending: PendingRelease<S>,
        count: u64,
        error: String,
        batch: &mut Batch<S>,
    ) {
        let PendingRelease { release, reply } = pending;
        let key = release.key();
        let had = self.fold.meta.parked.get(&key).map_or(0, |parked| parked.places.len());
        let Release { workspace, entity, how, actor, reason, input } = release;
        if count > 0 {
            let all = usize::try_from(count) == Ok(had);
            let waits = batch.parked.iter().any(|parked| {
                parked.input.is_some_and(|at| at.service == key.0)
                    && parked.workspace == key.1
                    && parked.entity == key.2
            });
            if all && !waits {
                batch.freed.push(key.clone());
            }
            let service = input.number();
            let error = error.clone();
            let released =
                InputsReleased { service, workspace, entity, count, actor, reason, error };
            let kind = match how {
                ReleaseHow::Retry => Kind::InputsRetried(released),
                ReleaseHow::Drop(_) => Kind::InputsDropped(released),
            };
            batch.notes.push(Note { kind: Some(kind) });
        }
        batch.report(Box::new(move |view| {
            let released = view.map(|view| {
                let left = view.meta.parked.get(&key).map_or(0, |parked| parked.places.len());
                let left = u64::try_from(left).unwrap_or(u64::MAX);
                Released { count, left, error }
            });
            Box::new(move || send(reply, released))
        }));
    }
}

//! A ticket's story, read from the logs.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use event_log::{LogError, OpenError, Seq};
use futures::stream::{self, StreamExt, TryStreamExt};
use runtime::{Doubt, ServiceId, open_record};
use wire::events::v1 as stored;

use super::order::{Key, ordered};
use super::{Place, Shared};

/// How many records are read at the same time.
const READS_MAX: usize = 16;

/// Why a story can't be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoryError {
    /// A log can't be opened.
    #[error("a log can't be opened")]
    Open(#[from] OpenError),
    /// A log can't be read.
    #[error("a log can't be read")]
    Log(#[from] LogError),
    /// A record can't be trusted.
    #[error("a record is in doubt")]
    Doubt(#[from] Doubt),
}

/// The places of a ticket's facts, oldest first. The facts are read by the page, so a long story takes no more memory than a page.
#[derive(Debug)]
pub(crate) struct Story {
    shared: Arc<Shared>,
    places: Vec<Place>,
}

/// A fact, and whose log of which identity it is in.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) place: Place,
    pub(crate) log_id: Vec<u8>,
    pub(crate) event: stored::Event,
}

impl Story {
    /// Orders the facts at these places. One that was trimmed away in the meantime is left out.
    pub(super) async fn read(shared: Arc<Shared>, places: Vec<Place>) -> Result<Self, StoryError> {
        let keys = collect(&shared, &places, |place, _, event| Key {
            at_ms: event.occurred_at_ms,
            place,
            cause: event.cause.and_then(cause),
        });
        let places = ordered(keys.await?);
        Ok(Self { shared, places })
    }

    /// At most `size` facts after `after`, and whether there are more; none if `after` isn't part of the story.
    pub(crate) async fn page(
        &self,
        after: Option<Place>,
        size: usize,
    ) -> Result<Option<(Vec<Told>, bool)>, StoryError> {
        let start = match after {
            None => 0,
            Some(after) => match self.places.iter().position(|place| *place == after) {
                Some(found) => found.saturating_add(1),
                None => return Ok(None),
            },
        };
        let rest = self.places.get(start..).unwrap_or_default();
        let page = rest.get(..size).unwrap_or(rest);
        let told = collect(&self.shared, page, |place, log_id, event| {
            let event = stored::Event {
                // The bytes as stored, without the record around them.
                data: Bytes::copy_from_slice(&event.data),
                ..event.clone()
            };
            (place, Told { place, log_id: log_id.to_vec(), event })
        });
        let mut told: BTreeMap<Place, Told> = told.await?.into_iter().collect();
        let facts = page.iter().filter_map(|place| told.remove(place)).collect();
        Ok(Some((facts, page.len() < rest.len())))
    }
}

fn cause(cause: stored::Cause) -> Option<Place> {
    let service = ServiceId::from_number(cause.service)?;
    Some(Place { service, seq: cause.seq, index: cause.index })
}

/// Looks at the facts at these places, each record once, in no particular order.
async fn collect<T: Send>(
    shared: &Shared,
    places: &[Place],
    look: impl Fn(Place, &[u8], &stored::Event) -> T + Sync,
) -> Result<Vec<T>, StoryError> {
    let mut records: BTreeMap<(ServiceId, Seq), Vec<Place>> = BTreeMap::new();
    for place in places {
        records.entry((place.service, place.seq)).or_default().push(*place);
    }
    let look = &look;
    let reads = records.into_iter().map(|((service, seq), places)| async move {
        let Some(record) = shared.record(service, seq).await? else { return Ok(Vec::new()) };
        let commit = open_record(&record)?;
        let event = |place: &Place| commit.events.get(usize::try_from(place.index).ok()?);
        let seen = |place: Place| Some(look(place, &commit.log_id, event(&place)?));
        Ok::<_, StoryError>(places.into_iter().filter_map(seen).collect())
    });
    let seen: Vec<Vec<T>> = stream::iter(reads).buffered(READS_MAX).try_collect().await?;
    Ok(seen.into_iter().flatten().collect())
}

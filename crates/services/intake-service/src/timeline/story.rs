//! A ticket's story, read from the logs.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use event_log::{LogError, OpenError, Seq};
use futures::stream::{self, StreamExt, TryStreamExt};
use runtime::{Doubt, ServiceId, open_record};
use service_kit::paging::REPLY_BYTES;
use wire::events::v1 as stored;

use super::order::{Key, ordered};
use super::{Place, Read, Shared};

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

/// The places of a ticket's facts, oldest first. The facts are read by the page, so a long story takes no more memory
/// than a page.
#[derive(Debug)]
pub(crate) struct Story {
    shared: Arc<Shared>,
    places: Vec<Place>,
    trimmed: Trimmed,
}

/// The last record that is gone, of each log in which facts may be missing.
type Trimmed = BTreeMap<ServiceId, Seq>;

/// A part of a story.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) told: Vec<Told>,
    /// There is more.
    pub(crate) more: bool,
    /// Where facts may be missing, of the whole story.
    pub(crate) trimmed: Trimmed,
}

/// A fact, and whose log of which identity it is in.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) place: Place,
    pub(crate) log_id: Vec<u8>,
    pub(crate) event: stored::Event,
}

impl Story {
    /// Orders the facts at these places. Those that were trimmed away are left out, and it is said that they are.
    pub(super) async fn read(shared: Arc<Shared>, places: Vec<Place>) -> Result<Self, StoryError> {
        let (keys, gone) = collect(&shared, &places, |place, _, event| {
            let opens = event.r#type == "TicketOpened";
            let (at_ms, cause) = (event.occurred_at_ms, event.cause.and_then(cause));
            (opens, Key { at_ms, place, cause })
        })
        .await?;
        let mut firsts = BTreeMap::new();
        for (opens, Key { place, .. }) in &keys {
            if place.service != ServiceId::Intake || *opens {
                let first = firsts.entry(place.service).or_insert(place.seq);
                *first = place.seq.min(*first);
            }
        }
        let trimmed = shared.trimmed(&firsts, gone);
        let places = ordered(keys.into_iter().map(|(_, key)| key).collect());
        Ok(Self { shared, places, trimmed })
    }

    /// At most `size` facts after `after`; none if `after` isn't part of the story.
    pub(crate) async fn page(
        &self,
        after: Option<Place>,
        size: usize,
    ) -> Result<Option<Page>, StoryError> {
        let start = match after {
            None => 0,
            Some(after) => match self.places.iter().position(|place| *place == after) {
                Some(found) => found.saturating_add(1),
                None => return Ok(None),
            },
        };
        let rest = self.places.get(start..).unwrap_or_default();
        let page = rest.get(..size).unwrap_or(rest);
        let (mut told, mut bytes, mut trimmed) = (Vec::new(), 0_usize, self.trimmed.clone());
        for places in page.chunks(READS_MAX) {
            let (mut found, gone) = self.told(places).await?;
            trimmed.extend(gone);
            for place in places {
                if bytes >= REPLY_BYTES {
                    return Ok(Some(Page { told, more: true, trimmed }));
                }
                let Some(fact) = found.remove(place) else { continue };
                bytes = bytes.saturating_add(fact.event.data.len());
                told.push(fact);
            }
        }
        Ok(Some(Page { told, more: page.len() < rest.len(), trimmed }))
    }

    /// The facts at these places.
    async fn told(
        &self,
        places: &[Place],
    ) -> Result<(BTreeMap<Place, Told>, Vec<(ServiceId, Seq)>), StoryError> {
        let (told, gone) = collect(&self.shared, places, |place, log_id, event| {
            let event = stored::Event {
                // The bytes as stored, without the record around them.
                data: Bytes::copy_from_slice(&event.data),
                ..event.clone()
            };
            (place, Told { place, log_id: log_id.to_vec(), event })
        })
        .await?;
        Ok((told.into_iter().collect(), gone.into_iter().collect()))
    }
}

fn cause(cause: stored::Cause) -> Option<Place> {
    let service = ServiceId::from_number(cause.service)?;
    Some(Place { service, seq: cause.seq, index: cause.index })
}

/// Looks at the facts at these places, each record once, in no particular order. Also says which logs have lost some of
/// the records.
async fn collect<T: Send>(
    shared: &Shared,
    places: &[Place],
    look: impl Fn(Place, &[u8], &stored::Event) -> T + Sync,
) -> Result<(Vec<T>, Trimmed), StoryError> {
    let mut records: BTreeMap<(ServiceId, Seq), Vec<Place>> = BTreeMap::new();
    for place in places {
        records.entry((place.service, place.seq)).or_default().push(*place);
    }
    let look = &look;
    let reads = records.into_iter().map(|((service, seq), places)| async move {
        let record = match shared.record(service, seq).await? {
            Read::Record(record) => record,
            Read::Trimmed(upto) => return Ok((Vec::new(), Some((service, upto)))),
            Read::Beyond => return Ok((Vec::new(), None)),
        };
        let commit = open_record(&record)?;
        let event = |place: &Place| commit.events.get(usize::try_from(place.index).ok()?);
        let seen = |place: Place| Some(look(place, &commit.log_id, event(&place)?));
        let seen: Vec<T> = places.into_iter().filter_map(seen).collect();
        Ok::<_, StoryError>((seen, None))
    });
    let read: Vec<_> = stream::iter(reads).buffered(READS_MAX).try_collect().await?;
    let (seen, gone): (Vec<Vec<T>>, Vec<_>) = read.into_iter().unzip();
    Ok((seen.into_iter().flatten().collect(), gone.into_iter().flatten().collect()))
}

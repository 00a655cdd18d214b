//! Rest: nothing is left to do anywhere.

use std::collections::BTreeMap;

use anyhow::ensure;
use runtime::ServiceId;
use tokio::time::Instant;
use tonic::Request;
use wire::admin::v1::{GetTimeRequest, PartitionStatus};

use crate::api::{Api, CALL_WITHIN, WITHIN};

/// Where each partition of each service stands: its head, and how far its inputs were applied.
type Standing = BTreeMap<(i32, u32), Place>;

#[derive(Debug, PartialEq, Eq)]
struct Place {
    head: u64,
    /// By the service that writes it, in its partition of the same number.
    inputs: BTreeMap<i32, u64>,
}

/// Waits until all instances rest together, twice at the same places: nothing is due, no effect in flight, and each
/// leader has applied its inputs up to what their leaders wrote.
///
/// That servers call themselves idle isn't enough: a process knows of an input only what has reached it, and a reader
/// that was cut off learns of the rest when it looks around.
pub async fn rest(sides: &[Api]) -> anyhow::Result<()> {
    let deadline = Instant::now() + WITHIN;
    let mut before = None;
    loop {
        let now = if are_idle(sides).await { standing(sides).await } else { None };
        let now = now.filter(is_read_up);
        if now.is_some() && now == before {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the servers don't rest");
        before = now;
    }
}

/// Whether all say that they have nothing to do, once they were given time for it.
async fn are_idle(sides: &[Api]) -> bool {
    let mut idle = true;
    for side in sides {
        for service in ServiceId::ALL {
            let mut request = Request::new(GetTimeRequest { wait_until_idle: true });
            request.set_timeout(CALL_WITHIN);
            let time = side.clock(service).get_time(request).await;
            idle &= time.is_ok_and(|time| time.into_inner().idle);
        }
    }
    idle
}

/// Where the leaders stand; `None`: a partition has none at the moment.
async fn standing(sides: &[Api]) -> Option<Standing> {
    let mut places = BTreeMap::new();
    for side in sides {
        for service in ServiceId::ALL {
            for status in side.status(service).await.ok()? {
                let (key, place) = place(&status)?;
                let known: &mut Option<Place> = places.entry(key).or_default();
                if status.leader {
                    *known = Some(place);
                }
            }
        }
    }
    places.into_iter().map(|(key, place)| Some((key, place?))).collect()
}

fn place(status: &PartitionStatus) -> Option<((i32, u32), Place)> {
    let at = status.position.as_ref()?;
    let inputs = status.inputs.iter().map(|input| (input.service, input.seq)).collect();
    Some(((at.service, at.partition), Place { head: at.seq, inputs }))
}

fn is_read_up(standing: &Standing) -> bool {
    standing.iter().all(|((_, partition), place)| {
        place.inputs.iter().all(|(service, read)| {
            standing.get(&(*service, *partition)).is_none_or(|input| input.head <= *read)
        })
    })
}

//! A cold start's folding: events a second from the logs of intake, routing and sla into their states, beside the bare
//! reading of the same records.

use std::time::{Duration, Instant};

use anyhow::Result;
use runtime::{REPLAY_BYTES, ServiceId, first_record};

use crate::cli::Bench;
use crate::verify::fold_of;

use super::Name;
use super::corpus::Corpus;
use super::measure::{compare, measure_of};
use super::place::{Opened, Place};
use super::report::{Figure, Goal};

/// Whose logs are folded.
const SERVICES: [ServiceId; 3] = [ServiceId::Intake, ServiceId::Routing, ServiceId::Sla];

/// Measures it.
pub(super) async fn run(settings: &Bench, place: &Place, corpus: &Corpus) -> Result<Figure> {
    let opened = place.open().await?;
    let all = async || {
        let (mut events, mut took) = (0, Duration::ZERO);
        for service in SERVICES {
            let one = fold(service, &opened, corpus.partition).await?;
            (events, took) = (events + one.0, took + one.1);
        }
        anyhow::Ok((events, took))
    };
    let (events, _) = all().await?;
    let rate = |took: Duration| measure_of(events) / took.as_secs_f64();
    let product = async || Ok(rate(all().await?.1));
    let floor = async || {
        let mut took = Duration::ZERO;
        for service in SERVICES {
            took += read(&opened, service, corpus.partition).await?;
        }
        Ok(rate(took))
    };
    let compared = compare(settings.runs, product, floor).await;
    opened.close().await;
    let goal = Goal::AtLeastBoth(0.4, 500_000.0);
    let floor = "the same records, read alone";
    Ok(Figure::compared(Name::Replay, "events/s", floor, compared?, goal, settings))
}

/// Folds one service's log as a leader does at its start; how many events there were, and how long it took.
async fn fold(service: ServiceId, opened: &Opened, partition: u16) -> Result<(u64, Duration)> {
    let log = opened.provider().open(&service.log(partition)).await?;
    let (log_id, _) = first_record(&*log, service, partition).await?;
    let mut fold = fold_of(service, log_id)?;
    let began = Instant::now();
    fold.replay(&*log).await?;
    Ok((fold.events(), began.elapsed()))
}

async fn read(opened: &Opened, service: ServiceId, partition: u16) -> Result<Duration> {
    let log = opened.provider().open(&service.log(partition)).await?;
    let mut from = 1;
    let began = Instant::now();
    while let Some(last) = log.read(from, REPLAY_BYTES).await?.last() {
        from = last.seq + 1;
    }
    Ok(began.elapsed())
}

//! A cold start's folding: events a second from the logs of intake, routing and sla into their states, beside the bare reading of the
//! same records.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use intake_service::IntakeService;
use routing_service::RoutingService;
use runtime::{Fold, REPLAY_BYTES, Service, ServiceId, first_record, replay};
use sla_service::SlaService;

use crate::cli::Bench;

use super::Name;
use super::corpus::Corpus;
use super::measure::{compare, measure_of};
use super::place::{Opened, Place};
use super::report::{Figure, Goal};

/// Measures it.
pub(super) async fn run(settings: &Bench, place: &Place, corpus: &Corpus) -> Result<Figure> {
    let opened = place.open().await?;
    let provider = opened.provider();
    let intake = Arc::new(IntakeService::new(Arc::clone(&provider)));
    let (routing, sla) = (Arc::new(RoutingService::new()), Arc::new(SlaService));
    let all = async || {
        let of_intake = fold(&intake, &opened, corpus.partition).await?;
        let of_routing = fold(&routing, &opened, corpus.partition).await?;
        let of_sla = fold(&sla, &opened, corpus.partition).await?;
        let all = [of_intake, of_routing, of_sla];
        let events: u64 = all.iter().map(|(events, _)| events).sum();
        anyhow::Ok((events, all.iter().map(|(_, took)| *took).sum::<Duration>()))
    };
    let (events, _) = all().await?;
    let rate = |took: Duration| measure_of(events) / took.as_secs_f64();
    let product = async || Ok(rate(all().await?.1));
    let floor = async || {
        let mut took = Duration::ZERO;
        for service in [ServiceId::Intake, ServiceId::Routing, ServiceId::Sla] {
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
async fn fold<S: Service>(
    service: &Arc<S>,
    opened: &Opened,
    partition: u16,
) -> Result<(u64, Duration)> {
    let log = opened.provider().open(&S::ID.log(partition)).await?;
    let (log_id, _) = first_record(&*log, S::ID, partition).await?;
    let began = Instant::now();
    let folded = replay(service, &*log, Fold::at_start(log_id)).await?;
    Ok((folded.events(), began.elapsed()))
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

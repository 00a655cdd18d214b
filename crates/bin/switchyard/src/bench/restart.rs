//! From the start of a process with all four services to readiness, over the log of many tickets.

use anyhow::Result;

use crate::cli::{Bench, Role};

use super::Name;
use super::children::{Services, forget_snapshots};
use super::corpus::Corpus;
use super::measure::median;
use super::place::Place;
use super::report::{Figure, Goal};

/// With snapshots: those that a stop in order leaves.
pub(super) async fn warm(settings: &Bench, place: &Place, corpus: &Corpus) -> Result<Figure> {
    // Whatever was measured before may have taken them away.
    Services::start(place, &Role::ALL, corpus.now).await?.stop().await?;
    let mut times = Vec::new();
    for _ in 0..settings.runs {
        let services = Services::start(place, &Role::ALL, corpus.now).await?;
        times.push(services.ready_after.as_secs_f64());
        services.stop().await?;
    }
    figure(Name::RestartSnapshot, times, 3.0, settings)
}

/// Without: everything is folded.
pub(super) async fn cold(settings: &Bench, place: &Place, corpus: &Corpus) -> Result<Figure> {
    let mut times = Vec::new();
    for _ in 0..settings.runs {
        forget_snapshots(place)?;
        let services = Services::start(place, &Role::ALL, corpus.now).await?;
        times.push(services.ready_after.as_secs_f64());
        services.stop().await?;
    }
    figure(Name::RestartCold, times, 15.0, settings)
}

fn figure(name: Name, times: Vec<f64>, goal: f64, settings: &Bench) -> Result<Figure> {
    let (value, goal) = (median(times)?, Goal::ValueAtMost(goal));
    Ok(Figure::absolute(name, "s", value, settings.runs, goal, settings))
}

//! Memory per open ticket: a service alone in a process that has folded the log of many, less the same one over an
//! empty log.

use anyhow::{Result, bail};

use crate::cli::{Bench, Role};

use super::Name;
use super::children::{Services, forget_snapshots};
use super::corpus::Corpus;
use super::measure::{measure_of, median};
use super::place::Place;
use super::report::{Figure, Goal};

/// KiB that an open ticket may take.
const GOAL: f64 = 2.0;

/// Measures one service.
pub(super) async fn run(
    name: Name,
    settings: &Bench,
    place: &Place,
    corpus: &Corpus,
) -> Result<Figure> {
    let role = match name {
        Name::MemoryIntake => Role::Intake,
        Name::MemoryRouting => Role::Routing,
        Name::MemorySla => Role::Sla,
        Name::Create1
        | Name::Create64
        | Name::Create256
        | Name::Echo64
        | Name::Append
        | Name::Replay
        | Name::E2e
        | Name::RestartSnapshot
        | Name::RestartCold => bail!("{} is no measure of memory", name.as_str()),
    };
    let empty = Place::make(settings).await?;
    let mut measured = Vec::new();
    let mut measure = async || {
        for _ in 0..settings.runs {
            forget_snapshots(place)?;
            let (full, none) = (of(place, role, corpus).await?, of(&empty, role, corpus).await?);
            let bytes = measure_of(full.saturating_sub(none));
            measured.push(bytes / 1024.0 / measure_of(corpus.tickets));
        }
        anyhow::Ok(())
    };
    let done = measure().await;
    empty.remove().await?;
    done?;
    let (value, goal) = (median(measured)?, Goal::ValueAtMost(GOAL));
    Ok(Figure::absolute(name, "KiB", value, settings.runs, goal, settings))
}

async fn of(place: &Place, role: Role, corpus: &Corpus) -> Result<u64> {
    let services = Services::start(place, &[role], corpus.now).await?;
    let bytes = services.resident_bytes().await;
    services.stop().await?;
    bytes
}

//! `switchyard bench`: how fast it is and how much memory it takes, each figure beside a floor measured in the same
//! run.
//!
//! A floor is the least that any program must do for the same effect: publish the same bytes and await the
//! acknowledgement, read the same records. Product and floor take turns, so that a machine that slows down slows both;
//! what is compared is the ratio. Calls go over real gRPC on loopback. For `create`, `echo`, `append`, `replay` and
//! `e2e` product and floor both run in this process, so that they differ in nothing but what they do; for `restart` and
//! `memory` the services are processes of their own, so that neither warm caches nor the memory of what was measured
//! before count.

mod append;
mod children;
mod corpus;
mod create;
mod e2e;
mod floor;
mod load;
mod measure;
mod memory;
mod names;
mod place;
mod replay;
mod report;
mod restart;

use anyhow::{Result, bail};

use crate::cli::Bench;
use crate::{out, signals};

use corpus::Corpus;
pub(crate) use names::Name;
use report::Figure;

/// Measures what was asked for, prints it, and fails if a goal was missed.
pub(crate) async fn run(settings: Bench) -> Result<()> {
    if settings.scale <= 0.0 || settings.scale > 1.0 {
        return Err(crate::exit::bad_configuration("--scale must be above 0 and at most 1"));
    }
    // What was made on NATS is removed where it was made; a signal ends the measuring, not the tidying.
    let figures = measure(&settings).await?;
    if settings.json {
        out::line(&serde_json::to_string_pretty(&figures)?)?;
    } else {
        out::line(&report::table(&figures, &settings))?;
    }
    let missed: Vec<_> = figures.iter().filter(|figure| figure.met == Some(false)).collect();
    if missed.is_empty() {
        return Ok(());
    }
    bail!("missed: {}", missed.iter().map(|figure| figure.name).collect::<Vec<_>>().join(", "))
}

async fn measure(settings: &Bench) -> Result<Vec<Figure>> {
    let stop = signals::stop();
    tokio::pin!(stop);
    let mut figures = Vec::new();
    let wanted = names::wanted(&settings.names);
    for name in wanted.iter().filter(|name| !name.needs_corpus()) {
        out::note(&format!("measuring {}", name.as_str()));
        let place = place::Place::make(settings).await?;
        let figure = tokio::select! {
            figure = alone(*name, settings, &place) => figure,
            () = &mut stop => Err(anyhow::anyhow!("stopped by a signal")),
        };
        place.remove().await?;
        figures.push(figure?);
    }
    let rest: Vec<Name> = wanted.iter().copied().filter(|name| name.needs_corpus()).collect();
    if !rest.is_empty() {
        let place = place::Place::make(settings).await?;
        let measured = tokio::select! {
            measured = on_corpus(&rest, settings, &place) => measured,
            () = &mut stop => Err(anyhow::anyhow!("stopped by a signal")),
        };
        place.remove().await?;
        figures.extend(measured?);
    }
    figures.sort_by_key(|figure| wanted.iter().position(|name| name.as_str() == figure.name));
    Ok(figures)
}

async fn alone(name: Name, settings: &Bench, place: &place::Place) -> Result<Figure> {
    match name {
        Name::Create1 => create::one(settings, place).await,
        Name::Create64 => create::many(name, 64, 2.0, settings, place).await,
        Name::Create256 => create::many(name, 256, 2.5, settings, place).await,
        Name::Echo64 => create::echo(settings, place).await,
        Name::Append => append::run(settings, place).await,
        Name::E2e => e2e::run(settings, place).await,
        Name::Replay
        | Name::RestartSnapshot
        | Name::RestartCold
        | Name::MemoryIntake
        | Name::MemoryRouting
        | Name::MemorySla => bail!("{} needs a log to begin with", name.as_str()),
    }
}

/// What is measured over a log of many open tickets, which is made once.
async fn on_corpus(names: &[Name], settings: &Bench, place: &place::Place) -> Result<Vec<Figure>> {
    let corpus = Corpus::build(settings, place).await?;
    let mut figures = Vec::new();
    for name in names {
        out::note(&format!("measuring {}", name.as_str()));
        figures.push(match name {
            Name::Replay => replay::run(settings, place, &corpus).await?,
            Name::RestartSnapshot => restart::warm(settings, place, &corpus).await?,
            Name::RestartCold => restart::cold(settings, place, &corpus).await?,
            Name::MemoryIntake | Name::MemoryRouting | Name::MemorySla => {
                memory::run(*name, settings, place, &corpus).await?
            }
            Name::Create1
            | Name::Create64
            | Name::Create256
            | Name::Echo64
            | Name::Append
            | Name::E2e => bail!("{} needs a log of its own", name.as_str()),
        });
    }
    Ok(figures)
}

//! Logs of earlier releases are read for ever: what was ever stored is recorded in `tests/golden`, and compared here.
//!
//! `tests/golden/renew` adds to what is recorded; nothing else does.

mod kept;
mod registry;
mod stage;
mod story;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Result, ensure};
use event_log::memory::MemoryProvider;
use event_log::{EventLogProvider as _, Record};
use intake_service::IntakeService;
use notify_service::{Config, Keys, NotifyService};
use routing_service::RoutingService;
use runtime::ServiceId;
use sla_service::SlaService;

use crate::golden::kept::{Renewal, States, Written};
use crate::golden::registry::{Registry, contract_of, types_of};
use crate::golden::stage::Stage;

/// The tables of all services.
fn types() -> Vec<Written> {
    let all = [
        types_of::<IntakeService>(),
        types_of::<RoutingService>(),
        types_of::<SlaService>(),
        types_of::<NotifyService>(),
    ];
    all.concat()
}

fn fold(service: ServiceId, records: &[Record]) -> Result<kept::State> {
    match service {
        ServiceId::Intake => {
            kept::fold(&IntakeService::new(Arc::new(MemoryProvider::new())), records)
        }
        ServiceId::Routing => kept::fold(&RoutingService::new(), records),
        ServiceId::Sla => kept::fold(&SlaService, records),
        ServiceId::Notify => {
            kept::fold(&NotifyService::new(Config::default(), Keys::none())?, records)
        }
    }
}

#[test]
fn every_event_of_the_contract_is_registered_once_and_nothing_else() {
    let all: BTreeSet<String> = ServiceId::ALL.into_iter().flat_map(contract_of).collect();
    for service in ServiceId::ALL {
        let mut names: Vec<String> = types()
            .into_iter()
            .filter(|(of, _, _)| *of == service)
            .map(|(_, name, _)| name)
            .collect();
        names.sort_unstable();
        let distinct: BTreeSet<String> = names.iter().cloned().collect();
        assert_eq!(names.len(), distinct.len(), "{service} has registered one twice: {names:?}");
        let missing: Vec<_> = contract_of(service).difference(&distinct).cloned().collect();
        assert!(missing.is_empty(), "{service}'s codec doesn't register {missing:?}");
        // Another service's may be written too: both routing and notify see workspaces.
        let foreign: Vec<_> = distinct.difference(&all).cloned().collect();
        assert!(foreign.is_empty(), "{service} registers what is no event: {foreign:?}");
    }
}

#[test]
fn what_was_ever_stored_is_still_read_the_same_way() -> Result<()> {
    let file = kept::place("events.txt");
    let recorded = Registry::parse(&std::fs::read_to_string(&file).unwrap_or_default())?;
    let now = Registry::of(&types())?;
    let broken = recorded.broken_by(&now);
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    let added = recorded.added_by(&now);
    if Renewal::asked() != Renewal::No {
        std::fs::write(file, now.text())?;
    } else if !added.is_empty() {
        anyhow::bail!("not recorded yet, run tests/golden/renew:\n{}", added.join("\n"));
    }
    Ok(())
}

#[tokio::test]
async fn golden_logs_come_to_the_recorded_states() -> Result<()> {
    let file = kept::place("states.txt");
    let recorded = States::parse(&std::fs::read_to_string(&file).unwrap_or_default())?;
    let mut folded = States::default();
    for (name, archive) in kept::all()? {
        for service in ServiceId::ALL {
            let records = kept::kept(&archive, service).await?;
            folded.put(&name, service, fold(service, &records)?);
        }
    }
    let renewal = Renewal::asked();
    let (over, left): (Vec<_>, Vec<_>) = recorded
        .differences(&folded)
        .into_iter()
        .partition(|difference| difference.yields_to(renewal));
    let left: Vec<_> = left.iter().map(kept::Difference::said).collect();
    ensure!(left.is_empty(), "{}", left.join("\n"));
    if !over.is_empty() {
        std::fs::write(file, folded.text())?;
    }
    Ok(())
}

#[tokio::test]
async fn golden_logs_hold_every_type_in_every_version() -> Result<()> {
    let mut held = BTreeSet::new();
    for (_, archive) in kept::all()? {
        for service in ServiceId::ALL {
            held.extend(kept::written(service, &kept::kept(&archive, service).await?)?);
        }
    }
    let recorded = Registry::parse(&std::fs::read_to_string(kept::place("events.txt"))?)?;
    let missing: Vec<_> = recorded.written().difference(&held).cloned().collect();
    let what =
        "tell of it in tests/tests/pure/golden/story.rs and run tests/golden/renew --log RELEASE";
    ensure!(missing.is_empty(), "no golden log has {missing:?}: {what}");
    Ok(())
}

/// So the next golden logs can be made whenever they are needed; `SWITCHYARD_GOLDEN_LOG` names them, and has them kept.
#[tokio::test(start_paused = true)]
async fn the_story_tells_of_every_type_of_event() -> Result<()> {
    let stage = Stage::set().await?;
    story::tell(&stage).await?;
    let logs = stage.stop().await;
    let mut told = BTreeSet::new();
    for service in ServiceId::ALL {
        let records = kept::records(&*logs.open(&service.log(0)).await?).await?;
        told.extend(kept::written(service, &records)?);
        fold(service, &records)?;
    }
    let missing: Vec<_> = types().into_iter().filter(|known| !told.contains(known)).collect();
    ensure!(missing.is_empty(), "the story does not tell of {missing:?}");
    match std::env::var("SWITCHYARD_GOLDEN_LOG") {
        Ok(name) if !name.is_empty() => kept::keep(&name, &logs).await,
        Ok(_) | Err(_) => Ok(()),
    }
}

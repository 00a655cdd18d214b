//! Tickets that services have and intake doesn't know, since its log was lost and given up.

use std::collections::BTreeSet;

use event_log::EventLogProvider;
use runtime::{ServiceId, identify};

use super::stored::Tails;
use super::{Page, advice};

/// How many tickets are named of a partition.
const NAMED_MAX: usize = 100;

/// A ticket: its workspace and its id.
type Key = (String, String);

/// Looks at the partitions whose intake log began in a lost one's place. Their logs are folded for it, which takes a
/// while.
pub(super) async fn look(provider: &dyn EventLogProvider, tails: &Tails, page: &mut Page) {
    let intakes = tails.keys().filter(|(service, _)| *service == ServiceId::Intake);
    for (_, partition) in intakes {
        for service in [ServiceId::Routing, ServiceId::Sla] {
            let subject = format!("{service}/{partition}");
            match of(provider, service, *partition).await {
                Ok(None) => {}
                Ok(Some(orphans)) if orphans.is_empty() => {
                    page.ok(subject, "tickets", "intake knows all that aren't closed");
                }
                Ok(Some(orphans)) => page.wrong(subject, "tickets", named(&orphans), advice::LOST),
                Err(why) => page.unknown(subject, "tickets", why, advice::LOST),
            }
        }
    }
}

fn named(orphans: &[Key]) -> String {
    let named = orphans.iter().take(NAMED_MAX).map(|(workspace, id)| format!("{workspace}/{id}"));
    let named = named.collect::<Vec<_>>().join(", ");
    let more = orphans.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{} tickets that intake doesn't know: {named}{more}", orphans.len())
}

/// The tickets that a service has, that aren't closed, and that intake doesn't know. None: intake's log is no lost
/// one's successor.
async fn of(
    provider: &dyn EventLogProvider,
    service: ServiceId,
    partition: u16,
) -> Result<Option<Vec<Key>>, String> {
    let told = |error: &dyn std::fmt::Display| format!("can't be compared: {error}");
    let Ok(intake) = provider.open(&ServiceId::Intake.log(partition)).await else {
        return Ok(None);
    };
    let born = match identify(&*intake, ServiceId::Intake, partition).await {
        Ok(identity) if identity.supersedes => identity.born,
        Ok(_) | Err(_) => return Ok(None),
    };
    let log = provider.open(&service.log(partition)).await.map_err(|error| told(&error))?;
    let its = identify(&*log, service, partition).await.map_err(|error| told(&error))?.born;
    let tickets: BTreeSet<Key> = match service {
        ServiceId::Routing => routing_service::open_tickets(&*log, its).await,
        ServiceId::Sla => sla_service::open_tickets(&*log, its).await,
        ServiceId::Intake | ServiceId::Notify => Ok(BTreeSet::new()),
    }
    .map_err(|error| told(&error))?;
    let unknown = intake_service::unknown_tickets(&*intake, born, &tickets).await;
    unknown.map(Some).map_err(|error| told(&error))
}

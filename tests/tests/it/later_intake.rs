//! A rolling upgrade in which intake comes first: what the other services don't know in its events is set aside, with a
//! word, and everything else goes on. Dropped without one, a ticket would go to somebody who lacks a skill.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use event_log::EventLogProvider as _;
use event_log_nats::{NatsConfig, NatsProvider};
use prost::Message as _;
use runtime::{ServiceId, open_record};
use tests::api::{Addresses, Api, new_id, until};
use tests::nats::Nats;
use tests::process::{Process, run};
use tests::{call, forge};
use wire::admin::v1::ListParkedRequest;
use wire::admin::v1::parked_service_client::ParkedServiceClient;
use wire::common::v1 as common;
use wire::events::v1 as events;
use wire::events::v1::{Commit, Event};
use wire::intake::v1 as intake;
use wire::routing::v1 as routing;

const WORKSPACE: &str = "default";

/// A ticket as today's release writes it.
fn opened(ticket: &str, number: u64) -> events::TicketOpened {
    events::TicketOpened {
        ticket_id: ticket.to_owned(),
        number,
        channel: common::Channel::Email.into(),
        requester: Some(events::Requester { requester_id: "r".to_owned(), ..Default::default() }),
        subject: "Card".to_owned(),
        body: "It was refused.".to_owned(),
        message_id: format!("{ticket}-m"),
        ..Default::default()
    }
}

fn event(kind: &str, entity: &str, revision: u64, data: Vec<u8>) -> Event {
    Event {
        r#type: kind.to_owned(),
        version: 1,
        workspace: WORKSPACE.to_owned(),
        entity: entity.to_owned(),
        revision,
        occurred_at_ms: 1_767_323_045_000,
        actor: "backend".to_owned(),
        data: data.into(),
        ..Default::default()
    }
}

/// What a later intake might write, each about a ticket of its own; the last is one of today's.
fn later() -> Vec<Event> {
    let skill = common::SkillRequirement { skill: "billing".to_owned(), min_level: 9 };
    let no_value = common::AttributeValue { kind: None };
    let mut skilled = opened("skilled", 1);
    skilled.required_skills = vec![skill];
    let mut urgent = opened("urgent", 2);
    urgent.priority = 9;
    let mut attributed = opened("attributed", 3);
    attributed.attributes.insert("plan".to_owned(), no_value);
    let known = opened("known", 4);
    let said = events::MessageAdded {
        ticket_id: "said".to_owned(),
        message_id: "m".to_owned(),
        author_kind: 9,
        visibility: events::Visibility::Public.into(),
        body: "A word.".to_owned(),
        ..Default::default()
    };
    let moved = events::StatusChanged {
        ticket_id: "moved".to_owned(),
        from: common::TicketStatus::Open.into(),
        to: 99,
        ..Default::default()
    };
    let mut all: Vec<_> = [skilled, urgent, attributed, known]
        .map(|one| event("TicketOpened", &one.ticket_id, 1, one.encode_to_vec()))
        .into();
    all.push(event("MessageAdded", "said", 2, said.encode_to_vec()));
    all.push(event("StatusChanged", "moved", 3, moved.encode_to_vec()));
    all
}

/// Writes them behind the last record of intake's log, as its leader would.
async fn write(url: &str) -> anyhow::Result<()> {
    let logs = NatsProvider::connect(NatsConfig::new(url)).await?;
    let log = logs.open(&ServiceId::Intake.log(0)).await?;
    let last = log.tail().await?.last;
    let record = log.read(last, 1 << 20).await?.pop().context("an empty log")?;
    open_record(&record)?;
    let commit = Commit { events: later(), ..forge::after(&record)? };
    log.append(last, forge::record(&commit)).await?;
    Ok(())
}

/// The entities of which a service has set something aside, and why.
async fn parked(address: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut client = ParkedServiceClient::connect(format!("http://{address}")).await?;
    let entities = client.list_parked(ListParkedRequest {}).await?.into_inner().entities;
    Ok(entities.into_iter().map(|one| (one.entity, one.error)).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_follower_does_not_know_is_set_aside_and_nothing_is_dropped() -> anyhow::Result<()> {
    let nats = Nats::start().await?;
    let url = nats.url();
    let made = run(&["init", "--log", &url, "--partitions", "1"]).await?;
    ensure!(made.status.success(), "init: {}", String::from_utf8_lossy(&made.stderr));
    let directory = tempfile::tempdir()?;
    let mut processes = Vec::new();
    for service in ServiceId::ALL {
        let arguments = ["serve", service.name(), "--log", &url];
        processes.push(Process::start(service.name(), directory.path(), &arguments, &[]).await?);
    }
    let [intake, routing, sla, notify] = &mut processes[..] else { anyhow::bail!("not four") };
    let addresses = Addresses {
        intake: intake.address().to_owned(),
        routing: routing.address().to_owned(),
        sla: sla.address().to_owned(),
        notify: notify.address().to_owned(),
    };
    let api = Api::new(&addresses)?;
    let put = intake::PutWorkspaceRequest {
        request_id: new_id(),
        workspace: Some(intake::Workspace {
            workspace_id: WORKSPACE.to_owned(),
            display_name: "Ours".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    call!(api, intake.put_workspace, put).await?;
    api.rest().await?;
    intake.stop().await?;
    write(&url).await?;

    // The ticket that is as today's is routed; so everything before it was read.
    let get = || routing::ExplainRoutingRequest {
        workspace_id: WORKSPACE.to_owned(),
        ticket_id: "known".to_owned(),
    };
    let fresh = api.fresh();
    until("the known ticket is routed", || async {
        Ok(call!(fresh, routing.explain_routing, get()).await.ok().map(drop))
    })
    .await?;
    for (address, unknown) in [
        (&addresses.routing, ["attributed", "moved", "said", "skilled", "urgent"].as_slice()),
        (&addresses.sla, ["attributed", "moved", "said", "urgent"].as_slice()),
        (&addresses.notify, ["moved", "urgent"].as_slice()),
    ] {
        let found = until("all that is unknown is set aside", || async {
            let found = parked(address).await?;
            Ok((found.len() >= unknown.len()).then_some(found))
        })
        .await?;
        let entities: Vec<_> = found.keys().map(String::as_str).collect();
        ensure!(entities == unknown, "{address}: {found:?}");
        ensure!(found.values().all(|why| why.ends_with("is unknown")), "{address}: {found:?}");
    }
    Ok(())
}

//! Much that follows from one event or one deadline stands in one record: what would be more than a record holds is
//! bounded before, and stops nobody.

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost_types::Duration;
use runtime::ServiceId;
use tests::api::{Api, new_id, reason_of, until};
use tests::call;
use tests::notices::{deliveries, open_ticket, put_rule, put_workspace, workspace_in};
use tests::stack::Stack;
use tests::story::put_agent;
use wire::common::v1::Channel;
use wire::events::v1 as events;
use wire::intake::v1 as intake;
use wire::routing::v1 as routing;

/// By the rules about an event and their recipients.
const NOTICES_MAX: usize = 300;
/// To one agent.
const OFFERS_MAX: u32 = 1_000;
const TICKETS: u32 = 1_200;

async fn all_ready(api: &Api, service: ServiceId) -> anyhow::Result<()> {
    for one in api.status(service).await? {
        ensure!(one.ready && one.reason.is_empty(), "{one:?}");
    }
    Ok(())
}

async fn told(api: &Api, workspace: &str, count: usize) -> anyhow::Result<()> {
    until("all are told", || async {
        Ok((deliveries(api, workspace).await?.len() == count).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_with_much_to_tell_stops_nobody() -> anyhow::Result<()> {
    let stack = Stack::up(&[]).await?;
    let api = stack.api()?;
    let (heavy, other) = (workspace_in(0, "heavy"), workspace_in(0, "other"));
    put_workspace(&api, &heavy).await?;
    put_workspace(&api, &other).await?;
    put_rule(&api, &other, "tell", None, "").await?;
    let put = async |number: usize| {
        put_rule(&api, &heavy, &format!("rule-{number}"), None, "{{ event.body }}").await
    };
    for number in 0..NOTICES_MAX {
        put(number).await?;
    }
    let refused = put(NOTICES_MAX).await.err().context("one more was taken")?;
    ensure!(reason_of(&refused) == "LIMIT_REACHED", "{refused:?}");
    // All texts together would be three times what a record holds.
    let ticket = intake::CreateTicketRequest {
        workspace_id: heavy.clone(),
        request_id: new_id(),
        channel: Channel::Email.into(),
        subject: "Much to say".to_owned(),
        body: "b".repeat(8_000),
        ..Default::default()
    };
    call!(api, intake.create_ticket, ticket).await?;
    told(&api, &heavy, NOTICES_MAX).await?;
    open_ticket(&api, &other).await?;
    told(&api, &other, 1).await?;
    all_ready(&api, ServiceId::Notify).await?;
    stack.stop().await
}

async fn stats(api: &Api, workspace: &str) -> anyhow::Result<routing::GetQueueStatsResponse> {
    let get = routing::GetQueueStatsRequest {
        workspace_id: workspace.to_owned(),
        queue_id: "default".to_owned(),
    };
    Ok(call!(api, routing.get_queue_stats, get).await?)
}

async fn offered(api: &Api, workspace: &str, count: u32) -> anyhow::Result<()> {
    until("the offers stand", || async {
        let stats = stats(api, workspace).await?;
        let all = stats.offered == count && stats.waiting == TICKETS - count;
        Ok(all.then_some(()))
    })
    .await
    .with_context(|| format!("{count} offers"))
}

async fn set_presence(
    api: &Api,
    workspace: &str,
    presence: events::Presence,
    lease: i64,
) -> anyhow::Result<()> {
    let set = routing::SetPresenceRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        agent_id: "ada".to_owned(),
        presence: presence.into(),
        lease: Some(Duration { seconds: lease, nanos: 0 }),
    };
    call!(api, routing.set_presence, set).await.context("presence")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_who_goes_with_very_many_offers_stops_nobody() -> anyhow::Result<()> {
    let stack = Stack::up(&[]).await?;
    let api = stack.api()?;
    let workspace = workspace_in(0, "busy");
    put_workspace(&api, &workspace).await?;
    let queue = routing::PutQueueRequest {
        workspace_id: workspace.clone(),
        request_id: new_id(),
        queue: Some(routing::Queue {
            queue_id: "default".to_owned(),
            offer_mode: events::OfferMode::Manual.into(),
            accept_within: Some(Duration { seconds: 3_600, nanos: 0 }),
            ..Default::default()
        }),
        ..Default::default()
    };
    call!(api, routing.put_queue, queue).await?;
    put_agent(&api, &workspace, "ada", &[], 1_000_000).await?;
    let open = |_| open_ticket(&api, &workspace);
    stream::iter(0..TICKETS).map(open).buffer_unordered(32).try_collect::<Vec<_>>().await?;
    offered(&api, &workspace, OFFERS_MAX).await?;
    // Once by a deadline, once by a call.
    set_presence(&api, &workspace, events::Presence::Available, 1).await?;
    offered(&api, &workspace, 0).await?;
    all_ready(&api, ServiceId::Routing).await?;
    set_presence(&api, &workspace, events::Presence::Available, 0).await?;
    offered(&api, &workspace, OFFERS_MAX).await?;
    set_presence(&api, &workspace, events::Presence::Offline, 0).await?;
    offered(&api, &workspace, 0).await?;
    all_ready(&api, ServiceId::Routing).await?;
    stack.stop().await
}

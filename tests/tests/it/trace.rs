//! One ticket's story as one trace: a collector of the tests' own receives the spans of all four processes.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use tests::api::until;
use tests::collector::{Collector, Seen, by_id, dangling};
use tests::receiver::Receiver;
use tests::stack::Stack;
use tests::story::{SAID, tell};

/// The caller's own trace, as another backend would send it.
const TRACE_ID: [u8; 16] = *b"switchyard-story";
const SPAN_ID: [u8; 8] = *b"a-caller";

/// What each service must have told, at least, within the caller's trace: by the beginning of the span's name.
const TOLD: [(&str, &str); 12] = [
    ("switchyard-intake", "switchyard.intake.v1.IntakeService/CreateTicket"),
    ("switchyard-intake", "switchyard.intake.v1.IntakeService/AddMessage"),
    ("switchyard-intake", "intake process OfferAccepted"),
    ("switchyard-routing", "switchyard.routing.v1.RoutingService/AcceptOffer"),
    ("switchyard-routing", "switchyard.routing.v1.RoutingService/CompleteWork"),
    ("switchyard-routing", "routing process TicketOpened"),
    ("switchyard-sla", "sla process TicketOpened"),
    ("switchyard-sla", "sla process MessageAdded"),
    ("switchyard-notify", "notify process TicketOpened"),
    ("switchyard-notify", "notify process OfferMade"),
    ("switchyard-notify", "notify process OfferAccepted"),
    ("switchyard-notify", "notify process StatusChanged"),
];

#[tokio::test(flavor = "multi_thread")]
async fn one_ticket_is_one_story_across_four_processes() -> anyhow::Result<()> {
    let collector = Collector::start().await?;
    let environment =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let stack = Stack::four(&environment).await?;
    let receiver = Receiver::start().await?;
    let (trace_id, span_id) = (u128::from_be_bytes(TRACE_ID), u64::from_be_bytes(SPAN_ID));
    let traceparent = format!("00-{trace_id:032x}-{span_id:016x}-01");
    let api = stack.api()?.traced(&traceparent);
    tell(&api, "traced", &receiver).await.with_context(|| stack.said())?;
    until("every service has told its part", || async {
        Ok(missing(&collector.spans()).is_empty().then_some(()))
    })
    .await
    .with_context(|| format!("missing: {:?}", missing(&collector.spans())))?;
    // A stop sends what is left, so that every parent and link can be found.
    let logged = stack.processes.iter().map(tests::process::Process::said).collect::<String>();
    stack.stop().await?;
    let spans = collector.spans();
    check_tree(&spans)?;
    check_notification(&spans)?;
    check_discretion(&spans, &logged)
}

fn missing(spans: &[Seen]) -> Vec<(&'static str, &'static str)> {
    let ours = by_id(spans, &TRACE_ID);
    let told = |service: &str, name: &str| {
        ours.values().any(|seen| seen.service == service && seen.span.name.starts_with(name))
    };
    TOLD.into_iter().filter(|(service, name)| !told(service, name)).collect()
}

/// Every parent and link is a span that came too, and from each span of the caller's trace the way up ends at the
/// caller.
fn check_tree(spans: &[Seen]) -> anyhow::Result<()> {
    let lost = dangling(spans, &[SPAN_ID.to_vec()]);
    ensure!(lost.is_empty(), "spans whose parent or link never came: {lost:?}");
    let ours = by_id(spans, &TRACE_ID);
    for seen in ours.values() {
        let mut at = *seen;
        let mut steps = 0;
        while at.span.parent_span_id != SPAN_ID {
            let parent = ours.get(&at.span.parent_span_id);
            at = parent.with_context(|| format!("{} has no way to the caller", seen.span.name))?;
            steps += 1;
            ensure!(steps < 50, "{} goes round in circles", seen.span.name);
        }
        if seen.span.name.contains(" process ") {
            let linked =
                seen.span.links.iter().any(|link| link.span_id == seen.span.parent_span_id);
            ensure!(linked, "{} is not linked with its cause", seen.span.name);
        }
    }
    Ok(())
}

/// The offer is made within the handling of the ticket's opening, the notification within that of the offer, and
/// appends are roots of their own, linked with what they carry.
fn check_notification(spans: &[Seen]) -> anyhow::Result<()> {
    let ours = by_id(spans, &TRACE_ID);
    let named = |name: &'static str| ours.values().filter(move |seen| seen.span.name == name);
    let parent =
        |seen: &Seen| ours.get(&seen.span.parent_span_id).map(|parent| parent.span.name.clone());
    let routed: Vec<_> =
        named("routing process TicketOpened").filter_map(|seen| parent(seen)).collect();
    let created = "switchyard.intake.v1.IntakeService/CreateTicket";
    ensure!(routed == [created], "routing handles the opening as a child of {routed:?}");
    let told: BTreeSet<_> =
        named("notify process OfferMade").filter_map(|seen| parent(seen)).collect();
    let offered = "routing process TicketOpened";
    ensure!(told.contains(offered), "notify handles the offer as a child of {told:?}");
    for service in ["intake", "routing", "sla", "notify"] {
        let name = format!("append sy.v1.{service}");
        let mut appends = spans.iter().filter(|seen| seen.span.name == name).peekable();
        ensure!(appends.peek().is_some(), "no {name}");
        for append in appends {
            ensure!(append.span.parent_span_id.is_empty(), "{name} has a parent");
            ensure!(!append.span.links.is_empty(), "{name} is linked with nothing");
        }
    }
    // Each webhook's first attempt belongs to the story of what it tells.
    let attempts: Vec<_> = named("notify.attempt").filter_map(|seen| parent(seen)).collect();
    let told = attempts.iter().filter(|parent| parent.starts_with("notify process ")).count();
    ensure!(told >= 4, "the webhooks' attempts are children of {attempts:?}");
    Ok(())
}

/// Nothing that a customer or an agent has said is in any span, nor in the logs.
fn check_discretion(spans: &[Seen], logged: &str) -> anyhow::Result<()> {
    for said in SAID {
        for seen in spans {
            ensure!(!seen.text().contains(said), "{} tells {said:?}", seen.span.name);
        }
        ensure!(!logged.contains(said), "the log tells {said:?}");
    }
    Ok(())
}

//! A log's server that is gone is noticed though nobody calls: calls fail at once, and everybody says so, once.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use runtime::ServiceId;
use tests::api::{Api, reason_of, until};
use tests::call;
use tests::nats::Nats;
use tests::stack::Stack;
use tokio::time::Instant;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use crate::halted::ticket;

/// Within what it is to be noticed. Tests allow ten times the figure.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);
/// What is meant by "at once".
const AT_ONCE: Duration = Duration::from_millis(200);

async fn is_serving(api: &Api, service: ServiceId) -> anyhow::Result<bool> {
    let request = HealthCheckRequest { service: String::new() };
    let reply = HealthClient::new(api.channel(service)).check(request).await?;
    Ok(reply.into_inner().status() == ServingStatus::Serving)
}

/// Waits until all services say the same of their health, and how long that took.
async fn until_serving(api: &Api, wanted: bool) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    until("health changes", || async {
        for service in ServiceId::ALL {
            if is_serving(api, service).await? != wanted {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await?;
    Ok(begun.elapsed())
}

/// The lines of a process that say that something is wrong with the log, or right again, from a place in what it said
/// on.
fn lines(said: &str, from: usize, words: &str) -> Vec<String> {
    let since = said.get(from..).unwrap_or_default();
    since.lines().filter(|line| line.contains(words)).map(str::to_owned).collect()
}

async fn away_and_back(
    away: impl Fn(&mut Nats) -> anyhow::Result<()>,
    back: impl Fn(&mut Nats) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut stack = Stack::four(&[("SWITCHYARD_METRICS_LISTEN", "127.0.0.1:0")]).await?;
    let api = stack.api()?;
    call!(api, intake.create_ticket, ticket("default")).await?;
    api.rest().await?;
    until_serving(&api, true).await?;
    let said: Vec<usize> = stack.processes.iter().map(|process| process.said().len()).collect();
    away(stack.nats.as_mut().context("no nats")?)?;
    let noticed = until_serving(&api, false).await?;
    println!("noticed after {:.1} s", noticed.as_secs_f64());
    ensure!(noticed < NOTICED_WITHIN * 10, "noticed after {noticed:?}");

    for service in ServiceId::ALL {
        until("all partitions say so", || async {
            let all = api.status(service).await?;
            let away = all.iter().all(|one| one.reason == "the log can't be reached");
            Ok(away.then_some(()))
        })
        .await?;
    }
    for process in &stack.processes {
        let figures = process.figures().await?;
        let away = figures.lines().filter(|line| line.contains("state=\"log_unavailable\""));
        ensure!(
            away.clone().count() == 4 && away.clone().all(|line| line.ends_with(" 1")),
            "{figures}"
        );
    }
    let mut client = api.intake.clone();
    let begun = Instant::now();
    let refused = client.create_ticket(api.request(ticket("default"))).await;
    let took = begun.elapsed();
    println!("a call failed after {} ms", took.as_millis());
    let status = refused.err().context("a log that is away took a ticket")?;
    ensure!(took < AT_ONCE * 10, "it failed after {took:?}");
    ensure!(reason_of(&status) == "LOG_UNAVAILABLE", "{status:?}");
    ensure!(status.code() == tonic::Code::Unavailable, "{status:?}");
    ensure!(status.get_details_retry_info().is_some(), "{status:?}");

    back(stack.nats.as_mut().context("no nats")?)?;
    until_serving(&api, true).await?;
    call!(api, intake.create_ticket, ticket("default")).await?;
    for (process, from) in stack.processes.iter().zip(said) {
        let said = process.said();
        let (gone, again) =
            (lines(&said, from, "can't be reached"), lines(&said, from, "can be reached again"));
        ensure!(gone.len() == 1 && again.len() == 1, "{gone:#?} {again:#?}");
        let (warnings, errors) = (lines(&said, from, "WARN"), lines(&said, from, "ERROR"));
        ensure!(warnings.len() + errors.len() == 1, "{warnings:#?} {errors:#?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_is_noticed_without_a_call() -> anyhow::Result<()> {
    away_and_back(|nats| nats.kill(0), |nats| nats.start_again(0)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_frozen_is_noticed_without_a_call() -> anyhow::Result<()> {
    away_and_back(|nats| nats.freeze(0), |nats| nats.thaw(0)).await
}

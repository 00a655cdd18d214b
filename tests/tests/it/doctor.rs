//! `switchyard doctor` and the metrics: what an operator sees of an installation that is well, and of one that isn't.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_nats::jetstream::stream::DiscardPolicy;
use event_log::{EventLogProvider as _, LogName, OpenError};
use event_log_nats::{NatsConfig, NatsProvider};
use serde_json::Value;
use tests::api::{Addresses, Api};
use tests::call;
use tests::doctor::{doctor, text, wrong};
use tests::nats::Nats;
use tests::process::Process;
use tests::stack::Stack;
use tokio::time::{Instant, sleep};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use wire::intake::v1 as intake;

const WITHIN: Duration = Duration::from_secs(60);

/// The value of the first figure that begins so.
fn figure(text: &str, begins: &str) -> Option<f64> {
    text.lines().find(|line| line.starts_with(begins))?.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_that_is_well_and_then_is_not() -> anyhow::Result<()> {
    let stack = Stack::four(&[("SWITCHYARD_METRICS_LISTEN", "127.0.0.1:0")]).await?;
    let api = stack.api()?;
    call!(api, intake.create_ticket, ticket()).await?;
    api.rest().await?;
    let nats = stack.nats.as_ref().context("no nats")?;
    let (url, monitors) = (nats.url(), nats.monitors().join(","));
    let Addresses { intake, routing, sla, notify } = stack.addresses();
    let targets = [intake, routing, sla.clone(), notify].join(",");
    let arguments = ["--log", &url, "--nats-monitor", &monitors, "--target", &targets];
    let (well, lines) = doctor(&arguments).await?;
    ensure!(well && wrong(&lines).is_empty(), "{:#?}", wrong(&lines));
    let (well, lines) = doctor(&[&arguments[..], &["--deep"]].concat()).await?;
    ensure!(well, "{:#?}", wrong(&lines));
    for check in ["chain", "inputs", "answers", "serves"] {
        ensure!(lines.iter().any(|line| text(line, "check") == check), "nothing about {check}");
    }
    let figures = stack.processes[2].figures().await?;
    let leads = "switchyard_partition_state{service=\"sla\",partition=\"1\",state=\"ready\"}";
    ensure!(figure(&figures, leads) == Some(1.0), "{figures}");

    // A stream that could forget: the doctor sees it, the partition stops, and everybody says why.
    let admin = nats.jetstream().await?;
    let kept = admin.get_stream("SY_SLA_01").await?;
    let mut config = kept.cached_info().config.clone();
    config.discard = DiscardPolicy::Old;
    admin.update_stream(config).await?;
    let deadline = Instant::now() + WITHIN;
    let halted = "switchyard_partition_state{service=\"sla\",partition=\"1\",state=\"halted\"}";
    loop {
        let (well, lines) = doctor(&arguments).await?;
        ensure!(!well, "it says that all is well");
        let about = |subject: &str, check: &str| {
            wrong(&lines).iter().any(|line| {
                let advised = text(line, "advice").contains("deploy/README.md");
                text(line, "subject").starts_with(subject)
                    && text(line, "check") == check
                    && text(line, "found").contains("forgets old records")
                    && advised
            })
        };
        ensure!(about("sla/1", "set up"), "{:#?}", wrong(&lines));
        let served = stack.processes[2].figures().await?;
        if about("sla/1 at", "answers") && figure(&served, halted) == Some(1.0) {
            break;
        }
        ensure!(Instant::now() < deadline, "the partition goes on: {:#?}", wrong(&lines));
        sleep(Duration::from_millis(500)).await;
    }
    // It takes nothing from the others.
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{sla}"))?.connect_lazy();
    let wanted = [("", ServingStatus::Serving), ("sla/1", ServingStatus::NotServing)];
    for (service, wanted) in wanted {
        let request = HealthCheckRequest { service: service.to_owned() };
        let health = HealthClient::new(channel.clone()).check(request).await?.into_inner();
        ensure!(health.status() == wanted, "{service}: {health:?}");
    }

    admin.delete_stream("SY_NOTIFY_02").await?;
    let (well, lines) = doctor(&["--log", &url]).await?;
    let gone =
        |line: &&Value| text(line, "subject") == "notify/2" && text(line, "check") == "exists";
    ensure!(!well && wrong(&lines).iter().any(gone), "{:#?}", wrong(&lines));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_without_authorities_and_quiet_at_its_stop() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let nowhere = directory.path().join("nowhere").display().to_string();
    let environment = [("SSL_CERT_FILE", &*nowhere), ("SSL_CERT_DIR", &*nowhere)];
    let arguments = ["up", "--metrics-listen", "127.0.0.1:0"];
    let mut process = Process::start("up", directory.path(), &arguments, &environment).await?;
    let at = process.address().to_owned();
    let api = Api::new(&Addresses {
        intake: at.clone(),
        routing: at.clone(),
        sla: at.clone(),
        notify: at.clone(),
    })?;
    call!(api, intake.create_ticket, ticket()).await?;
    api.rest().await?;
    let figures = process.figures().await?;
    for begins in [
        "switchyard_log_commits_total{service=\"intake\"",
        "switchyard_log_appends_total{service=\"intake\",partition=\"0\",outcome=\"written\"}",
        "switchyard_log_append_seconds_count{service=\"routing\"",
        "switchyard_lease_epoch{service=\"sla\"",
        "switchyard_log_applied_seq{service=\"notify\"",
        "switchyard_invariant_violations_total{service=\"sla\",partition=\"0\",invariant=\"I5\"}",
        "switchyard_notify_attempts_total{outcome=\"not_sent\"}",
        "switchyard_clock_doubtful",
    ] {
        ensure!(figure(&figures, begins).is_some(), "no {begins} in {figures}");
    }
    ensure!(figures.trim_end().ends_with("# EOF"), "it is cut short");
    ensure!(!figures.contains("default"), "a workspace's name is shown");
    let (well, lines) = doctor(&["--target", &at]).await?;
    ensure!(well, "{:#?}", wrong(&lines));
    ensure!(process.stop().await?.success(), "{}", process.said());
    let said = process.said();
    ensure!(!said.contains("the timeline"), "{said}");
    ensure!(said.contains("certificate authorities"), "nobody was told: {said}");
    let data = directory.path().join("up").display().to_string();
    let (well, lines) = doctor(&["--data-dir", &data, "--deep"]).await?;
    ensure!(well, "{:#?}", wrong(&lines));
    Ok(())
}

fn ticket() -> intake::CreateTicketRequest {
    intake::CreateTicketRequest {
        workspace_id: "default".to_owned(),
        channel: wire::common::v1::Channel::Email.into(),
        subject: "Is all well?".to_owned(),
        body: "I wonder.".to_owned(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_sync_is_refused_if_it_can_be_asked() -> anyhow::Result<()> {
    let log = LogName::new("sla", 0);
    let connect = async |nats: &Nats, monitors: Vec<String>| {
        let mut config = NatsConfig::new(&nats.url());
        config.monitor_urls = monitors;
        NatsProvider::connect(config).await
    };
    let lazy = Nats::start_unsynced().await?;
    let refused = connect(&lazy, lazy.monitors()).await?.create(&log, "genesis".into()).await;
    let Err(OpenError::Misconfigured { reason, .. }) = refused else {
        anyhow::bail!("it was taken: {refused:?}");
    };
    ensure!(reason.contains("sync_interval: always"), "{reason}");

    let synced = Nats::start().await?;
    let provider = connect(&synced, synced.monitors()).await?;
    let made = provider.create(&log, "genesis".into()).await?.inspect().await?;
    ensure!(made.faults.is_empty() && made.warnings.is_empty(), "{made:?}");
    let nobody = vec!["http://127.0.0.1:1".to_owned()];
    let unasked = connect(&synced, nobody).await?.open(&log).await?.inspect().await?;
    ensure!(unasked.faults.is_empty() && unasked.warnings.len() == 1, "{unasked:?}");
    Ok(())
}

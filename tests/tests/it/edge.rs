//! The edge under callers who mean no good, or can't do better: half-open connections, no file descriptors, settings
//! that are wrong.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tests::api::{Api, until};
use tests::call;
use tests::process::{Process, run};
use tests::stack::Stack;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, timeout};
use wire::common::v1::{self as common, Channel};
use wire::intake::v1 as intake;

const WITHIN: Duration = Duration::from_secs(60);
const METRICS: [&str; 2] = ["--metrics-listen", "127.0.0.1:0"];

fn ticket() -> intake::CreateTicketRequest {
    intake::CreateTicketRequest {
        workspace_id: "default".to_owned(),
        channel: Channel::Email.into(),
        requester: Some(wire::events::v1::Requester {
            requester_id: "rita".to_owned(),
            ..Default::default()
        }),
        subject: "It does not start".to_owned(),
        body: "Since yesterday.".to_owned(),
        ..Default::default()
    }
}

async fn create(api: &Api) -> anyhow::Result<()> {
    call!(api, intake.create_ticket, ticket()).await.map(drop).context("a ticket")
}

fn only(stack: &Stack) -> anyhow::Result<&Process> {
    stack.processes.first().context("no process")
}

/// How often a line with these words was logged.
fn lines(process: &Process, words: &str) -> usize {
    process.said().lines().filter(|line| line.contains(words)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn four_thousand_half_open_connections_end_and_callers_are_served() -> anyhow::Result<()> {
    const COUNT: usize = 4_000;
    let stack = Stack::up(&METRICS).await?;
    let (api, process) = (stack.api()?, only(&stack)?);
    create(&api).await?;
    let mut open = Vec::new();
    for _ in 0..COUNT {
        open.push(TcpStream::connect(process.address()).await?);
        // Who is there already is served all the while.
        if open.len() % 500 == 0 {
            create(&api).await?;
        }
    }
    for mut socket in open {
        // A connection beyond the limit may have been reset.
        drop(timeout(WITHIN, socket.read_to_end(&mut Vec::new())).await.context("it stays")?);
    }
    create(&api).await?;
    create(&stack.api()?).await.context("on a new connection")?;
    let timed_out = process.figure("switchyard_edge_handshakes_timed_out_total").await?;
    let refused = process.figure("switchyard_edge_connections_refused_total").await?;
    ensure!(
        (timed_out + refused - 4_000.0).abs() < 0.5,
        "{timed_out} timed out, {refused} refused"
    );
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn large_items_make_small_pages() -> anyhow::Result<()> {
    const COUNT: usize = 50;
    let stack = Stack::up(&[]).await?;
    let api = stack.api()?;
    // Together 3 MB, and more than a page holds; a client takes replies of up to 4 MiB.
    let text = || common::AttributeValue {
        kind: Some(common::attribute_value::Kind::Text("x".repeat(1_000))),
    };
    let attributes: BTreeMap<_, _> = (0..60).map(|number| (format!("a{number}"), text())).collect();
    for _ in 0..COUNT {
        let request = intake::CreateTicketRequest { attributes: attributes.clone(), ..ticket() };
        call!(api, intake.create_ticket, request).await?;
    }
    let (mut listed, mut pages, mut page_token) = (0, 0, String::new());
    let mut ticket_id = String::new();
    while pages == 0 || !page_token.is_empty() {
        let workspace_id = "default".to_owned();
        let request = intake::ListTicketsRequest {
            workspace_id,
            page_size: 1_000,
            page_token,
            ..Default::default()
        };
        let page = call!(api, intake.list_tickets, request).await?;
        (listed, pages, page_token) =
            (listed + page.tickets.len(), pages + 1, page.next_page_token);
        ticket_id = page.tickets.last().map(|it| it.ticket_id.clone()).unwrap_or(ticket_id);
    }
    ensure!(listed == COUNT && pages > 1, "{listed} tickets in {pages} pages");

    for _ in 0..COUNT {
        let request = intake::AddMessageRequest {
            workspace_id: "default".to_owned(),
            ticket_id: ticket_id.clone(),
            author_kind: wire::events::v1::AuthorKind::EndUser.into(),
            visibility: wire::events::v1::Visibility::Public.into(),
            body: "y".repeat(60_000),
            ..Default::default()
        };
        call!(api, intake.add_message, request).await?;
    }
    let (mut told, mut pages, mut page_token) = (0, 0, String::new());
    while pages == 0 || !page_token.is_empty() {
        let request = intake::GetTimelineRequest {
            workspace_id: "default".to_owned(),
            ticket_id: ticket_id.clone(),
            page_size: 1_000,
            page_token,
        };
        let page = call!(api, intake.get_timeline, request).await?;
        told += page.entries.iter().filter(|entry| entry.event_type == "MessageAdded").count();
        (pages, page_token) = (pages + 1, page.next_page_token);
    }
    ensure!(told == COUNT && pages > 1, "{told} messages in {pages} pages");
    stack.stop().await
}

/// The time of processors that a process has had, in clock ticks.
fn ticks(process: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("no name")?;
    let numbers: Vec<_> = rest.split_whitespace().skip(11).take(2).collect();
    numbers.into_iter().map(|number| number.parse::<u64>().context("ticks")).sum()
}

async fn prlimit(process: u32, files: &str) -> anyhow::Result<()> {
    let (pid, files) = (process.to_string(), format!("--nofile={files}"));
    let set = Command::new("prlimit").args(["--pid", &pid, &files]).status().await?;
    ensure!(set.success(), "prlimit {files}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_file_descriptors_it_waits_and_says_so_once() -> anyhow::Result<()> {
    const BEGINS: &str = "no connection can be accepted";
    const ENDS: &str = "connections are accepted again";
    let stack = Stack::up(&METRICS).await?;
    let (api, process) = (stack.api()?, only(&stack)?);
    create(&api).await?;
    let id = process.id()?;
    let files = std::fs::read_dir(format!("/proc/{id}/fd"))?.count();
    prlimit(id, &format!("{}:", files + 4)).await?;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(TcpStream::connect(process.address()).await?);
    }
    until("it says so", || async { Ok((lines(process, BEGINS) > 0).then_some(())) }).await?;
    let (began, before) = (Instant::now(), ticks(id)?);
    // Whoever is connected is served; the calls also let the time pass that is measured.
    while began.elapsed() < Duration::from_secs(3) {
        create(&api).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (used, passed) = (ticks(id)?.saturating_sub(before), began.elapsed().as_millis() / 10);
    // One processor at full tilt is 100 ticks a second; it took 104 of 100.
    ensure!(u128::from(used) * 3 < passed, "{used} of {passed} ticks");
    prlimit(id, "10000:").await?;
    create(&stack.api()?).await.context("afterwards")?;
    until("it says that it is over", || async { Ok((lines(process, ENDS) > 0).then_some(())) })
        .await?;
    ensure!(lines(process, BEGINS) == 1, "{}", process.said());
    ensure!(lines(process, ENDS) == 1, "{}", process.said());
    let pauses = process.figure("switchyard_edge_accept_pauses_total").await?;
    ensure!((pauses - 1.0).abs() < 0.5, "{pauses} pauses");
    drop(waiting);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_setting_of_telemetry_stops_a_start() -> anyhow::Result<()> {
    let endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let traces = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    let wrong = [
        (endpoint, "localhost:4317"),
        (endpoint, "https://localhost:4317"),
        (endpoint, "nonsense"),
        (endpoint, "http://"),
        (traces, "ftp://collector"),
        ("RUST_LOG", "runtime=loud"),
        ("SWITCHYARD_LOG_LEVEL", "a=b=c"),
    ];
    for (variable, value) in wrong {
        let directory = tempfile::tempdir()?;
        let environment = [(variable, value)];
        let mut process =
            Process::start("up", directory.path(), &["up"], &environment).await.context(value)?;
        let said = process.said();
        let setting = if variable == "SWITCHYARD_LOG_LEVEL" { "--log-level" } else { variable };
        let named = |line: &&str| line.contains("\"WARN\"") && line.contains(setting);
        ensure!(said.lines().filter(named).count() == 1, "{variable}={value}: {said}");
        let stopped = process.stop().await?;
        ensure!(stopped.success(), "{variable}={value}: {stopped}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_one_line() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    // Bound and never listened on by a collector: whoever dials it is not answered in its language.
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let url = format!("http://{closed}");
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
    ];
    let mut process = Process::start("up", directory.path(), &["up"], &environment).await?;
    let address = process.address().to_owned();
    let api = Api::new(&tests::api::Addresses {
        intake: address.clone(),
        routing: address.clone(),
        sla: address.clone(),
        notify: address,
    })?;
    let said = || lines(&process, "OTEL_EXPORTER_OTLP_ENDPOINT");
    until("it says so", || async {
        create(&api).await?;
        Ok((said() > 0).then_some(()))
    })
    .await?;
    for _ in 0..50 {
        create(&api).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let text = process.said();
    ensure!(said() == 1, "{text}");
    ensure!(!text.contains("BatchSpanProcessor"), "{text}");
    ensure!(process.stop().await?.success(), "the stop");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_metrics_that_is_taken_is_bad_configuration() -> anyhow::Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let directory = tempfile::tempdir()?;
    let data = directory.path().display().to_string();
    let arguments = ["up", "--data-dir", &data, "--listen", "127.0.0.1:0", "--metrics-listen"];
    let ended = run(&[&arguments[..], &[&address]].concat()).await?;
    ensure!(ended.status.code() == Some(78), "{ended:?}");
    ensure!(String::from_utf8_lossy(&ended.stderr).contains("--metrics-listen"), "{ended:?}");
    Ok(())
}

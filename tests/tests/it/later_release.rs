//! What a later release has written: fields that are unknown are passed over and never lost; what can't be understood
//! stops the partition and is not skipped.

#![expect(clippy::indexing_slicing, reason = "a test fails by it")]

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use archive::Archive;
use event_log::LogName;
use event_log::{EventLogProvider, Record};
use event_log_embedded::EmbeddedProvider;
use runtime::{ServiceId, open_record, partition_of};
use tests::api::reason_of;
use tests::process::run;
use tests::stack::Stack;
use tests::{call, forge};
use wire::admin::v1::ReadRequest;
use wire::admin::v1::log_service_client::LogServiceClient;
use wire::common::v1::Service;
use wire::events::v1::{Event, WorkspacePut};
use wire::intake::v1 as intake;

use crate::halted::{until_halted, workspaces};

/// The workspace that is always there, and its name from a later release.
const WORKSPACE: &str = "default";
const RENAMED: &str = "Renamed";

/// How many partitions an embedded log has.
const PARTITIONS: u16 = 4;

/// Intake's log of that workspace.
fn log() -> LogName {
    ServiceId::Intake.log(partition_of(WORKSPACE, PARTITIONS))
}

async fn records(logs: &dyn EventLogProvider) -> anyhow::Result<Vec<Record>> {
    let log = logs.open(&log()).await?;
    let mut all: Vec<Record> = Vec::new();
    loop {
        let more = log.read(all.last().map_or(1, |last| last.seq + 1), 1 << 20).await?;
        if more.is_empty() {
            return Ok(all);
        }
        all.extend(more);
    }
}

/// A server that ran and stopped.
async fn stopped() -> anyhow::Result<Stack> {
    let mut stack = Stack::up(&[]).await?;
    ensure!(stack.processes[0].stop().await?.success(), "{}", stack.said());
    Ok(stack)
}

/// Puts a record behind intake's last one. Returns it.
async fn append(
    data: &Path,
    make: impl FnOnce(&[Record]) -> anyhow::Result<bytes::Bytes>,
) -> anyhow::Result<Record> {
    let logs = EmbeddedProvider::open(data.join("log"))?;
    let all = records(&logs).await?;
    let last = all.last().context("the log is empty")?.seq;
    let bytes = make(&all)?;
    let seq = logs.open(&log()).await?.append(last, bytes.clone()).await?;
    logs.close().await;
    Ok(Record { seq, bytes })
}

/// The event that gives the workspace another name.
fn renaming(all: &[Record]) -> anyhow::Result<Event> {
    let mut events = Vec::new();
    for record in all {
        events.extend(open_record(record)?.events);
    }
    let last = events.into_iter().rfind(|event| event.r#type == "WorkspacePut");
    let last = last.context("there is no workspace")?;
    let put = WorkspacePut {
        workspace_id: WORKSPACE.to_owned(),
        display_name: RENAMED.to_owned(),
        default_priority: 0,
    };
    let data = forge::with_unknown_field(&put).into();
    Ok(Event { revision: last.revision + 1, data, ..last })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_field_is_passed_over_and_never_lost() -> anyhow::Result<()> {
    let mut stack = stopped().await?;
    let data = stack.directory().join("up");
    let written = append(&data, |all| {
        let last = all.last().context("the log is empty")?;
        Ok(forge::record_with_unknown_fields(&forge::after(last)?, &renaming(all)?))
    })
    .await?;

    // It is folded, ...
    stack.processes[0].start_again().await?;
    let get = intake::GetWorkspaceRequest { workspace_id: WORKSPACE.to_owned() };
    let api = stack.api()?;
    let workspace = call!(api, intake.get_workspace, get).await?.workspace;
    ensure!(workspace.is_some_and(|workspace| workspace.display_name == RENAMED));
    // ... shown as it is stored, ...
    let url = format!("http://{}", stack.addresses().intake);
    let read = ReadRequest {
        service: Service::Intake.into(),
        partition: log().partition.into(),
        from_seq: written.seq,
        max_records: 1,
        decode: true,
    };
    let shown = LogServiceClient::connect(url).await?.read(read).await?.into_inner().records;
    ensure!(shown.first().is_some_and(|record| record.data == written.bytes), "{shown:?}");
    ensure!(stack.processes[0].stop().await?.success(), "{}", stack.said());

    // ... and copied as it is stored: to an archive, to a backup, and back.
    let copies = tempfile::tempdir()?;
    let path = |name: &str| copies.path().join(name).display().to_string();
    let data = data.display().to_string();
    for arguments in [
        vec!["log", "archive", "--data-dir", &data, "--to", &path("archive")],
        vec!["backup", "--data-dir", &data, "--to", &path("backup")],
        vec!["restore", "--from", &path("backup"), "--data-dir", &path("restored")],
        vec!["verify", "--data-dir", &data],
        vec!["verify", "--data-dir", &path("restored"), "--backup", &path("backup")],
    ] {
        let ended = run(&arguments).await?;
        ensure!(ended.status.success(), "{arguments:?}: {ended:?}");
    }
    for name in ["archive", "backup"] {
        let archive = Archive::open(path(name))?;
        let copied = archive.log(&log())?.read(written.seq)?;
        ensure!(copied.contains(&written), "{name} has it otherwise");
    }
    let restored = EmbeddedProvider::open(copies.path().join("restored/log"))?;
    ensure!(records(&restored).await?.contains(&written), "it was restored otherwise");
    restored.close().await;
    Ok(())
}

/// Makes of an event one that a later release would have written.
type Change = Arc<dyn Fn(Event) -> Event>;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_stops_the_partition() -> anyhow::Result<()> {
    let unknown_type = |event: Event| Event { r#type: "WorkspaceMerged".to_owned(), ..event };
    let later_version = |event: Event| Event { version: 2, ..event };
    let same = |event: Event| event;
    let cases: [(&str, Change, u32); 3] = [
        (
            "event WorkspaceMerged can't be read: this release doesn't know",
            Arc::new(unknown_type),
            1,
        ),
        (
            "this release knows the event's versions 1 to 1, and it is of version 2",
            Arc::new(later_version),
            1,
        ),
        ("it needs reader 99", Arc::new(same), 99),
    ];
    for (why, changed, min_reader) in cases {
        let mut stack = stopped().await?;
        let data = stack.directory().join("up");
        let written = append(&data, |all| {
            let commit = forge::after(all.last().context("the log is empty")?)?;
            let events = vec![changed(renaming(all)?)];
            Ok(forge::record(&wire::events::v1::Commit { events, min_reader, ..commit }))
        })
        .await?;
        let names =
            |said: &str| said.contains(why) && said.contains(&format!("record {}", written.seq));
        // It halts alone, also at each later start, and its service serves the others.
        let halted = log().partition;
        for _ in 0..2 {
            stack.processes[0].start_again().await?;
            let api = stack.api()?;
            let reasons = until_halted(&api, ServiceId::Intake, &[halted]).await?;
            ensure!(reasons.iter().all(|reason| names(reason)), "not {why:?}: {reasons:?}");
            let get = intake::GetWorkspaceRequest { workspace_id: WORKSPACE.to_owned() };
            let refused = api.intake.clone().get_workspace(api.request(get)).await;
            let status = refused.err().context("a halted partition shows its state")?;
            ensure!(reason_of(&status) == "PARTITION_HALTED", "{status:?}");
            let others = workspaces().into_iter();
            for workspace_id in others.filter(|one| partition_of(one, PARTITIONS) != halted) {
                let workspace = Some(intake::Workspace { workspace_id, ..Default::default() });
                let put = intake::PutWorkspaceRequest { workspace, ..Default::default() };
                call!(api, intake.put_workspace, put).await?;
            }
            ensure!(stack.processes[0].stop().await?.success(), "{}", stack.said());
        }
        // Nothing was written behind what is not understood.
        let logs = EmbeddedProvider::open(data.join("log"))?;
        let last = records(&logs).await?.pop();
        logs.close().await;
        ensure!(last.as_ref() == Some(&written), "it was passed over: {last:?}");
        let ended = run(&["verify", "--data-dir", &data.display().to_string()]).await?;
        let said = [&ended.stdout, &ended.stderr].map(|text| String::from_utf8_lossy(text));
        let said = said.concat();
        ensure!(!ended.status.success(), "verify went on: {said}");
        ensure!(names(&said), "verify does not say {why:?}: {said}");
    }
    Ok(())
}

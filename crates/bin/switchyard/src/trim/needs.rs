//! Which instances there are, and which snapshots each has to begin from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use event_log::{LeaseBoard, LogName, NOTICE_STANDS, Notices, Seq};
use runtime::{Instance, InstancePlace, ServiceId, instances};
use snapshots::{SledSnapshots, Snapshot, SnapshotKey, SnapshotStore as _};
use tokio::time::timeout;
use uuid::Uuid;

use crate::exit::{Unavailable, bad_configuration};
use crate::out;
use crate::verify::Folded;

/// How long the board may take to show what was put on it.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);
/// Whoever runs has put a notice up within this time.
const ALL_HEARD_AFTER: Duration = NOTICE_STANDS.saturating_add(Duration::from_millis(500));

/// Who is there.
#[derive(Debug, Default)]
pub(super) struct Needs {
    stopped: Vec<Stopped>,
    running: Vec<(ServiceId, Instance)>,
}

/// The directory of an instance that doesn't run.
#[derive(Debug)]
struct Stopped {
    who: String,
    store: SledSnapshots,
    /// Whose snapshots it has, of any partition.
    services: BTreeSet<ServiceId>,
}

/// An instance and what it can begin from in one partition.
#[derive(Debug)]
pub(super) struct Holder {
    /// Where it is.
    pub(super) who: String,
    has: Has,
}

#[derive(Debug)]
enum Has {
    /// As its notice says; nothing: it has only just started.
    Running(Option<InstancePlace>),
    /// Read from its directory, to be compared with the states of the log.
    Stopped(Vec<Snapshot>),
}

impl Needs {
    /// The instances of these data directories, none of which runs. Each counts for the services that it has snapshots
    /// of.
    pub(super) async fn of_stopped(data_dirs: &[PathBuf], logs: &[LogName]) -> Result<Self> {
        let mut stopped = Vec::new();
        for data_dir in data_dirs {
            let Some(store) = open(data_dir).await? else { continue };
            let mut services = BTreeSet::new();
            for name in logs {
                let Some(service) = ServiceId::from_name(&name.service) else { continue };
                let key = SnapshotKey::new(service.name(), name.partition);
                if !services.contains(&service) && store.load(&key).await.is_some() {
                    services.insert(service);
                }
            }
            stopped.push(Stopped { who: data_dir.display().to_string(), store, services });
        }
        Ok(Self { stopped, running: Vec::new() })
    }

    /// And those that have notices on the board. A board that doesn't show what is put on it hides others' notices as
    /// well.
    pub(super) async fn with_running(mut self, board: &dyn LeaseBoard) -> Result<Self> {
        let key = format!("operator.trim.{}", Uuid::new_v4().simple());
        let mut shown = board.watch();
        let seen = async {
            board.put(&key, bytes::Bytes::new()).await?;
            let known = shown.wait_for(|notices| notices.contains_key(&key)).await;
            known.map(drop).context("the board is gone")
        };
        let seen = timeout(SHOWN_WITHIN, seen).await.context("the board shows nothing");
        if let Err(error) = seen.flatten() {
            let text = format!("who runs can't be established: {error:#}");
            return Err(anyhow::Error::new(Unavailable).context(text));
        }
        tokio::time::sleep(ALL_HEARD_AFTER).await;
        let notices: Notices = shown.borrow().clone();
        for service in ServiceId::ALL {
            let known = instances(service, &notices).map_err(anyhow::Error::msg)?;
            self.running.extend(known.into_iter().map(|instance| (service, instance)));
        }
        if let Err(error) = board.remove(&key).await {
            // Nothing waits for it: notices that nobody renews go by themselves.
            out::note(&format!(
                "this command's notice stays on the board for some seconds: {error}"
            ));
        }
        Ok(self)
    }

    /// Everybody who keeps snapshots of a partition.
    pub(super) async fn holders(&self, service: ServiceId, partition: u16) -> Vec<Holder> {
        let running = self.running.iter().filter(|(of, _)| *of == service);
        let mut holders: Vec<Holder> = running
            .map(|(_, instance)| Holder {
                who: instance.address.clone(),
                has: Has::Running(instance.places.get(&partition).copied()),
            })
            .collect();
        let key = SnapshotKey::new(service.name(), partition);
        for Stopped { who, store, .. } in
            self.stopped.iter().filter(|one| one.services.contains(&service))
        {
            let newest = store.load(&key).await;
            let older = match &newest {
                Some(newest) => store.before(&key, newest.seq).await,
                None => None,
            };
            let has = Has::Stopped(older.into_iter().chain(newest).collect());
            holders.push(Holder { who: who.clone(), has });
        }
        holders
    }

    /// Gives the directories back.
    pub(super) async fn close(&self) {
        for Stopped { who, store, .. } in &self.stopped {
            if let Err(error) = store.close().await {
                tracing::warn!(who, %error, "the snapshots could not be closed");
            }
        }
    }
}

impl Holder {
    /// Those that are at hand.
    pub(super) fn snapshots(&self) -> &[Snapshot] {
        match &self.has {
            Has::Running(_) => &[],
            Has::Stopped(snapshots) => snapshots,
        }
    }

    /// The last record that may go for its sake, and why. The record of a snapshot stays: by it the log confirms the
    /// snapshot.
    pub(super) fn limit(&self, folded: &Folded) -> (Seq, String) {
        let who = &self.who;
        let (older, applied) = match &self.has {
            Has::Running(None) => return (0, format!("{who} is only starting")),
            Has::Running(Some(place)) => (place.snapshots[0], place.applied),
            Has::Stopped(snapshots) => {
                let mut good = snapshots
                    .iter()
                    .map(|one| one.seq)
                    .filter(|seq| folded.confirmed.contains(seq));
                // The older one comes first, and counts only if there is another.
                let older = good.next().unwrap_or(0);
                let newer = good.next().unwrap_or(0);
                (if newer > older { older } else { 0 }, Seq::MAX)
            }
        };
        if older == 0 {
            return (0, format!("{who} has fewer than two snapshots that the log confirms"));
        }
        if applied < older {
            return (applied.saturating_sub(1), format!("{who} has read it to record {applied}"));
        }
        (older - 1, format!("the older snapshot of {who} is of record {older}"))
    }
}

/// The snapshots of a data directory that must be there.
async fn open(data_dir: &Path) -> Result<Option<SledSnapshots>> {
    if !data_dir.is_dir() {
        return Err(bad_configuration(format!("{} is no directory", data_dir.display())));
    }
    let place = data_dir.join("snapshots");
    if !place.is_dir() {
        return Ok(None);
    }
    let shown = place.display().to_string();
    let opened = tokio::task::spawn_blocking(move || SledSnapshots::open(place)).await?;
    opened
        .map(Some)
        .map_err(|error| bad_configuration(format!("{shown}: {:#}", anyhow::Error::new(error))))
}

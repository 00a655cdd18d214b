//! What becomes of snapshots.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use snapshots::{SledSnapshots, SnapshotKey, SnapshotStore as _};
use tests::api::until;
use tests::cluster::At;

use super::Bite;
use crate::chaos::stage::Stage;

const REJECTED: &str = "switchyard_snapshot_rejected_total";
/// What an instance logs when it doesn't trust what it finds.
const ASIDE: [&str; 3] =
    ["a snapshot is set aside", "the snapshot store was set aside", "a snapshot is damaged"];

/// How a directory is damaged.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// Bits all over its files are flipped.
    Flipped,
    /// Its files end early.
    Truncated,
    /// The snapshots are whole, and stand for records that the log doesn't have.
    Ahead,
    /// They are whole, and of another log.
    Foreign,
}

/// An instance ends, its snapshots are damaged, and it is started again.
pub(super) async fn damaged(stage: &mut Stage) -> anyhow::Result<Bite> {
    let at = some_instance(stage)?;
    until("it has snapshots", || async {
        let partitions = stage.status(at).await?;
        Ok(partitions.iter().all(|it| it.snapshot_seq > 0).then_some(()))
    })
    .await?;
    let damage = [Damage::Flipped, Damage::Truncated, Damage::Ahead, Damage::Foreign];
    let damage = stage.rng.pick(&damage).context("no damage")?;
    if stage.rng.percent(50) {
        stage.process(at)?.kill().await?;
    } else {
        let ended = stage.process(at)?.stop().await?;
        ensure!(ended.success(), "{at} ended with {ended}");
    }
    let place = stage.cluster.data_directory(at).join("snapshots");
    let harmed = harm(&place, damage, at).await.with_context(|| format!("{damage:?}"));
    let said = stage.process(at)?.said().len();
    stage.process(at)?.start_again().await?;
    harmed?;
    if matches!(damage, Damage::Ahead | Damage::Foreign) {
        return knows_another_log(stage, at, damage, &place).await;
    }
    stage.cluster.whole().await?;
    let counted = stage.process(at)?.figure(REJECTED).await?;
    let said = stage.process(at)?.said().split_off(said);
    let noticed: Vec<_> = ASIDE.into_iter().filter(|line| said.contains(line)).collect();
    let seen = format!("{at}, {damage:?}: {counted} rejected, said {noticed:?}");
    Ok(Bite::new(!noticed.is_empty(), seen))
}

/// A whole snapshot of what the log isn't says that the log was lost: the instance stops there until an operator takes
/// its snapshots away.
async fn knows_another_log(
    stage: &mut Stage,
    at: At,
    damage: Damage,
    place: &Path,
) -> anyhow::Result<Bite> {
    let reason = until("it says what it knows", || async {
        // It may not be there yet.
        let Ok(partitions) = stage.status(at).await else { return Ok(None) };
        let stopped = partitions.into_iter().filter(|it| !it.ready).map(|it| it.reason);
        Ok(stopped.into_iter().find(|reason| reason.contains("a snapshot knows")))
    })
    .await?;
    stage.process(at)?.kill().await?;
    std::fs::remove_dir_all(place)?;
    stage.process(at)?.start_again().await?;
    stage.cluster.whole().await?;
    Ok(Bite::new(true, format!("{at}, {damage:?}: {reason}")))
}

async fn harm(place: &Path, damage: Damage, at: At) -> anyhow::Result<()> {
    match damage {
        Damage::Flipped => each_file(place, |bytes| {
            for byte in bytes.iter_mut().step_by(61) {
                *byte ^= 0x10;
            }
        }),
        Damage::Truncated => each_file(place, |bytes| bytes.truncate(bytes.len() / 3)),
        Damage::Ahead | Damage::Foreign => forge(place, damage, at).await,
    }
}

fn each_file(place: &Path, harm: impl Fn(&mut Vec<u8>)) -> anyhow::Result<()> {
    let mut harmed = 0;
    for file in files(place)? {
        let mut bytes = std::fs::read(&file)?;
        if !bytes.is_empty() {
            harm(&mut bytes);
            std::fs::write(&file, bytes)?;
            harmed += 1;
        }
    }
    ensure!(harmed > 0, "there is nothing to damage in {}", place.display());
    Ok(())
}

/// The files of the store that is in use.
fn files(place: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![place.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("quarantine-") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    Ok(files)
}

/// Saves snapshots that no log confirms, by the store's own ways.
async fn forge(place: &Path, damage: Damage, at: At) -> anyhow::Result<()> {
    let store = SledSnapshots::open(place)?;
    let mut forged = 0;
    for partition in 0..u16::try_from(tests::cluster::PARTITIONS)? {
        let key = SnapshotKey::new(at.service.name(), partition);
        let Some(mut snapshot) = store.load(&key).await else { continue };
        match damage {
            Damage::Ahead => snapshot.seq += 1_000_000,
            Damage::Foreign => snapshot.log_id.iter_mut().for_each(|byte| *byte ^= 0xff),
            Damage::Flipped | Damage::Truncated => {}
        }
        store.save(&key, snapshot).await?;
        forged += 1;
    }
    store.close().await?;
    ensure!(forged > 0, "there was no snapshot to forge");
    Ok(())
}

/// No byte is left on an instance's disk, and it even has to start so. Then there is room again.
pub(super) async fn full(stage: &mut Stage) -> anyhow::Result<Bite> {
    let at = some_instance(stage)?;
    let place = stage.cluster.data_directory(at);
    let ballast = stage.disks.fill(&place)?;
    let felt = felt(stage, at).await;
    stage.disks.clear(&place)?;
    let seen = felt?;
    until("it saves snapshots again", || async {
        let partitions = stage.status(at).await?;
        let well =
            partitions.iter().all(|it| it.snapshot_problem.is_empty() && it.snapshot_seq > 0);
        Ok(well.then_some(()))
    })
    .await?;
    Ok(Bite::new(!seen.is_empty(), format!("{at}, filled with {ballast} bytes: {seen}")))
}

async fn felt(stage: &mut Stage, at: At) -> anyhow::Result<String> {
    let problem = until("it says that it can't save", || async {
        let partitions = stage.status(at).await?;
        Ok(partitions.into_iter().map(|it| it.snapshot_problem).find(|problem| !problem.is_empty()))
    })
    .await?;
    // It starts and serves all the same.
    stage.process(at)?.kill().await?;
    stage.process(at)?.start_again().await.context("starting with a full disk")?;
    stage.cluster.whole().await?;
    stage.more(4, |it| it.service == at.service).await?;
    Ok(problem)
}

fn some_instance(stage: &mut Stage) -> anyhow::Result<At> {
    let all: Vec<_> = At::all().collect();
    stage.rng.pick(&all).context("no instances")
}

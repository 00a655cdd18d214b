//! Folding a whole log quickly: while records are read, earlier ones are checked and decoded, and still earlier ones
//! folded.

use std::sync::Arc;
use std::time::Duration;

use event_log::{EventLog, LogError, Record};
use tokio::sync::mpsc;
use tokio::task::{JoinError, spawn_blocking};

use crate::aside::has_one_thread;
use crate::commit::{ChainReader, Doubt};
use crate::fold::{Fold, Names, Opened, open};
use crate::service::Service;

/// How many bytes of a log are read at once.
pub const REPLAY_BYTES: usize = 2 * 1024 * 1024;

/// How many reads may wait to be opened.
const READS_MAX: usize = 2;

/// How many bytes of opened records are folded at once: few enough that they are still in a processor's cache.
const PIECE_BYTES: usize = 128 * 1024;

/// How many pieces may wait to be folded.
const PIECES_MAX: usize = 8;

/// How long to wait before a log that can't be reached is asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// Why a log can't be folded to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A record can't be trusted.
    #[error(transparent)]
    Doubt(#[from] Doubt),
    /// The log can't be read, and waiting won't help.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A thread ended before its work.
    #[error("the folding broke off")]
    Broken(#[from] JoinError),
}

/// Folds what the log has beyond `fold`, up to its end. Waits for as long as the log can't be reached. Three stages
/// work at the same time; dropping the future ends all of them soon.
pub async fn replay<S: Service>(
    service: &Arc<S>,
    log: &dyn EventLog,
    mut fold: Fold<S>,
) -> Result<Fold<S>, ReplayError> {
    if has_one_thread() {
        return in_turn(&**service, log, fold).await;
    }
    loop {
        let (records, to_open) = mpsc::channel(READS_MAX);
        let (opened, to_fold) = mpsc::channel(PIECES_MAX);
        let (from, reader, service) = (fold.seq() + 1, fold.reader.clone(), Arc::clone(service));
        let opening = spawn_blocking(move || open_all(&*service, reader, to_open, &opened));
        let folding = spawn_blocking(move || fold_all(fold, to_fold));
        let read = read_all(log, from, records).await;
        // What a later stage found wrong lies before whatever the reading met.
        let reader = opening.await??;
        fold = folding.await?;
        fold.reader = reader;
        match read {
            Ok(()) => return Ok(fold),
            Err(LogError::Unavailable(error)) => {
                // No thread is kept waiting meanwhile.
                tracing::debug!(%error, "the log can't be read yet");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// [`replay`] where there is one thread for everything.
async fn in_turn<S: Service>(
    service: &S,
    log: &dyn EventLog,
    mut fold: Fold<S>,
) -> Result<Fold<S>, ReplayError> {
    let mut names = Names::default();
    loop {
        match log.read(fold.seq() + 1, REPLAY_BYTES).await {
            Ok(some) if some.is_empty() => return Ok(fold),
            Ok(some) => {
                for record in &some {
                    let opened = open(service, &mut fold.reader, &mut names, record)?;
                    fold.apply(&opened);
                }
            }
            Err(LogError::Unavailable(error)) => {
                tracing::debug!(%error, "the log can't be read yet");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn read_all(
    log: &dyn EventLog,
    mut from: u64,
    records: mpsc::Sender<Vec<Record>>,
) -> Result<(), LogError> {
    loop {
        match log.read(from, REPLAY_BYTES).await {
            Ok(some) => {
                let Some(last) = some.last() else { return Ok(()) };
                from = last.seq + 1;
                if records.send(some).await.is_err() {
                    // Those who open them have met a doubt, and say so.
                    return Ok(());
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Returns where the chain stands after the last record.
fn open_all<S: Service>(
    service: &S,
    mut reader: ChainReader,
    mut records: mpsc::Receiver<Vec<Record>>,
    opened: &mpsc::Sender<Vec<Opened<S>>>,
) -> Result<ChainReader, Doubt> {
    let mut names = Names::default();
    while let Some(some) = records.blocking_recv() {
        for piece in pieces(&some) {
            let all = piece.iter().map(|record| open(service, &mut reader, &mut names, record));
            if opened.blocking_send(all.collect::<Result<_, _>>()?).is_err() {
                return Ok(reader);
            }
        }
    }
    Ok(reader)
}

/// The records in their order, each piece but the last of [`PIECE_BYTES`] or a little more.
fn pieces(records: &[Record]) -> impl Iterator<Item = &[Record]> {
    let mut bytes = 0;
    records.chunk_by(move |record, _| {
        bytes += record.bytes.len();
        let goes_on = bytes < PIECE_BYTES;
        if !goes_on {
            bytes = 0;
        }
        goes_on
    })
}

fn fold_all<S: Service>(mut fold: Fold<S>, mut opened: mpsc::Receiver<Vec<Opened<S>>>) -> Fold<S> {
    while let Some(some) = opened.blocking_recv() {
        for one in some {
            fold.apply(&one);
        }
    }
    fold
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_all_records_in_order_and_end_as_soon_as_they_may() {
        let lengths = [1, PIECE_BYTES, PIECE_BYTES - 1, 1, 2 * PIECE_BYTES, 5, 6];
        let record = |(seq, length): (u64, usize)| Record { seq, bytes: vec![0; length].into() };
        let records: Vec<_> = (1..).zip(lengths).map(record).collect();
        let seqs = |piece: &[Record]| piece.iter().map(|record| record.seq).collect::<Vec<_>>();
        let found: Vec<_> = pieces(&records).map(seqs).collect();
        assert_eq!(found, [vec![1, 2], vec![3, 4], vec![5], vec![6, 7]]);
    }
}

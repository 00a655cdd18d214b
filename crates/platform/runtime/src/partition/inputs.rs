//! Following another service's log: contiguous, chain-checked, from where we left off.

use std::sync::Arc;
use std::time::Duration;

use event_log::{EventLog, EventLogProvider, LogError, OpenError};
use futures::StreamExt;
use tokio::sync::mpsc;
use wire::events::v1::Commit;

use crate::commit::{ChainReader, Doubt, read_genesis};
use crate::meta::Handled;
use crate::partition::Work;
use crate::service::Service;
use crate::{LogId, ServiceId};

/// How many records of one input may wait for the leader.
pub(crate) const WAITING_MAX: usize = 64;

const PAUSE: Duration = Duration::from_millis(200);

/// A record of another service.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) service: ServiceId,
    pub(crate) log_id: LogId,
    pub(crate) commit: Arc<Commit>,
    /// How many of its events are handled already.
    pub(crate) handled: usize,
}

/// Why following ended.
enum End {
    /// The leader is gone.
    Leader,
    /// Try again from where we are.
    Again,
    /// The input can't be trusted.
    Doubt(String),
}

impl From<Doubt> for End {
    fn from(doubt: Doubt) -> Self {
        Self::Doubt(doubt.to_string())
    }
}

impl From<LogError> for End {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable(_) => Self::Again,
            doubt @ (LogError::Gap { .. }
            | LogError::WentBackwards { .. }
            | LogError::Trimmed { .. }
            | LogError::Beyond { .. }
            | LogError::Missing
            | LogError::Corrupt { .. }) => Self::Doubt(doubt.to_string()),
        }
    }
}

/// Follows `service`'s log of `partition` from `handled` on until the leader is gone, or the log is in doubt.
pub(crate) async fn follow<S: Service>(
    provider: Arc<dyn EventLogProvider>,
    service: ServiceId,
    partition: u16,
    mut handled: Option<Handled>,
    inputs: mpsc::Sender<Input>,
    inbox: mpsc::Sender<Work<S>>,
) {
    loop {
        match follow_once(&*provider, service, partition, &mut handled, &inputs).await {
            End::Leader => return,
            End::Again => tokio::time::sleep(PAUSE).await,
            End::Doubt(reason) => {
                let reason = format!("the log of {service}/{partition} is in doubt: {reason}");
                // If the leader is gone, nobody needs to know.
                drop(inbox.send(Work::Doubt(reason)).await);
                return;
            }
        }
    }
}

async fn follow_once(
    provider: &dyn EventLogProvider,
    service: ServiceId,
    partition: u16,
    handled: &mut Option<Handled>,
    inputs: &mpsc::Sender<Input>,
) -> End {
    let log = match provider.open(&service.log(partition)).await {
        Ok(log) => log,
        Err(OpenError::Missing { .. } | OpenError::Unavailable(_)) => return End::Again,
        Err(error) => return End::Doubt(error.to_string()),
    };
    let mut reader = match begin(&*log, service, partition, *handled).await {
        Ok(reader) => reader,
        Err(end) => return end,
    };
    let mut records = log.follow(reader.seq + 1);
    while let Some(record) = records.next().await {
        let commit = match record.map_err(End::from).and_then(|record| Ok(reader.take(&record)?)) {
            Ok(commit) => Arc::new(commit),
            Err(end) => return end,
        };
        let done = handled.map_or(0, |handled| handled.events_of_next);
        let log_id = reader.log_id;
        *handled = Some(Handled { log_id, seq: commit.seq, events_of_next: 0 });
        let input = Input { service, log_id, commit, handled: usize::try_from(done).unwrap_or(0) };
        if inputs.send(input).await.is_err() {
            return End::Leader;
        }
    }
    End::Again
}

/// Checks that the log is the one we know and that our place in it is still there.
async fn begin(
    log: &dyn EventLog,
    service: ServiceId,
    partition: u16,
    handled: Option<Handled>,
) -> Result<ChainReader, End> {
    let genesis = one(log, 1).await?;
    let (log_id, _) = read_genesis(&genesis, service, partition)?;
    match handled {
        Some(handled) if handled.log_id != log_id => {
            Err(End::Doubt("it is another log than before".into()))
        }
        Some(handled) if handled.seq > 0 => {
            Ok(ChainReader::after(log_id, &one(log, handled.seq).await?)?)
        }
        Some(_) | None => Ok(ChainReader::at_start(log_id)),
    }
}

async fn one(log: &dyn EventLog, seq: u64) -> Result<event_log::Record, End> {
    match log.read(seq, 1).await?.into_iter().next() {
        Some(record) => Ok(record),
        None => Err(End::Doubt(format!("record {seq} was read before and is gone"))),
    }
}

//! All logs as the servers of NATS have them, past every service.

use std::collections::BTreeMap;

use anyhow::Context as _;
use event_log::{EventLogProvider as _, Record};
use event_log_nats::{NatsConfig, NatsProvider};
use runtime::ServiceId;
use tests::cluster::PARTITIONS;

/// How many bytes are read at once.
const READ_BYTES: usize = 4 << 20;

/// One log, in order.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) service: ServiceId,
    pub(crate) partition: u32,
    pub(crate) records: Vec<Record>,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logs(pub(crate) Vec<Log>);

/// The last record of every log at some time.
pub(crate) type Marks = BTreeMap<(ServiceId, u32), u64>;

impl Logs {
    pub(crate) async fn read(url: &str) -> anyhow::Result<Self> {
        let provider = NatsProvider::connect(NatsConfig::new(url)).await?;
        let mut logs = Vec::new();
        for service in ServiceId::ALL {
            for partition in 0..PARTITIONS {
                let name = service.log(u16::try_from(partition)?);
                let log = provider.open(&name).await.with_context(|| format!("{name:?}"))?;
                let mut records: Vec<Record> = Vec::new();
                loop {
                    let from = records.last().map_or(1, |last| last.seq + 1);
                    let more = log.read(from, READ_BYTES).await?;
                    if more.is_empty() {
                        break;
                    }
                    records.extend(more);
                }
                logs.push(Log { service, partition, records });
            }
        }
        Ok(Self(logs))
    }

    pub(crate) fn marks(&self) -> Marks {
        let last = |log: &Log| log.records.last().map_or(0, |record| record.seq);
        self.0.iter().map(|log| ((log.service, log.partition), last(log))).collect()
    }
}

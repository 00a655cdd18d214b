//! Where `verify` reads logs from: a directory, NATS, or running servers.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use event_log::{EventLogProvider, LogName, Record};
use runtime::ServiceId;
use wire::admin::v1::{GetStatusRequest, PartitionStatus, ReadRequest};

use crate::cli::{LogSource, Nats};
use crate::client::Client;
use crate::logs;

/// A state's hash may take a while.
const DEADLINE: Duration = Duration::from_secs(60);
/// Bytes a read, about.
const READ_BYTES: usize = 4 * 1024 * 1024;
/// Records a call.
const PAGE: i32 = 1000;

/// The logs.
#[derive(Debug)]
pub(super) enum Source {
    /// As they are stored.
    Stored(Arc<dyn EventLogProvider>),
    /// As running servers read them out.
    Servers(Vec<(Client, Vec<PartitionStatus>)>),
}

/// What a running server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Live {
    /// The last record in its state.
    pub(super) seq: u64,
    /// The state's hash.
    pub(super) hash: [u8; 32],
}

impl Source {
    pub(super) async fn open(source: &LogSource, nats: &Nats) -> Result<Self> {
        if let Some(data_dir) = &source.data_dir {
            return Ok(Self::Stored(Arc::new(logs::existing(data_dir).await?)));
        }
        if let Some(urls) = &source.log {
            return Ok(Self::Stored(Arc::new(logs::nats(urls, nats, 1).await?)));
        }
        let mut servers = Vec::new();
        for address in &source.address {
            let client = Client::connect(address, DEADLINE).await?;
            let request = GetStatusRequest { include_state_hash: true };
            let status = client.status().get_status(request).await?.into_inner();
            servers.push((client, status.partitions));
        }
        Ok(Self::Servers(servers))
    }

    /// Every partition that there is, by service.
    pub(super) async fn partitions(&self) -> Result<Vec<(ServiceId, u16)>> {
        let mut all = match self {
            Self::Stored(provider) => {
                let names = provider.list().await.map_err(logs::explain_open)?;
                names.iter().filter_map(of_name).collect()
            }
            Self::Servers(servers) => {
                let statuses = servers.iter().flat_map(|(_, statuses)| statuses);
                statuses.filter_map(of_status).collect::<Vec<_>>()
            }
        };
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// Records from `from` on; none at the end.
    pub(super) async fn read(
        &self,
        service: ServiceId,
        partition: u16,
        from: u64,
    ) -> Result<Vec<Record>> {
        let servers = match self {
            Self::Stored(provider) => {
                let name = service.log(partition);
                let log = provider.open(&name).await.map_err(logs::explain_open)?;
                return log.read(from, READ_BYTES).await.with_context(|| format!("reading {name}"));
            }
            Self::Servers(servers) => servers,
        };
        let has = |statuses: &[PartitionStatus]| {
            statuses.iter().any(|status| of_status(status) == Some((service, partition)))
        };
        let server = servers.iter().find(|(_, statuses)| has(statuses));
        let (client, _) = server.context("no server has this partition")?;
        let request = ReadRequest {
            service: service.to_wire().into(),
            partition: partition.into(),
            from_seq: from,
            max_records: PAGE,
            decode: false,
        };
        let reply = client.log().read(request).await?.into_inner();
        reply
            .records
            .into_iter()
            .map(|record| {
                let position = record.position.context("a record without a position")?;
                Ok(Record { seq: position.seq, bytes: record.data })
            })
            .collect()
    }

    /// What a running server has of a partition; `None` for stored logs.
    pub(super) fn live(&self, service: ServiceId, partition: u16) -> Result<Option<Live>> {
        let Self::Servers(servers) = self else { return Ok(None) };
        let statuses = servers.iter().flat_map(|(_, statuses)| statuses);
        let mut found = statuses.filter(|one| of_status(one) == Some((service, partition)));
        let Some(status) = found.next() else { return Ok(None) };
        let mut hash = [0; 32];
        hex::decode_to_slice(&status.state_hash, &mut hash)
            .with_context(|| format!("the state hash of {service}/{partition}"))?;
        let seq = status.position.as_ref().map_or(0, |position| position.seq);
        Ok(Some(Live { seq, hash }))
    }
}

fn of_name(name: &LogName) -> Option<(ServiceId, u16)> {
    Some((ServiceId::from_name(&name.service)?, name.partition))
}

fn of_status(status: &PartitionStatus) -> Option<(ServiceId, u16)> {
    let position = status.position.as_ref()?;
    let service = ServiceId::from_wire(position.service())?;
    Some((service, u16::try_from(position.partition).ok()?))
}

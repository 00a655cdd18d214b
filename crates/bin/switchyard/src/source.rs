//! Where `verify` and `log` read from: a directory, NATS, or running servers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use archive::WithArchive;
use event_log::{EventLogProvider, LogError, LogName, Record, Seq};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use runtime::{ServiceId, read_first};
use tonic::Status;
use tonic_types::StatusExt as _;
use wire::admin::v1::{FollowRequest, GetStatusRequest, LogRecord, PartitionStatus, ReadRequest};

use crate::cli::{LogSource, Nats};
use crate::client::Client;
use crate::exit::bad_configuration;
use crate::logs;

/// Where `up` listens unless told otherwise.
const DEFAULT_ADDRESS: &str = "127.0.0.1:7400";
/// A state's hash may take a while.
const DEADLINE: Duration = Duration::from_secs(60);
/// Bytes a read, about.
const READ_BYTES: usize = 4 * 1024 * 1024;
/// Records a call.
const PAGE: i32 = 1000;

/// The logs.
#[derive(Debug)]
pub(crate) enum Source {
    /// As they are stored.
    Stored(Arc<dyn EventLogProvider>),
    /// As running servers read them out.
    Servers(Vec<(Client, Vec<PartitionStatus>)>),
}

/// What a running server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Live {
    /// The last record in its state.
    pub(crate) seq: u64,
    /// The state's hash.
    pub(crate) hash: [u8; 32],
    /// The version of what the hash is made of; `None`: this program's.
    pub(crate) version: Option<u32>,
}

impl Source {
    /// Opens it. `with_hashes` makes running servers hash their states, for [`Source::live`].
    pub(crate) async fn open(source: &LogSource, nats: &Nats, with_hashes: bool) -> Result<Self> {
        if let Some(data_dir) = &source.data_dir {
            return Ok(Self::Stored(Arc::new(logs::existing(data_dir).await?)));
        }
        if let Some(urls) = &source.log {
            return Ok(Self::Stored(Arc::new(logs::nats(urls, nats, 1).await?)));
        }
        let here = [DEFAULT_ADDRESS.to_owned()];
        let addresses =
            if source.address.is_empty() { here.as_slice() } else { source.address.as_slice() };
        let mut servers = Vec::new();
        for address in addresses {
            let client = Client::connect(address, DEADLINE).await?;
            let request = GetStatusRequest { include_state_hash: with_hashes };
            let status = client.status().get_status(request).await?.into_inner();
            servers.push((client, status.partitions));
        }
        Ok(Self::Servers(servers))
    }

    /// The records of one log from `from` on (0: the next one to be written), and what is written later, without end.
    pub(crate) async fn follow(
        &self,
        service: ServiceId,
        partition: u16,
        from: u64,
    ) -> Result<BoxStream<'static, Result<Record>>> {
        match self {
            Self::Stored(provider) => {
                let name = service.log(partition);
                let log = provider.open(&name).await.map_err(logs::explain_open)?;
                let from = if from > 0 { from } else { log.tail().await?.last + 1 };
                Ok(log.follow(from).map_err(anyhow::Error::new).boxed())
            }
            Self::Servers(servers) => {
                let request = FollowRequest {
                    service: service.to_wire().into(),
                    partition: partition.into(),
                    from_seq: from,
                    decode: false,
                };
                let client = server(servers, service, partition)?;
                let replies = client.endless_log().follow(request).await?.into_inner();
                Ok(replies
                    .map(|reply| stored(reply?.record.context("the reply has no record")?))
                    .boxed())
            }
        }
    }

    /// The same logs, with what an archive has of their beginnings.
    pub(crate) fn with_archive(self, archive: Option<&Path>) -> Result<Self> {
        let Some(directory) = archive else { return Ok(self) };
        match self {
            Self::Stored(logs) => {
                let archive = logs::archive(directory)?;
                Ok(Self::Stored(Arc::new(WithArchive::new(logs, archive))))
            }
            Self::Servers(_) => Err(bad_configuration(
                "--archive needs the stored logs, --data-dir or --log; a running server is given its archive when it starts",
            )),
        }
    }

    /// The last record of a log.
    pub(crate) async fn last(&self, service: ServiceId, partition: u16) -> Result<Seq> {
        match self {
            Self::Stored(provider) => {
                let log =
                    provider.open(&service.log(partition)).await.map_err(logs::explain_open)?;
                Ok(log.tail().await?.last)
            }
            Self::Servers(servers) => {
                let statuses = servers.iter().flat_map(|(_, statuses)| statuses);
                let mut known = statuses.filter(|one| of_status(one) == Some((service, partition)));
                let known = known.find_map(|status| status.position.as_ref());
                // Any record that is there will do: the reply says where the log ends.
                let from_seq = known.map_or(1, |position| position.seq);
                let client = server(servers, service, partition)?;
                let request = ReadRequest {
                    service: service.to_wire().into(),
                    partition: partition.into(),
                    from_seq,
                    max_records: 1,
                    decode: false,
                };
                Ok(client.log().read(request).await?.into_inner().last_seq)
            }
        }
    }

    /// Every partition that there is, by service.
    pub(crate) async fn partitions(&self) -> Result<Vec<(ServiceId, u16)>> {
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

    /// The logs that must be there and aren't: of each service as many as the first log says, or as the highest number
    /// does. A running server knows of its own alone, and nothing is missing there.
    pub(crate) async fn missing(&self) -> Result<Vec<(ServiceId, u16)>> {
        let Self::Stored(provider) = self else { return Ok(Vec::new()) };
        let there = self.partitions().await?;
        let mut count =
            there.iter().map(|(_, partition)| partition.saturating_add(1)).max().unwrap_or(0);
        for &(service, partition) in &there {
            let log = provider.open(&service.log(partition)).await.map_err(logs::explain_open)?;
            let first = log.read(log.tail().await?.first, READ_BYTES).await?;
            let said = first.first().and_then(|first| read_first(first, service, partition).ok());
            if let Some((_, partitions)) = said {
                count = count.max(partitions);
                break;
            }
        }
        let all =
            ServiceId::ALL.into_iter().flat_map(|it| (0..count).map(move |number| (it, number)));
        Ok(all.filter(|one| !there.contains(one)).collect())
    }

    /// Records from `from` on; none at the end.
    pub(crate) async fn read(
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
        let client = server(servers, service, partition)?;
        let request = ReadRequest {
            service: service.to_wire().into(),
            partition: partition.into(),
            from_seq: from,
            max_records: PAGE,
            decode: false,
        };
        match client.log().read(request).await {
            Ok(reply) => reply.into_inner().records.into_iter().map(stored).collect(),
            Err(status) => match trimmed(&status) {
                Some(trimmed) => Err(trimmed.into()),
                None => Err(status.into()),
            },
        }
    }

    /// What a running server has of a partition; `None` for stored logs.
    pub(crate) fn live(&self, service: ServiceId, partition: u16) -> Result<Option<Live>> {
        let Self::Servers(servers) = self else { return Ok(None) };
        let statuses = servers.iter().flat_map(|(_, statuses)| statuses);
        let mut found = statuses.filter(|one| of_status(one) == Some((service, partition)));
        let Some(status) = found.next() else { return Ok(None) };
        let mut hash = [0; 32];
        hex::decode_to_slice(&status.state_hash, &mut hash)
            .with_context(|| format!("the state hash of {service}/{partition}"))?;
        let seq = status.position.as_ref().map_or(0, |position| position.seq);
        Ok(Some(Live { seq, hash, version: None }))
    }
}

/// The server that has a partition.
fn server(
    servers: &[(Client, Vec<PartitionStatus>)],
    service: ServiceId,
    partition: u16,
) -> Result<&Client> {
    let has = |statuses: &[PartitionStatus]| {
        statuses.iter().any(|status| of_status(status) == Some((service, partition)))
    };
    let server = servers.iter().find(|(_, statuses)| has(statuses));
    let (client, _) = server.with_context(|| format!("no server has {service}/{partition}"))?;
    Ok(client)
}

/// What a server says of a record that its log has no more.
fn trimmed(status: &Status) -> Option<LogError> {
    let info = status.get_details_error_info()?;
    let first = info.metadata.get("first_seq")?.parse().ok()?;
    Some(LogError::Trimmed { first })
}

/// A record as it is stored.
fn stored(record: LogRecord) -> Result<Record> {
    let position = record.position.context("a record without a position")?;
    Ok(Record { seq: position.seq, bytes: record.data })
}

fn of_name(name: &LogName) -> Option<(ServiceId, u16)> {
    Some((ServiceId::from_name(&name.service)?, name.partition))
}

fn of_status(status: &PartitionStatus) -> Option<(ServiceId, u16)> {
    let position = status.position.as_ref()?;
    let service = ServiceId::from_wire(position.service())?;
    Some((service, u16::try_from(position.partition).ok()?))
}

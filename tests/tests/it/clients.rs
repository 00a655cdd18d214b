//! A client that knows nothing but the address: it asks for health, learns the services by reflection, and calls one
//! method of each by the descriptors that it was given.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail, ensure};
use bytes::{Buf, BufMut, Bytes};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use tests::stack::Stack;
use tokio_stream::StreamExt as _;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

/// One call of each service, as JSON in and out.
const CALLS: [(&str, &str, &str, &str); 8] = [
    (
        "switchyard.intake.v1.IntakeService",
        "GetWorkspace",
        r#"{"workspaceId": "default"}"#,
        r#""workspaceId":"default""#,
    ),
    (
        "switchyard.routing.v1.RoutingService",
        "ListQueues",
        r#"{"workspaceId": "default"}"#,
        r#""queueId":"default""#,
    ),
    ("switchyard.sla.v1.SlaService", "ListPolicies", r#"{"workspaceId": "default"}"#, "{"),
    ("switchyard.notify.v1.NotifyService", "ListDeliveries", r#"{"workspaceId": "default"}"#, "{"),
    ("switchyard.admin.v1.ClockService", "GetTime", "{}", r#""now":"20"#),
    ("switchyard.admin.v1.StatusService", "GetStatus", "{}", r#""partitions":[{"#),
    ("switchyard.admin.v1.ParkedService", "ListParked", "{}", "{"),
    (
        "switchyard.admin.v1.LogService",
        "Read",
        r#"{"service": "SERVICE_INTAKE", "maxRecords": 1, "decode": true}"#,
        "genesis",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn by_address_alone() -> anyhow::Result<()> {
    let stack = Stack::up(&[]).await?;
    let address = format!("http://{}", stack.processes[0].address());
    let channel = Endpoint::from_shared(address)?.connect().await?;
    for version in [Version::V1, Version::V1Alpha] {
        let services = version.services(&channel).await?;
        for (service, ..) in CALLS {
            ensure!(
                services.contains(service),
                "{version:?} does not list {service}: {services:?}"
            );
        }
        for service in &services {
            healthy(&channel, service).await?;
        }
        for (service, method, request, expected) in CALLS {
            let reply = version.call(&channel, service, method, request).await;
            let reply = reply.with_context(|| format!("{version:?} {service}/{method}"))?;
            let compact = reply.replace("\": ", "\":");
            ensure!(compact.contains(expected), "{service}/{method} answered {reply}");
        }
    }
    healthy(&channel, "").await?;
    let unknown = HealthClient::new(channel.clone())
        .check(HealthCheckRequest { service: "switchyard.nothing".to_owned() })
        .await;
    ensure!(
        unknown.is_err_and(|status| status.code() == tonic::Code::NotFound),
        "an unknown service is known"
    );
    stack.stop().await
}

/// Services of ours are SERVING, each by its name; the others (reflection, health) need not be known by name.
async fn healthy(channel: &Channel, service: &str) -> anyhow::Result<()> {
    if service.starts_with("grpc.") || service.starts_with("switchyard.admin.") {
        return Ok(());
    }
    let request = HealthCheckRequest { service: service.to_owned() };
    let reply = HealthClient::new(channel.clone()).check(request).await?.into_inner();
    ensure!(reply.status() == ServingStatus::Serving, "{service:?} is {:?}", reply.status());
    Ok(())
}

#[derive(Debug, Clone, Copy)]
enum Version {
    V1,
    V1Alpha,
}

macro_rules! ask {
    ($version:ident, $channel:expr, $wanted:ident($text:expr)) => {{
        use $version::server_reflection_client::ServerReflectionClient;
        use $version::server_reflection_request::MessageRequest;
        use $version::server_reflection_response::MessageResponse;
        let request = $version::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::$wanted($text)),
        };
        let mut client = ServerReflectionClient::new($channel.clone());
        let asked = tokio_stream::once(request);
        let mut replies = client.server_reflection_info(asked).await?.into_inner();
        let reply = replies.next().await.context("no reply")??;
        match reply.message_response.context("an empty reply")? {
            MessageResponse::ListServicesResponse(list) => {
                Reflected::Services(list.service.into_iter().map(|service| service.name).collect())
            }
            MessageResponse::FileDescriptorResponse(files) => {
                Reflected::Files(files.file_descriptor_proto)
            }
            other => bail!("{other:?}"),
        }
    }};
}

#[derive(Debug)]
enum Reflected {
    Services(BTreeSet<String>),
    Files(Vec<Vec<u8>>),
}

impl Version {
    async fn services(self, channel: &Channel) -> anyhow::Result<BTreeSet<String>> {
        let reflected = match self {
            Self::V1 => ask!(v1, channel, ListServices(String::new())),
            Self::V1Alpha => ask!(v1alpha, channel, ListServices(String::new())),
        };
        let Reflected::Services(services) = reflected else { bail!("{reflected:?}") };
        Ok(services)
    }

    async fn files(
        self,
        channel: &Channel,
        file: Option<&str>,
        symbol: &str,
    ) -> anyhow::Result<Vec<Vec<u8>>> {
        let symbol = symbol.to_owned();
        let reflected = match (self, file.map(str::to_owned)) {
            (Self::V1, None) => ask!(v1, channel, FileContainingSymbol(symbol)),
            (Self::V1, Some(file)) => ask!(v1, channel, FileByFilename(file)),
            (Self::V1Alpha, None) => ask!(v1alpha, channel, FileContainingSymbol(symbol)),
            (Self::V1Alpha, Some(file)) => ask!(v1alpha, channel, FileByFilename(file)),
        };
        let Reflected::Files(files) = reflected else { bail!("{reflected:?}") };
        Ok(files)
    }

    /// The descriptors of a service and of all that its file needs.
    async fn describe(self, channel: &Channel, service: &str) -> anyhow::Result<DescriptorPool> {
        let mut known: Vec<prost_types::FileDescriptorProto> = Vec::new();
        let mut wanted: Vec<Option<String>> = vec![None];
        while let Some(file) = wanted.pop() {
            let have = |name: &str| known.iter().any(|file| file.name() == name);
            if file.as_deref().is_some_and(have) {
                continue;
            }
            for bytes in self.files(channel, file.as_deref(), service).await? {
                let file = prost_types::FileDescriptorProto::decode(bytes.as_slice())?;
                wanted.extend(file.dependency.iter().cloned().map(Some));
                if !known.iter().any(|other| other.name() == file.name()) {
                    known.push(file);
                }
            }
        }
        let mut pool = DescriptorPool::new();
        pool.add_file_descriptor_protos(known)?;
        Ok(pool)
    }

    /// Calls a unary method with a request in JSON; returns the reply in JSON.
    async fn call(
        self,
        channel: &Channel,
        service: &str,
        method: &str,
        request: &str,
    ) -> anyhow::Result<String> {
        let pool = self.describe(channel, service).await?;
        let described = pool.get_service_by_name(service).context("not described")?;
        let described =
            described.methods().find(|found| found.name() == method).context("no such method")?;
        let mut json = serde_json::Deserializer::from_str(request);
        let message = DynamicMessage::deserialize(described.input(), &mut json)?;
        let mut client =
            tonic::client::Grpc::new(channel.clone()).max_decoding_message_size(16 << 20);
        client.ready().await?;
        let path = PathAndQuery::try_from(format!("/{service}/{method}"))?;
        let request = Request::new(Bytes::from(message.encode_to_vec()));
        let reply = client.unary(request, path, Raw).await?.into_inner();
        let reply = DynamicMessage::decode(described.output(), reply)?;
        Ok(serde_json::to_string(&reply)?)
    }
}

/// Messages as bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

//! A collector of traces: a gRPC server of the tests' own that takes what OTLP exporters send.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, async_trait};

/// A collector on loopback. Ends when dropped.
#[derive(Debug)]
pub struct Collector {
    url: String,
    spans: Spans,
    serving: JoinHandle<()>,
}

/// A span, and the service that it came from.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `service.name` of its resource.
    pub service: String,
    /// The span.
    pub span: Span,
}

impl Seen {
    /// All text in it: names, attributes, events, status.
    pub fn text(&self) -> String {
        format!("{:?}", self.span)
    }
}

type Spans = Arc<Mutex<Vec<Seen>>>;

impl Collector {
    /// Listens on a free port.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let spans = Spans::default();
        let service = TraceServiceServer::new(Taker(Arc::clone(&spans)));
        let serving = tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming(incoming).await.unwrap_or_default();
        });
        Ok(Self { url, spans, serving })
    }

    /// Where exporters send to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Seen> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Taker(Spans);

#[async_trait]
impl TraceService for Taker {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for batch in request.into_inner().resource_spans {
            let attributes = batch.resource.map(|resource| resource.attributes).unwrap_or_default();
            let name = attributes.into_iter().find(|attribute| attribute.key == "service.name");
            let service = name.and_then(|name| text_of(name.value?)).unwrap_or_default();
            let all = batch.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(all.map(|span| Seen { service: service.clone(), span }));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn text_of(value: AnyValue) -> Option<String> {
    match value.value {
        Some(Value::StringValue(text)) => Some(text),
        _ => None,
    }
}

/// The spans of one trace by their ids.
pub fn by_id<'a>(spans: &'a [Seen], trace_id: &[u8]) -> BTreeMap<Vec<u8>, &'a Seen> {
    let of_trace = spans.iter().filter(|seen| seen.span.trace_id == trace_id);
    of_trace.map(|seen| (seen.span.span_id.clone(), seen)).collect()
}

/// Which parents and links name no span that was received; `known` are those of the caller's own.
pub fn dangling(spans: &[Seen], known: &[Vec<u8>]) -> BTreeSet<String> {
    let ids: BTreeSet<_> = spans.iter().map(|seen| &seen.span.span_id).chain(known).collect();
    let mut missing = BTreeSet::new();
    for seen in spans {
        let parent = Some(&seen.span.parent_span_id).filter(|parent| !parent.is_empty());
        let links = seen.span.links.iter().map(|link| &link.span_id);
        let unknown = parent.into_iter().chain(links).filter(|id| !ids.contains(id)).count();
        if unknown > 0 {
            missing.insert(format!("{} of {}", seen.span.name, seen.service));
        }
    }
    missing
}

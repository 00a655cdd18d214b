//! Logs as JSON lines on stderr, and traces by OTLP if the environment asks for them.

use std::fmt::{self, Debug};
use std::time::Duration;

use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// The variable that sets the log level; a flag goes before it.
pub const LOG_LEVEL: &str = "SWITCHYARD_LOG_LEVEL";

/// How long a shutdown waits for the last spans.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// Crates whose spans describe transport, not what we do.
const TRANSPORT: [&str; 6] = ["h2", "hyper", "tonic", "tower", "async_nats", "reqwest"];

/// Why telemetry can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log level isn't one.
    #[error("the log level can't be read")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// The exporter of traces can't be set up.
    #[error("the exporter of traces can't be set up")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// There is telemetry already.
    #[error("telemetry is set up already")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// What is to be flushed at the end.
#[derive(Debug)]
pub struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Sets up logs and, if `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set and `OTEL_SDK_DISABLED` is
    /// not `true`, traces. `service_name` is `switchyard` or `switchyard-<role>`; `OTEL_SERVICE_NAME` goes before it. `level` is
    /// `error` to `trace`, or a filter such as `info,runtime=debug`; without it [`LOG_LEVEL`] holds, then `info`.
    ///
    /// Call it once, inside the tokio runtime.
    pub fn start(service_name: &str, level: Option<&str>) -> Result<Self, TelemetryError> {
        let from_environment = std::env::var(LOG_LEVEL).ok();
        let level = level.or(from_environment.as_deref()).unwrap_or("info");
        let logs = tracing_subscriber::fmt::layer()
            .event_format(Json)
            .with_writer(std::io::stderr)
            .with_filter(EnvFilter::try_new(level)?);
        let provider = if exports() { Some(provider(service_name)?) } else { None };
        let traces = provider.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("switchyard"))
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_filter(filter_fn(is_ours))
        });
        tracing_subscriber::registry().with(logs).with(traces).try_init()?;
        runtime::trace::set_enabled(provider.is_some());
        Ok(Self(provider))
    }

    /// Sends what waits, for at most 5 s.
    pub async fn shutdown(self) {
        let Some(provider) = self.0 else { return };
        runtime::trace::set_enabled(false);
        let flushed =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_WITHIN));
        match tokio::time::timeout(FLUSH_WITHIN, flushed).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the last spans could not be sent"),
            Ok(Err(_)) | Err(_) => tracing::warn!("the last spans could not be sent in time"),
        }
    }
}

/// Whether the environment asks for traces.
fn exports() -> bool {
    let set = |name: &str| std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
    let disabled = std::env::var("OTEL_SDK_DISABLED")
        .is_ok_and(|value| value.trim().eq_ignore_ascii_case("true"));
    let wanted = set("OTEL_EXPORTER_OTLP_ENDPOINT") || set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    wanted && !disabled
}

fn provider(service_name: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder().with_tonic().build()?;
    let mut resource = Resource::builder();
    if std::env::var("OTEL_SERVICE_NAME").is_err() {
        resource = resource.with_service_name(service_name.to_owned());
    }
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build())
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    let of = |name: &str| metadata.target().split("::").next() == Some(name);
    metadata.is_span() && *metadata.level() <= Level::INFO && !TRANSPORT.into_iter().any(of)
}

/// One JSON object a line: `time level target message fields… trace_id span_id`.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        let now = prost_types::Timestamp::from(std::time::SystemTime::now());
        line.insert("time".into(), now.to_string().into());
        line.insert("level".into(), event.metadata().level().as_str().into());
        line.insert("target".into(), event.metadata().target().into());
        event.record(&mut Fields(&mut line));
        let context = opentelemetry::Context::current();
        let span = context.span();
        let span = span.span_context();
        if span.is_valid() {
            line.insert("trace_id".into(), span.trace_id().to_string().into());
            line.insert("span_id".into(), span.span_id().to_string().into());
        }
        writeln!(writer, "{}", Value::Object(line))
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, format!("{value:?}"));
    }
}

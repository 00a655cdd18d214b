//! Logs as JSON lines on stderr, and traces by OTLP if the environment asks for them.
//!
//! No setting of telemetry stops a start: one that can't be used is named by one WARN line, and the service starts
//! without what it asks for.

mod exporter;

use std::fmt::{self, Debug};
use std::time::Duration;

use opentelemetry::trace::{TraceContextExt, TracerProvider};
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

/// How long a shutdown waits for the last spans.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// Crates whose spans describe transport, not what we do.
const TRANSPORT: [&str; 6] = ["h2", "hyper", "tonic", "tower", "async_nats", "reqwest"];

/// There is telemetry already.
#[derive(Debug, thiserror::Error)]
#[error("telemetry is set up already")]
pub struct TelemetryError(#[from] tracing_subscriber::util::TryInitError);

/// A log level, and the name of the setting that it comes from.
#[derive(Debug, Clone, Copy)]
pub struct LogLevel<'a> {
    /// The setting: `--log-level`.
    pub setting: &'a str,
    /// `error` to `trace`, or a filter such as `info,runtime=debug`.
    pub filter: &'a str,
}

/// What is to be flushed at the end.
#[derive(Debug)]
pub struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Sets up logs and, if `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set and
    /// `OTEL_SDK_DISABLED` is not `true`, traces. `service_name` is `switchyard` or `switchyard-<role>`;
    /// `OTEL_SERVICE_NAME` goes before it. Without a `level`, or with one that can't be read, it is `info`.
    ///
    /// Call it once, inside the tokio runtime.
    pub fn start(service_name: &str, level: Option<LogLevel<'_>>) -> Result<Self, TelemetryError> {
        let (filter, unread) = filter(level);
        let logs = tracing_subscriber::fmt::layer()
            .event_format(Json)
            .with_writer(std::io::stderr)
            .with_filter(filter);
        let (provider, unset) = match exporter::provider(service_name) {
            Ok(provider) => (provider, None),
            Err(why) => (None, Some(why)),
        };
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
        if let Some((setting, error)) = unread {
            tracing::warn!(setting, error, "the log level can't be read: it is info");
        }
        if let Some(exporter::Unusable { setting, why }) = unset {
            tracing::warn!(setting, error = why, "no traces are sent: the setting can't be used");
        }
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

/// What is logged, and the setting that couldn't be read, with the reason.
fn filter(level: Option<LogLevel<'_>>) -> (EnvFilter, Option<(String, String)>) {
    let Some(LogLevel { setting, filter }) = level else { return (EnvFilter::new("info"), None) };
    match EnvFilter::try_new(filter) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some((setting.to_owned(), error.to_string()))),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_cannot_be_read_is_info_and_is_named() {
        let read = |filter| super::filter(Some(LogLevel { setting: "RUST_LOG", filter }));
        for good in ["debug", "info,runtime=debug", "runtime"] {
            assert_eq!(read(good).1, None, "{good}");
        }
        for bad in ["runtime=loud", "a=b=c", "=,,=", "info,[{"] {
            let (filter, unread) = read(bad);
            assert_eq!(filter.to_string(), "info", "{bad}");
            assert_eq!(unread.unwrap().0, "RUST_LOG", "{bad}");
        }
        assert!(super::filter(None).1.is_none());
    }
}

//! Trace contexts in events: 26 bytes less a version, and how a reaction joins or leaves the trace of its cause.

use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// How old a cause may be for its reaction to be a child of it; later it is a trace of its own. Linked in both cases.
pub const CHILD_WITHIN: Duration = Duration::from_secs(60);

/// A W3C trace context: trace id (16 bytes), span id (8), flags (1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext([u8; 25]);

impl TraceContext {
    /// The context of the current span, if it is exported.
    pub fn current() -> Option<Self> {
        Self::of(&Span::current())
    }

    /// The context of a span, if it is exported.
    pub fn of(span: &Span) -> Option<Self> {
        if span.is_disabled() {
            return None;
        }
        let context = span.context();
        let span = context.span();
        let context = span.span_context();
        context.is_valid().then(|| Self::from(context))
    }

    /// Reads what [`as_bytes`](Self::as_bytes) wrote; anything else is no context.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes that an event carries.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The context, as that of a span elsewhere.
    pub fn span_context(&self) -> SpanContext {
        let mut trace = [0; 16];
        let mut span = [0; 8];
        for (to, from) in trace.iter_mut().chain(&mut span).zip(self.0) {
            *to = from;
        }
        let flags = self.0.last().copied().unwrap_or(0);
        SpanContext::new(
            TraceId::from_bytes(trace),
            SpanId::from_bytes(span),
            TraceFlags::new(flags),
            true,
            TraceState::default(),
        )
    }

    /// Joins a span to this cause: its child if the cause is young, and linked to it always.
    pub fn adopt(&self, span: &Span, age: Duration) {
        let cause = self.span_context();
        if age <= CHILD_WITHIN {
            let parent = opentelemetry::Context::new().with_remote_span_context(cause.clone());
            // It can only fail for a span that no exporter listens to.
            drop(span.set_parent(parent));
        }
        span.add_link(cause);
    }
}

impl From<&SpanContext> for TraceContext {
    fn from(context: &SpanContext) -> Self {
        let mut bytes = [0; 25];
        let parts = context
            .trace_id()
            .to_bytes()
            .into_iter()
            .chain(context.span_id().to_bytes())
            .chain([context.trace_flags().to_u8()]);
        for (to, from) in bytes.iter_mut().zip(parts) {
            *to = from;
        }
        Self(bytes)
    }
}

/// Whether any exporter wants spans: makes them free when none does.
pub fn enabled() -> bool {
    EXPORTING.load(std::sync::atomic::Ordering::Relaxed)
}

/// Says that spans are exported from now on; called by whoever installs the exporter.
pub fn set_enabled(exporting: bool) {
    EXPORTING.store(exporting, std::sync::atomic::Ordering::Relaxed);
}

static EXPORTING: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_survives_its_bytes() {
        let context = SpanContext::new(
            TraceId::from_bytes([1; 16]),
            SpanId::from_bytes([2; 8]),
            TraceFlags::SAMPLED,
            true,
            TraceState::default(),
        );
        let ours = TraceContext::from(&context);
        let read = TraceContext::from_bytes(ours.as_bytes()).unwrap();
        assert_eq!(read.span_context(), context);
        assert_eq!(TraceContext::from_bytes(&[1; 24]), None);
    }
}

//! Traces on their way to a collector: set up by the standard's environment variables, and silent about a collector
//! that is away but for one line when that begins and one when it is over.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_otlp::SpanExporter as Otlp;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const INSECURE: &str = "OTEL_EXPORTER_OTLP_INSECURE";
const TRACES_INSECURE: &str = "OTEL_EXPORTER_OTLP_TRACES_INSECURE";

/// A setting that traces can't be sent by.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    /// The variable.
    pub(super) setting: &'static str,
    /// Why.
    pub(super) why: String,
}

/// What sends traces; none if the environment doesn't ask for any.
pub(super) fn provider(service_name: &str) -> Result<Option<SdkTracerProvider>, Unusable> {
    let Some(setting) = setting(&variable)? else { return Ok(None) };
    let otlp = Otlp::builder().with_tonic().build().map_err(|error| {
        // It may be another setting than the endpoint: the error names it.
        Unusable { setting, why: chain(&error) }
    })?;
    let mut resource = Resource::builder();
    if variable("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(service_name.to_owned());
    }
    let exporter = Exporter { otlp, setting, away: AtomicBool::new(false) };
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build();
    Ok(Some(provider))
}

/// A variable of the environment; none if it is unset or blank.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The variable that names the collector, if traces are wanted and can be sent there.
fn setting(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<&'static str>, Unusable> {
    let is_true =
        |name: &str| variable(name).is_some_and(|it| it.trim().eq_ignore_ascii_case("true"));
    if is_true("OTEL_SDK_DISABLED") {
        return Ok(None);
    }
    let named =
        [TRACES_ENDPOINT, ENDPOINT].into_iter().find_map(|name| Some((name, variable(name)?)));
    let Some((setting, endpoint)) = named else { return Ok(None) };
    let unusable = |why: &str| Err(Unusable { setting, why: why.to_owned() });
    match endpoint.trim().split_once("://") {
        Some(("http", _)) => Ok(Some(setting)),
        Some(("https", _)) => {
            unusable("it is https, and this build has no TLS for traces: use http")
        }
        Some(_) => unusable("its scheme is not http"),
        None if is_true(TRACES_INSECURE) || is_true(INSECURE) => Ok(Some(setting)),
        None => unusable("it has no scheme: it must begin with http://"),
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error: &&dyn Error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Sends spans, and says once that they can't be sent and once that they can be again. What can't be sent is lost:
/// telemetry never holds a call up.
#[derive(Debug)]
struct Exporter {
    otlp: Otlp,
    setting: &'static str,
    away: AtomicBool,
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.otlp.export(batch).await;
        let away = self.away.swap(sent.is_err(), Ordering::Relaxed);
        let setting = self.setting;
        match sent {
            Ok(()) if away => tracing::info!(setting, "traces are sent again"),
            Err(error) if !away => {
                tracing::warn!(setting, error = chain(&error), "traces can't be sent and are lost");
            }
            Ok(()) | Err(_) => {}
        }
        // Told already: the library would say so of every batch.
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.otlp.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.otlp.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(set: &[(&str, &str)]) -> Result<Option<&'static str>, &'static str> {
        let variable = |name: &str| {
            let found = set.iter().find(|(one, _)| *one == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        setting(&variable).map_err(|unusable| unusable.setting)
    }

    #[test]
    fn an_endpoint_is_used_or_named() {
        assert_eq!(asked(&[]), Ok(None));
        assert_eq!(asked(&[(ENDPOINT, "http://collector:4317")]), Ok(Some(ENDPOINT)));
        let both = [(ENDPOINT, "nonsense"), (TRACES_ENDPOINT, "http://collector:4317")];
        assert_eq!(asked(&both), Ok(Some(TRACES_ENDPOINT)));
        for bad in ["collector:4317", "https://collector:4317", "nonsense", "unix:///tmp/x"] {
            assert_eq!(asked(&[(ENDPOINT, bad)]), Err(ENDPOINT), "{bad}");
        }
        let insecure = [(ENDPOINT, "collector:4317"), (INSECURE, "true")];
        assert_eq!(asked(&insecure), Ok(Some(ENDPOINT)));
        assert_eq!(asked(&[(ENDPOINT, "nonsense"), ("OTEL_SDK_DISABLED", "TRUE")]), Ok(None));
    }
}

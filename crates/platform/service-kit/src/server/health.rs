//! The health of a server's services, for whoever balances load.

use futures::stream::{self, StreamExt};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::drain::Drain;

/// Keeps health up to date until the drain; the server as a whole is healthy when every service is, whatever single
/// partitions are.
pub(super) async fn report(
    reporter: HealthReporter,
    ready: Vec<(String, watch::Receiver<bool>)>,
    partitions: Vec<(String, watch::Receiver<bool>)>,
    drain: Drain,
) {
    let services = ready.len();
    let all: Vec<_> = ready.into_iter().chain(partitions).collect();
    let mut states: Vec<(String, bool)> =
        all.iter().map(|(name, _)| (name.clone(), false)).collect();
    let changes = all.into_iter().enumerate().map(|(index, (_, ready))| {
        WatchStream::new(ready).map(move |ready| (index, ready)).boxed()
    });
    let mut changes = stream::select_all(changes);
    for (name, _) in &states {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
    }
    if states.is_empty() {
        reporter.set_service_status("", ServingStatus::Serving).await;
    }
    loop {
        let change = tokio::select! {
            biased;
            () = drain.started() => break,
            change = changes.next() => change,
        };
        let Some((index, ready)) = change else {
            // All who could say otherwise are gone.
            drain.started().await;
            break;
        };
        if let Some((name, state)) = states.get_mut(index) {
            *state = ready;
            reporter.set_service_status(&*name, serving(ready)).await;
        }
        let all = states.iter().take(services).all(|(_, ready)| *ready);
        reporter.set_service_status("", serving(all)).await;
    }
    for (name, _) in &states {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
    }
    reporter.set_service_status("", ServingStatus::NotServing).await;
}

const fn serving(ready: bool) -> ServingStatus {
    if ready { ServingStatus::Serving } else { ServingStatus::NotServing }
}

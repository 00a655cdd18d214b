//! When to stop: the first signal asks to drain, the second one ends the process.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code of a process that a signal ended.
const INTERRUPTED: i32 = 130;

/// Returns at SIGTERM or SIGINT. From then on a second one ends the process at once.
pub(crate) async fn stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::warn!("signals can't be received; the process stops only when it is killed");
        return std::future::pending().await;
    };
    either(&mut terminate, &mut interrupt).await;
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        end();
    });
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[expect(clippy::exit, reason = "a second signal means: now")]
fn end() {
    std::process::exit(INTERRUPTED);
}

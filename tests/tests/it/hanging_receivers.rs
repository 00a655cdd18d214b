//! One workspace's receivers that never answer don't delay another workspace's webhooks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use tests::api::{Api, until};
use tests::notices::{
    deliveries, open_ticket, put_endpoint, put_rule, put_workspace, workspace_in,
};
use tests::receiver::{Receiver, SECRET};
use tests::stack::Stack;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// So many receivers hang, each at an endpoint of its own.
const HANGING: usize = 200;
/// Of the 256 attempts that a process makes at once, one workspace takes half.
const SHARE: usize = 128;

/// Takes every connection, and says nothing.
struct Silent {
    url: String,
    taken: Arc<AtomicUsize>,
    listening: JoinHandle<()>,
}

impl Silent {
    async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&taken);
        let listening = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((connection, _)) = listener.accept().await {
                held.push(connection);
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(Self { url, taken, listening })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// The slowest of a few deliveries, from the call that opens the ticket to the receiver.
async fn slowest(api: &Api, workspace: &str, receiver: &Receiver) -> anyhow::Result<Duration> {
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let before = receiver.received().delivered;
        let begun = Instant::now();
        open_ticket(api, workspace).await?;
        until("the webhook arrives", || async {
            Ok((receiver.received().delivered > before).then_some(()))
        })
        .await?;
        slowest = slowest.max(begun.elapsed());
    }
    Ok(slowest)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_receivers_that_hang_delay_nobody_else() -> anyhow::Result<()> {
    let stack = Stack::up(&[]).await?;
    let api = stack.api()?;
    let (heavy, other) = (workspace_in(0, "heavy"), workspace_in(0, "other"));
    let (silent, receiver) = (Silent::start().await?, Receiver::start().await?);
    put_workspace(&api, &heavy).await?;
    put_workspace(&api, &other).await?;
    put_endpoint(&api, &other, "hook", &receiver.url(), SECRET).await?;
    put_rule(&api, &other, "hook", Some("hook"), "").await?;
    let quiet = slowest(&api, &other, &receiver).await?;

    for number in 0..HANGING {
        let name = format!("hang-{number}");
        put_endpoint(&api, &heavy, &name, &format!("{}{number}", silent.url), SECRET).await?;
        put_rule(&api, &heavy, &name, Some(&name), "").await?;
    }
    // Eight for each endpoint: 1,600 attempts want to be made.
    for _ in 0..8 {
        open_ticket(&api, &heavy).await?;
    }
    until("as many attempts hang as one workspace may have", || async {
        Ok((silent.taken.load(Ordering::Relaxed) >= SHARE).then_some(()))
    })
    .await?;
    let beside = slowest(&api, &other, &receiver).await?;
    let taken = silent.taken.load(Ordering::Relaxed);
    println!(
        "{taken} attempts hang; another workspace's arrive within {beside:?}, {quiet:?} when it is quiet"
    );
    ensure!(beside < quiet * 10, "another workspace's webhooks took {beside:?}, {quiet:?} before");
    let waiting = deliveries(&api, &heavy).await?;
    ensure!(waiting.iter().all(|it| it.attempts <= 2), "they wait, and are tried as planned");
    stack.stop().await
}

//! The board of notices on real servers: what is renewed stands, what is silent goes, and while the board is away
//! nothing goes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use event_log::{EventLogProvider, LeaseBoard, LogName, NOTICE_STANDS, Notices};
use event_log_nats::{NatsBoard, NatsConfig, NatsProvider};
use tests::api::{WITHIN, until};
use tests::nats::Nats;
use tests::proxy::{Mode, Proxy};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Much longer than a notice stands.
const LONG: Duration = NOTICE_STANDS.saturating_mul(3);
const RENEW_EVERY: Duration = Duration::from_secs(1);

async fn provider(url: &str, replicas: usize) -> anyhow::Result<NatsProvider> {
    let mut config = NatsConfig::new(url);
    config.replicas = replicas;
    Ok(NatsProvider::connect(config).await?)
}

/// Waits for what must come about on a board.
async fn seen(board: &NatsBoard, what: impl FnMut(&Notices) -> bool) -> anyhow::Result<Notices> {
    let mut notices = board.watch();
    let found = timeout(WITHIN, notices.wait_for(what)).await?;
    Ok(Arc::clone(&*found?))
}

/// Puts a notice up until it is there, however long the board is away.
async fn put(board: &NatsBoard, key: &str, text: &'static str) -> anyhow::Result<()> {
    until("the notice is put up", || async {
        Ok(board.put(key, Bytes::from_static(text.as_bytes())).await.ok())
    })
    .await
}

/// Renews a notice as an instance does: whether that works or not. Ends when dropped.
struct Renewing(JoinHandle<()>);

impl Renewing {
    fn start(board: Arc<NatsBoard>, key: &'static str) -> Self {
        Self(tokio::spawn(async move {
            loop {
                drop(board.put(key, Bytes::from_static(b"here")).await);
                sleep(RENEW_EVERY).await;
            }
        }))
    }
}

impl Drop for Renewing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Notes every key that was ever missing from a board.
struct Missing(JoinHandle<Vec<Notices>>, watch::Sender<bool>);

impl Missing {
    fn watch(board: &NatsBoard, keys: &'static [&'static str]) -> Self {
        let mut notices = board.watch();
        let (stop, mut stopped) = watch::channel(false);
        Self(
            tokio::spawn(async move {
                let mut bad = Vec::new();
                loop {
                    let now = Arc::clone(&*notices.borrow_and_update());
                    if !keys.iter().all(|key| now.contains_key(*key)) {
                        bad.push(now);
                    }
                    tokio::select! {
                        _ = notices.changed() => {}
                        _ = stopped.changed() => return bad,
                    }
                }
            }),
            stop,
        )
    }

    async fn none(self) -> anyhow::Result<()> {
        self.1.send_replace(true);
        let bad = self.0.await?;
        ensure!(bad.is_empty(), "a notice went that should stand: {bad:?}");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_stand_while_renewed_and_go_when_silent_or_taken_down() -> anyhow::Result<()> {
    let nats = Nats::start().await?;
    let provider = provider(&nats.url(), 1).await?;
    provider.create_board().await?;
    provider.create_board().await?; // twice is as good as once
    let (one, other) = (Arc::new(provider.board()), provider.board());
    let _renewing = Renewing::start(Arc::clone(&one), "member.intake.a");
    seen(&other, |notices| notices.contains_key("member.intake.a")).await?;

    // A short notice takes another's place at once, and a silent one goes, but not before its time.
    put(&other, "leader.intake.00", "x").await?;
    let last = Instant::now();
    put(&other, "leader.intake.00", "y").await?;
    let notices = seen(&one, |it| it.get("leader.intake.00").is_some_and(|it| it == "y")).await?;
    assert_eq!(notices["member.intake.a"], "here");
    let notices = seen(&one, |notices| !notices.contains_key("leader.intake.00")).await?;
    assert!(last.elapsed() >= NOTICE_STANDS, "after {:?}", last.elapsed());
    assert!(notices.contains_key("member.intake.a"), "the renewed one went too");

    // One that is taken down goes long before its time, and a late comer sees what stands alone.
    put(&one, "leader.intake.01", "x").await?;
    seen(&other, |notices| notices.contains_key("leader.intake.01")).await?;
    one.remove("leader.intake.01").await?;
    seen(&other, |notices| !notices.contains_key("leader.intake.01")).await?;
    let late = provider.board();
    let notices = seen(&late, |notices| notices.contains_key("member.intake.a")).await?;
    assert!(!notices.contains_key("leader.intake.01"), "{notices:?}");

    for bad in ["", "a..b", "a.*", "A"] {
        one.put(bad, Bytes::new()).await.unwrap_err();
    }

    // It is no log, and it goes with the logs.
    assert_eq!(provider.list().await?, []);
    provider.remove_all().await?;
    Ok(())
}

/// The stream is in memory: a lone server that is started again has forgotten it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_while_a_lone_server_is_away_and_it_goes_on_after() -> anyhow::Result<()> {
    let mut nats = Nats::start().await?;
    let provider = provider(&nats.url(), 1).await?;
    provider.create_board().await?;
    let (one, other) = (Arc::new(provider.board()), Arc::new(provider.board()));
    let renewing =
        [Renewing::start(Arc::clone(&one), "a"), Renewing::start(Arc::clone(&other), "b")];
    let both = |notices: &Notices| notices.len() == 2;
    seen(&one, both).await?;
    seen(&other, both).await?;
    let missing = [&one, &other].map(|board| Missing::watch(board, &["a", "b"]));
    nats.kill(0)?;
    sleep(LONG).await; // that is the case: nothing goes in all this time
    one.put("a", Bytes::new()).await.unwrap_err();
    nats.start_again(0)?;
    nats.ready().await?;
    put(&one, "c", "new").await?;
    seen(&other, |notices| notices.contains_key("c")).await?;
    for missing in missing {
        missing.none().await?;
    }
    drop(renewing);
    seen(&one, |notices| notices.is_empty()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_cut_off_goes_for_the_others_and_they_stand_for_it() -> anyhow::Result<()> {
    let nats = Nats::start().await?;
    let proxy = Proxy::start(nats.addresses()[0]).await?;
    let direct = provider(&nats.url(), 1).await?;
    direct.create_board().await?;
    let cut_off = provider(&format!("nats://{}", proxy.address()), 1).await?;
    let (one, other) = (Arc::new(direct.board()), Arc::new(cut_off.board()));
    let _renewing =
        [Renewing::start(Arc::clone(&one), "a"), Renewing::start(Arc::clone(&other), "b")];
    let both = |notices: &Notices| notices.len() == 2;
    for mode in [Mode::Cut, Mode::Hold] {
        seen(&one, both).await?;
        seen(&other, both).await?;
        let stands = Missing::watch(&other, &["a", "b"]);
        proxy.set(mode);
        seen(&one, |notices| !notices.contains_key("b")).await?;
        sleep(LONG).await; // that is the case: nothing goes in all this time
        stands.none().await?;
        proxy.set(Mode::Pass);
    }
    seen(&one, both).await?;
    seen(&other, both).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_when_the_board_s_leader_of_three_is_killed() -> anyhow::Result<()> {
    let mut nats = Nats::start_cluster().await?;
    let url = nats.url();
    let first = provider(&url, 3).await?;
    // Made without being told how many replicas: as many as the logs have.
    first.create(&LogName::new("intake", 0), Bytes::from_static(b"genesis")).await?;
    let second = provider(&url, 1).await?;
    let (one, other) = (Arc::new(first.board()), Arc::new(second.board()));
    let renewing =
        [Renewing::start(Arc::clone(&one), "a"), Renewing::start(Arc::clone(&other), "b")];
    let both = |notices: &Notices| notices.len() == 2;
    seen(&one, both).await?;
    seen(&other, both).await?;
    let leader = nats.leader_of("SY_BOARD").await?;
    let missing = [&one, &other].map(|board| Missing::watch(board, &["a", "b"]));
    nats.kill(leader)?;
    put(&one, "c", "new").await?;
    seen(&other, |notices| notices.contains_key("c")).await?;
    for missing in missing {
        missing.none().await?;
    }
    nats.start_again(leader)?;
    nats.ready().await?;
    drop(renewing);
    seen(&one, |notices| notices.is_empty()).await?;
    seen(&other, |notices| notices.is_empty()).await?;
    Ok(())
}

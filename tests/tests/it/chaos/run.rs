//! A run: the workload, one fault after the other, rest, and the verdict.

use std::time::Duration;

use anyhow::Context as _;
use tests::load::WORKSPACES;
use tokio::time::{Instant, timeout};

use crate::chaos::check::judge;
use crate::chaos::faults::{Kind, inject, plan};
use crate::chaos::logs::Logs;
use crate::chaos::report::{Injected, Missing, Report};
use crate::chaos::rng::Rng;
use crate::chaos::stage::{Stage, lanes};

/// How many calls are acknowledged in quiet before each fault.
const QUIET: usize = 30;
/// A fault and what follows from it may take so long.
const FAULT_WITHIN: Duration = Duration::from_secs(180);
/// A kind that had no effect is tried again so often.
const AGAIN_MAX: usize = 3;

/// What to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// At least so many calls are acknowledged.
    pub(crate) calls: usize,
    /// So many faults bite.
    pub(crate) faults: usize,
    pub(crate) seed: u64,
}

/// Runs it to the verdict. Fails where the product doesn't come back, or can't be judged.
pub(crate) async fn run(options: Options) -> anyhow::Result<Report> {
    let began = Instant::now();
    let mut stage = Stage::set(options.seed).await?;
    let told = act(&mut stage, options).await;
    let (faults, missing) = told.with_context(|| stage.cluster.said())?;
    let mut report = judged(&mut stage, options).await?;
    report.seconds = began.elapsed().as_secs_f64();
    report.held_back = stage.workload.held_back();
    report.webhooks = stage.receiver.received().bodies.len();
    (report.faults, report.missing) = (faults, missing);
    Ok(report)
}

async fn act(stage: &mut Stage, options: Options) -> anyhow::Result<(Vec<Injected>, Missing)> {
    let mut missing = Missing::new();
    if let Some(why) = &stage.disks.missing {
        missing.insert(Kind::DiskFull.name(), why.clone());
    }
    let kinds: Vec<_> =
        Kind::ALL.into_iter().filter(|kind| !missing.contains_key(kind.name())).collect();
    let mut faults = Vec::new();
    for kind in plan(&kinds, options.faults, &mut Rng::new(options.seed)) {
        for _ in 0..AGAIN_MAX {
            let done = timeout(FAULT_WITHIN, one(stage, kind)).await;
            let injected = done.context("it took too long").and_then(|done| done);
            let injected = injected.with_context(|| kind.name())?;
            say(&injected);
            let has_bitten = injected.bite.has_bitten;
            faults.push(injected);
            if has_bitten {
                break;
            }
        }
    }
    while stage.recorder().acknowledged() < options.calls {
        stage.more(1, |_| true).await?;
    }
    stage.rest().await.context("it doesn't come to rest")?;
    Ok((faults, missing))
}

/// One fault, from quiet to quiet.
async fn one(stage: &mut Stage, kind: Kind) -> anyhow::Result<Injected> {
    stage.more(QUIET, |_| true).await?;
    let since = stage.recorder().now();
    let bite = inject(kind, stage).await?;
    stage.whole().await.context("it doesn't become whole again")?;
    let span = (since, stage.recorder().now());
    let gap = |(service, workspace)| {
        let of =
            |it: &crate::chaos::history::Change| it.service == service && it.workspace == workspace;
        stage.recorder().longest_gap(span, of)
    };
    let longest_gap = lanes().map(gap).max().unwrap_or_default();
    Ok(Injected { kind, span, longest_gap, bite })
}

/// All instances end well, every log folds to the states that leaders wrote, and the history is judged by the logs.
async fn judged(stage: &mut Stage, options: Options) -> anyhow::Result<Report> {
    stage.cluster.stop_instances().await?;
    let history = stage.recorder().take();
    if let Err(error) = stage.cluster.verify().await {
        stage.recorder().violation(format!("I10: {error:#}"));
    }
    let mut history = history;
    history.violations.extend(stage.recorder().take().violations);
    let logs = Logs::read(&stage.cluster.nats.url()).await?;
    let received = stage.receiver.received();
    let verdict = judge(&history, &logs, &stage.before, Some(&received));
    anyhow::ensure!(!history.changes.is_empty() && !WORKSPACES.is_empty(), "nobody called");
    Ok(Report::of(options.seed, &history, verdict))
}

#[expect(clippy::print_stderr, reason = "what goes on in a run of many minutes")]
fn say(injected: &Injected) {
    let Injected { kind, span, longest_gap, bite } = injected;
    let bitten = if bite.has_bitten { "has bitten" } else { "had NO effect" };
    eprintln!(
        "{:7.1} s  {} {bitten}: {}; whole after {:.1} s, longest gap {:.1} s",
        span.0.as_secs_f64(),
        kind.name(),
        bite.seen,
        span.1.saturating_sub(span.0).as_secs_f64(),
        longest_gap.as_secs_f64(),
    );
}

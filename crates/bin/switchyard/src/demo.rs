//! `switchyard demo`: a company's real incidents through all four services, on a stepped clock.
//!
//! ```text
//! file ─> rows in order ─> plan: wishes, roster ─> driver ── gRPC ──> intake · routing · sla · notify
//!                                                    │ ▲                                      │
//!                          desk: offers, owners <────┘ └── all rest ──────── webhooks ──> receiver
//! ```
//!
//! When a ticket is worked, waits, is solved and closed is the file's. Who gets it is Switchyard's decision.

pub(crate) mod file;
mod roster;
pub(crate) mod plan;
pub(crate) mod fleet;
pub(crate) mod setup;
mod desk;
pub(crate) mod act;
mod driver;
mod figures;
mod summary;
mod stage;
pub(crate) mod memory;

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::cli::Demo;
use crate::webhooks::Receiver;
use crate::{out, signals};

use driver::Driver;
use figures::{Details, Figures};
use plan::Plan;
use stage::Stage;

/// The secret of the demo's own endpoint, which nobody else can reach.
const SECRET: &str = "whsec_c3dpdGNoeWFyZCBkZW1vIHJlY2VpdmVy";

/// Plays the file and prints what came of it.
pub(crate) async fn run(settings: Demo) -> Result<()> {
    let started = Instant::now();
    let plan = Plan::of(&file::rows()?)?;
    let receiver = Receiver::new(SECRET, true, false)?;
    let listener = TcpListener::bind("127.0.0.1:0").await.context("the receiver's port")?;
    let url = format!("http://{}/demo", listener.local_addr()?);
    let (stop_receiver, stopped) = oneshot::channel::<()>();
    let receiving = tokio::spawn(receiver.clone().serve(listener, async {
        // A dropped sender means the same as a word.
        stopped.await.unwrap_or(());
    }));

    let mut stage = Stage::build(&settings, plan.starts_at_ms).await?;
    let played = tokio::select! {
        played = play(&mut stage, &settings, &plan, &receiver, &url) => played,
        () = signals::stop() => Err(anyhow::anyhow!("stopped by a signal")),
    };
    let memory = stage.peak_rss_mib();
    let struck = stage.strike().await;
    drop(stop_receiver);
    let received = receiving.await.context("the receiver").and_then(|served| served);

    let (mut figures, details) = played?;
    struck?;
    received?;
    figures.wall_seconds = (started.elapsed().as_secs_f64() * 100.0).round() / 100.0;
    figures.peak_rss_mib = memory?;
    print(&settings, &figures, &details, &plan)
}

async fn play(
    stage: &mut Stage,
    settings: &Demo,
    plan: &Plan,
    receiver: &Receiver,
    url: &str,
) -> Result<(Figures, Details)> {
    setup::run(stage.fleet(), plan, url, SECRET).await.context("setting up")?;
    let progress = progress(plan.steps.len())?;
    let mut driver = Driver::new(stage.fleet_mut(), plan, settings.seed);
    driver.play(&progress).await?;
    progress.finish_and_clear();
    let opened = driver.opened();
    let desk = std::mem::take(&mut driver.desk);
    let (figures, details) = figures::collect(stage.fleet(), &desk, &receiver.deliveries()).await?;
    if u64::try_from(opened)? != figures.tickets_opened {
        bail!("{opened} tickets were opened, intake has {}", figures.tickets_opened);
    }
    Ok((figures, details))
}

fn print(settings: &Demo, figures: &Figures, details: &Details, plan: &Plan) -> Result<()> {
    if settings.json {
        out::line(&serde_json::to_string_pretty(figures)?)
    } else {
        out::line(&summary::render(figures, details, plan))
    }
}

/// A bar on a terminal, else nothing.
fn progress(steps: usize) -> Result<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let bar = ProgressBar::with_draw_target(
        Some(u64::try_from(steps)?),
        ProgressDrawTarget::stderr_with_hz(10),
    );
    let style = "{elapsed_precise} {wide_bar} {pos}/{len} rows, {eta} left";
    bar.set_style(ProgressStyle::with_template(style)?);
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(bar)
}

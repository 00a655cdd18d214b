//! `CreateTicket` over gRPC: intake beside a bare handler that stores one message a call, and beside one that stores
//! nothing.

use std::sync::Arc;

use anyhow::Result;

use crate::cli::{Bench, Role};

use super::Name;
use super::floor::{Bare, FloorServer};
use super::load::Load;
use super::measure::{Compared, compare};
use super::place::{Place, server_settings};
use super::report::{Figure, Goal};

const NAIVE: &str = "a bare handler that stores one message a call";
const ECHO: &str = "a bare echo that stores nothing";
/// How many calls are in flight beside the echo.
const BESIDE_ECHO: usize = 64;

/// One call at a time.
pub(super) async fn one(settings: &Bench, place: &Place) -> Result<Figure> {
    let compared = beside(1, true, true, settings, place).await?;
    Ok(Figure::compared(Name::Create1, "ms", NAIVE, compared, Goal::AtMost(1.3), settings))
}

/// Many in flight; `goal` times as many a second as the floor.
pub(super) async fn many(
    name: Name,
    in_flight: usize,
    goal: f64,
    settings: &Bench,
    place: &Place,
) -> Result<Figure> {
    let compared = beside(in_flight, true, false, settings, place).await?;
    Ok(Figure::compared(name, "calls/s", NAIVE, compared, Goal::AtLeast(goal), settings))
}

/// The aim, which no goal asks for: 0.7 of a server that stores nothing.
pub(super) async fn echo(settings: &Bench, place: &Place) -> Result<Figure> {
    let compared = beside(BESIDE_ECHO, false, false, settings, place).await?;
    Ok(Figure::compared(Name::Echo64, "calls/s", ECHO, compared, Goal::Nothing, settings))
}

async fn beside(
    in_flight: usize,
    stores: bool,
    p50: bool,
    settings: &Bench,
    place: &Place,
) -> Result<Compared> {
    let opened = place.open().await?;
    let store = if stores { Some(Arc::new(Bare::new(&opened, 0).await?)) } else { None };
    let floor = FloorServer::start(store).await?;
    // Intake alone: the others would take from the machine what is measured.
    let running = opened.start(&[Role::Intake], &server_settings(place, None)).await?;
    let product_load = Load::new(&running.address().to_string(), in_flight, settings.scale).await?;
    let floor_load = Load::new(&floor.address, in_flight, settings.scale).await?;
    let of = async |load: &Load| if p50 { load.p50().await } else { load.rate().await };
    let compared =
        compare(settings.runs, async || of(&product_load).await, async || of(&floor_load).await)
            .await;
    drop((product_load, floor_load));
    running.stop().await?;
    floor.stop().await?;
    compared
}

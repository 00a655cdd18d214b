//! Turns of product and floor, and what may be concluded from them.

use anyhow::{Context, Result};

/// How many turns are made for each one that is to count.
const TURNS_FOR_EACH: usize = 2;
/// Two floors in succession that differ by more than this part of the larger: something else was running.
const CALM: f64 = 0.25;

/// What many turns came to: medians.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compared {
    pub(super) value: f64,
    pub(super) floor: f64,
    /// The median of the turns' own ratios, which a drift of the machine does not touch.
    pub(super) ratio: f64,
    /// How many turns counted.
    pub(super) runs: usize,
    /// How many did not.
    pub(super) dropped: usize,
}

#[derive(Debug, Clone, Copy)]
struct Turn {
    value: f64,
    floor: f64,
    /// How far apart the floors before and after the product's run are, as a part of the larger.
    unrest: f64,
}

/// Lets floor and product take turns: floor, product, floor, product, …, floor. A product's run stands beside the mean
/// of the floors just before and after it; where those two differ much, the turn was disturbed and is dropped. At least
/// `runs` turns are kept, the calmest ones if most were disturbed.
pub(super) async fn compare(
    runs: usize,
    mut product: impl AsyncFnMut() -> Result<f64>,
    mut floor: impl AsyncFnMut() -> Result<f64>,
) -> Result<Compared> {
    // The first of each finds cold caches and new connections.
    product().await?;
    floor().await?;
    let mut before = floor().await?;
    let mut turns: Vec<Turn> = Vec::new();
    while turns.len() < runs * TURNS_FOR_EACH && calm(&turns) < runs {
        let value = product().await?;
        let after = floor().await?;
        let unrest = (before - after).abs() / before.max(after);
        turns.push(Turn { value, floor: f64::midpoint(before, after), unrest });
        before = after;
    }
    let all = turns.len();
    turns.sort_by(|one, other| one.unrest.total_cmp(&other.unrest));
    turns.truncate(calm(&turns).max(runs));
    let of = |part: fn(&Turn) -> f64| median(turns.iter().map(part).collect());
    Ok(Compared {
        value: of(|turn| turn.value)?,
        floor: of(|turn| turn.floor)?,
        ratio: of(|turn| turn.value / turn.floor)?,
        runs: turns.len(),
        dropped: all - turns.len(),
    })
}

fn calm(turns: &[Turn]) -> usize {
    turns.iter().filter(|turn| turn.unrest <= CALM).count()
}

/// The middle one; of an even number, the upper of the two.
pub(super) fn median(mut values: Vec<f64>) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().context("nothing was measured")
}

/// A count as a measure. Counts here are far below 2^53.
#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "see above")]
pub(super) fn measure_of(count: u64) -> f64 {
    count as f64
}

/// A part of a count, at least 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::as_conversions,
    reason = "a part of a count is not larger, and not negative"
)]
pub(super) fn scaled(count: u64, scale: f64) -> u64 {
    ((measure_of(count) * scale).ceil() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_between_unlike_floors_is_dropped() {
        // The fourth and fifth floors are those of a machine that does something else.
        let mut floors = [9.0, 100.0, 100.0, 20.0, 100.0, 100.0, 100.0].into_iter();
        let mut values = [1.0, 200.0, 50.0, 50.0, 210.0, 220.0].into_iter();
        let compared = compare(
            3,
            async || values.next().context("no value"),
            async || floors.next().context("no floor"),
        )
        .await
        .unwrap();
        assert_eq!((compared.runs, compared.dropped), (3, 2));
        assert!((compared.ratio - 2.1).abs() < 1e-9, "{compared:?}");
    }

    #[test]
    fn a_median_is_one_of_the_values() {
        assert!((median(vec![3.0, 1.0, 2.0]).unwrap() - 2.0).abs() < f64::EPSILON);
        assert!(median(Vec::new()).is_err());
    }
}

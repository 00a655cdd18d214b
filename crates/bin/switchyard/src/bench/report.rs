//! Figures, as a table and as JSON.

use serde::Serialize;

use crate::cli::Bench;
use crate::out;

use super::Name;
use super::measure::Compared;

/// One figure beside its floor and goal.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    /// What it is compared with.
    pub(super) floor: &'static str,
    pub(super) floor_value: Option<f64>,
    /// value / `floor_value`, turn by turn.
    pub(super) ratio: Option<f64>,
    /// In words; empty: there is none.
    pub(super) goal: String,
    /// None: there is no goal, or it is not judged at this scale.
    pub(super) met: Option<bool>,
    /// How many runs the medians are of.
    pub(super) runs: usize,
    /// How many runs more were disturbed and dropped.
    pub(super) dropped: usize,
    /// Below 1: a smaller measurement, whose goals are not judged.
    pub(super) scale: f64,
    /// What was measured on.
    pub(super) log: &'static str,
}

/// What a figure is to be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    /// None.
    Nothing,
    /// A part of the floor, or more.
    AtLeast(f64),
    /// The same, and a value.
    AtLeastBoth(f64, f64),
    /// A multiple of the floor, or less.
    AtMost(f64),
    /// A value, or less.
    ValueAtMost(f64),
}

impl Goal {
    fn words(self, unit: &str) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::AtLeast(ratio) => format!("at least {ratio} of the floor"),
            Self::AtLeastBoth(ratio, value) => {
                format!("at least {ratio} of the floor and {value} {unit}")
            }
            Self::AtMost(ratio) => format!("at most {ratio} of the floor"),
            Self::ValueAtMost(value) => format!("at most {value} {unit}"),
        }
    }

    fn is_met(self, value: f64, ratio: Option<f64>) -> Option<bool> {
        match self {
            Self::Nothing => None,
            Self::AtLeast(goal) => ratio.map(|ratio| ratio >= goal),
            Self::AtLeastBoth(goal, least) => ratio.map(|ratio| ratio >= goal && value >= least),
            Self::AtMost(goal) => ratio.map(|ratio| ratio <= goal),
            Self::ValueAtMost(most) => Some(value <= most),
        }
    }
}

impl Figure {
    /// A figure with a floor.
    pub(super) fn compared(
        name: Name,
        unit: &'static str,
        floor: &'static str,
        compared: Compared,
        goal: Goal,
        settings: &Bench,
    ) -> Self {
        let Compared { value, floor: floor_value, ratio, runs, dropped } = compared;
        Self {
            floor,
            floor_value: Some(rounded(floor_value)),
            ratio: Some(rounded(ratio)),
            met: judged(settings, goal.is_met(value, Some(ratio))),
            dropped,
            ..Self::absolute(name, unit, value, runs, goal, settings)
        }
    }

    /// A figure that stands for itself.
    pub(super) fn absolute(
        name: Name,
        unit: &'static str,
        value: f64,
        runs: usize,
        goal: Goal,
        settings: &Bench,
    ) -> Self {
        Self {
            name: name.as_str(),
            value: rounded(value),
            unit,
            floor: "",
            floor_value: None,
            ratio: None,
            goal: goal.words(unit),
            met: judged(settings, goal.is_met(value, None)),
            runs,
            dropped: 0,
            scale: settings.scale,
            log: if settings.log.is_some() { "nats" } else { "embedded" },
        }
    }
}

fn judged(settings: &Bench, met: Option<bool>) -> Option<bool> {
    met.filter(|_| settings.scale >= 1.0)
}

/// To three decimals.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// All figures for people.
pub(super) fn table(figures: &[Figure], settings: &Bench) -> String {
    let mut table = out::table(["", "value", "unit", "floor", "ratio", "goal", "met", "runs"]);
    for figure in figures {
        table.add_row([
            figure.name.to_owned(),
            shown(figure.value),
            figure.unit.to_owned(),
            figure
                .floor_value
                .map(|value| format!("{} ({})", shown(value), figure.floor))
                .unwrap_or_default(),
            figure.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            figure.goal.clone(),
            figure.met.map_or("", |met| if met { "yes" } else { "NO" }).to_owned(),
            figure.runs.to_string(),
        ]);
    }
    if settings.scale < 1.0 {
        return format!(
            "{table}\nmeasured at scale {}: smaller and shorter than the goals ask for, so they are not judged",
            settings.scale
        );
    }
    table.to_string()
}

fn shown(value: f64) -> String {
    if value >= 1000.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_bound_what_they_say() {
        assert_eq!(Goal::AtLeast(2.0).is_met(1.0, Some(2.0)), Some(true));
        assert_eq!(Goal::AtLeastBoth(0.4, 500.0).is_met(499.0, Some(0.9)), Some(false));
        assert_eq!(Goal::AtMost(1.3).is_met(9.0, Some(1.31)), Some(false));
        assert_eq!(Goal::ValueAtMost(3.0).is_met(3.0, None), Some(true));
        assert_eq!(Goal::Nothing.is_met(3.0, Some(1.0)), None);
    }
}

//! The figures for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use wire::common::v1::Priority;
use wire::events::v1::ClockMetric;

use crate::out;

use super::figures::{Details, Figures, verdicts};
use super::plan::Plan;

/// Everything worth reading, as text.
pub(crate) fn render(figures: &Figures, details: &Details, plan: &Plan) -> String {
    let mut text = String::new();
    for part in [tickets(figures, details), promises(details, plan), told(figures, details)] {
        // Writing to a string can't fail.
        write!(text, "\n{part}\n").unwrap_or_default();
    }
    text
}

fn tickets(figures: &Figures, details: &Details) -> String {
    let mut table = out::table(["tickets", "", "offers", "", "time to assign", ""]);
    let wait = |per_cent| span(percentile(&details.time_to_assign_ms, per_cent));
    let rows = [
        ("opened", figures.tickets_opened, "made", figures.offers_made, "half within", wait(50)),
        (
            "assigned",
            figures.tickets_assigned,
            "accepted",
            figures.offers_accepted,
            "90 % within",
            wait(90),
        ),
        (
            "resolved",
            figures.tickets_resolved,
            "declined",
            figures.offers_declined,
            "99 % within",
            wait(99),
        ),
        ("open", figures.tickets_open, "expired", figures.offers_expired, "all within", wait(100)),
        (
            "unroutable",
            figures.tickets_unroutable,
            "taken back",
            details.offers_rescinded,
            "",
            String::new(),
        ),
    ];
    for (ticket, tickets, offer, offers, part, wait) in rows {
        let (tickets, offers) = (tickets.to_string(), offers.to_string());
        table.add_row([ticket, &tickets, offer, &offers, part, &wait]);
    }
    table.to_string()
}

fn promises(details: &Details, plan: &Plan) -> String {
    let mut file: BTreeMap<Priority, (u64, u64)> = BTreeMap::new();
    for ticket in &plan.tickets {
        let (made, missed) = file.entry(ticket.last_priority).or_default();
        if ticket.made_sla {
            *made += 1;
        } else {
            *missed += 1;
        }
    }
    let of = |metric| verdicts(&details.clocks, |counts| counts.metric() == metric);
    let solved = of(ClockMetric::TotalResolution);
    let replied = of(ClockMetric::FirstReply);
    let all = verdicts(&details.clocks, |_| true);
    let mut table = out::table([
        "met / breached",
        "first reply",
        "resolution",
        "all clocks",
        "the file's made_sla",
    ]);
    for priority in [Priority::P1, Priority::P2, Priority::P3, Priority::P4] {
        let pair = |sums: &BTreeMap<Priority, (u64, u64)>| {
            let (met, breached) = sums.get(&priority).copied().unwrap_or_default();
            format!("{met} / {breached}")
        };
        let name = priority.as_str_name().trim_start_matches("PRIORITY_").to_owned();
        table.add_row([name, pair(&replied), pair(&solved), pair(&all), pair(&file)]);
    }
    table.to_string()
}

fn told(figures: &Figures, details: &Details) -> String {
    format!(
        "{} webhooks delivered and verified, {} notices in the app\n\
         {} clocks: {} met, {} breached, {} cancelled, {} running\n\
         {} events in {} records, {:.1} MiB\n\
         {:.1} s, {:.0} MiB of memory at most",
        figures.notifications_delivered,
        details.in_app,
        figures.clocks_started,
        figures.sla_met,
        figures.sla_breached,
        figures.sla_cancelled,
        figures.clocks_running,
        figures.events,
        figures.records,
        mebibytes(details.bytes),
        figures.wall_seconds,
        figures.peak_rss_mib,
    )
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "shown to one decimal")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// The value that `per_cent` of a sorted list don't exceed.
fn percentile(sorted: &[i64], per_cent: usize) -> i64 {
    let rank = (sorted.len() * per_cent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

/// `3 d 4 h`, `4 h 20 min`, `35 s`.
fn span(millis: i64) -> String {
    let seconds = millis / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let sorted: Vec<i64> = (1..=10).collect();
        assert_eq!(percentile(&sorted, 50), 5);
        assert_eq!(percentile(&sorted, 99), 10);
        assert_eq!(percentile(&sorted, 100), 10);
        assert_eq!(percentile(&[], 50), 0);
    }

    #[test]
    fn spans_are_short() {
        assert_eq!(span(0), "0 s");
        assert_eq!(span(4 * 3_600_000 + 20 * 60_000), "4 h 20 min");
        assert_eq!(span(76 * 3_600_000), "3 d 4 h");
    }
}

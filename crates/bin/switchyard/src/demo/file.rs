//! Reads the bundled incident log.

use anyhow::{Context, Result};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use wire::common::v1::Priority;

/// The file as it was published; `data/ATTRIBUTION.md` says by whom.
const INCIDENTS: &[u8] = include_bytes!("../../data/incidents.csv");

/// How the file writes that a value is missing.
const MISSING: &str = "?";

/// Where an incident stood, in the file's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileState {
    New,
    Active,
    AwaitingUser,
    /// Awaiting a problem's solution, a vendor or evidence.
    AwaitingOthers,
    Resolved,
    Closed,
}

impl FileState {
    /// Whether somebody still has to do something.
    pub(crate) const fn is_live(self) -> bool {
        match self {
            Self::New | Self::Active | Self::AwaitingUser | Self::AwaitingOthers => true,
            Self::Resolved | Self::Closed => false,
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(match text {
            "New" => Self::New,
            "Active" => Self::Active,
            "Awaiting User Info" => Self::AwaitingUser,
            "Awaiting Problem" | "Awaiting Vendor" | "Awaiting Evidence" => Self::AwaitingOthers,
            "Resolved" => Self::Resolved,
            "Closed" => Self::Closed,
            _ => return None,
        })
    }
}

/// One row: an incident after one of its changes.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// `INC0000045`.
    pub(crate) number: String,
    /// When it was changed, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// Where it stood then.
    pub(crate) state: FileState,
    pub(crate) priority: Priority,
    pub(crate) caller: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) person: Option<String>,
    pub(crate) category: Option<String>,
    /// What the file says of its promise; final in the last row.
    pub(crate) made_sla: bool,
    /// Everything else that a ticket keeps, by the column's name.
    pub(crate) attributes: Vec<(&'static str, String)>,
}

/// A row as it is written.
#[derive(Debug, Deserialize)]
struct Raw {
    number: String,
    incident_state: String,
    made_sla: String,
    caller_id: String,
    opened_by: String,
    sys_updated_at: String,
    contact_type: String,
    location: String,
    category: String,
    subcategory: String,
    u_symptom: String,
    cmdb_ci: String,
    impact: String,
    urgency: String,
    priority: String,
    assignment_group: String,
    assigned_to: String,
    knowledge: String,
    notify: String,
}

/// Every row in the order in which things happened: by instant, then number, then the file's order.
pub(crate) fn rows() -> Result<Vec<Row>> {
    let mut rows = csv::Reader::from_reader(INCIDENTS)
        .deserialize::<Raw>()
        .map(|raw| row(raw?))
        .collect::<Result<Vec<_>>>()
        .context("the bundled incidents")?;
    // A stable sort, so rows of one minute keep the file's order.
    rows.sort_by(|a, b| (a.at_ms, &a.number).cmp(&(b.at_ms, &b.number)));
    Ok(rows)
}

fn row(raw: Raw) -> Result<Row> {
    let state = FileState::from_text(&raw.incident_state)
        .with_context(|| format!("{}: state {:?}", raw.number, raw.incident_state))?;
    let attributes = [
        ("assignment_group", &raw.assignment_group),
        ("category", &raw.category),
        ("subcategory", &raw.subcategory),
        ("u_symptom", &raw.u_symptom),
        ("cmdb_ci", &raw.cmdb_ci),
        ("impact", &raw.impact),
        ("urgency", &raw.urgency),
        ("location", &raw.location),
        ("contact_type", &raw.contact_type),
        ("opened_by", &raw.opened_by),
        ("knowledge", &raw.knowledge),
        ("notify", &raw.notify),
    ];
    let attributes =
        attributes.into_iter().filter_map(|(name, value)| Some((name, given(value)?))).collect();
    Ok(Row {
        at_ms: instant(&raw.sys_updated_at)?,
        state,
        priority: priority(&raw.priority)?,
        caller: given(&raw.caller_id),
        group: given(&raw.assignment_group),
        person: given(&raw.assigned_to),
        category: given(&raw.category),
        made_sla: raw.made_sla == "TRUE",
        attributes,
        number: raw.number,
    })
}

fn given(text: &str) -> Option<String> {
    let text = text.trim();
    (text != MISSING && !text.is_empty()).then(|| text.to_owned())
}

/// `3 - Moderate`.
fn priority(text: &str) -> Result<Priority> {
    Ok(match text.chars().next() {
        Some('1') => Priority::P1,
        Some('2') => Priority::P2,
        Some('3') => Priority::P3,
        Some('4') => Priority::P4,
        Some(_) | None => anyhow::bail!("priority {text:?}"),
    })
}

/// `29-02-2016 01:16`; the file names no zone, and UTC is as good as any.
fn instant(text: &str) -> Result<i64> {
    let local = DateTime::strptime("%d-%m-%Y %H:%M", text).with_context(|| format!("{text:?}"))?;
    Ok(local.to_zoned(TimeZone::UTC)?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_what_its_publishers_say() {
        let rows = rows().unwrap();
        assert_eq!(rows.len(), 5_998);
        let numbers: std::collections::BTreeSet<_> = rows.iter().map(|row| &row.number).collect();
        assert_eq!(numbers.len(), 890);
        assert!(rows.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms));
    }

    #[test]
    fn dates_are_read_day_first() {
        assert_eq!(instant("29-02-2016 01:16").unwrap(), 1_456_708_560_000);
        assert!(instant("2016-02-29").is_err());
    }
}

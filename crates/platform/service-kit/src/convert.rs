//! Between the contract's words and the kernel's, both ways.
//!
//! Towards the wire nothing can fail. From the wire there are two kinds: what a caller sent goes through
//! [`Fields`](crate::validate::Fields), which refuses; what the log holds was checked when it was written, and goes
//! through the `stored_` and `lent_` functions. What these don't know is an error, never passed over: a later release
//! may have written it.

mod lent;
mod unknown;

use std::collections::BTreeMap;
use std::time::Duration;

use kernel::{
    AttributeValue, Attributes, Channel, Packed, Priority, SkillId, SkillLevel, SkillRequirement,
    TicketStatus, Timestamp,
};
use wire::common::v1 as common;
use wire::events::v1 as events;

pub use lent::{lent_attributes, lent_skills};
pub use unknown::UnknownValue;

/// The last second that the contract's timestamps can hold: the end of the year 9999.
const SECONDS_MAX: i64 = 253_402_300_799;

/// An instant for the wire.
pub fn timestamp_to_wire(at: Timestamp) -> prost_types::Timestamp {
    let millis = at.as_millis();
    let below = i32::try_from(millis.rem_euclid(1_000)).unwrap_or(0);
    prost_types::Timestamp {
        seconds: millis.div_euclid(1_000),
        nanos: below.saturating_mul(1_000_000),
    }
}

/// An instant from the wire, cut to milliseconds. `Err` says why it can't be: only 1970 to 9999 can.
pub fn timestamp_from_wire(at: &prost_types::Timestamp) -> Result<Timestamp, &'static str> {
    if !(0..=SECONDS_MAX).contains(&at.seconds) {
        return Err("must lie between the years 1970 and 9999");
    }
    if !(0..1_000_000_000).contains(&at.nanos) {
        return Err("must have between 0 and 999999999 nanoseconds");
    }
    let millis = i64::from(at.nanos / 1_000_000);
    Ok(Timestamp::from_millis(at.seconds.saturating_mul(1_000).saturating_add(millis)))
}

/// An instant as RFC 3339: `2026-01-02T03:04:05.678Z`.
pub fn rfc3339(at: Timestamp) -> String {
    timestamp_to_wire(at).to_string()
}

/// A duration for the wire; longer than the contract can hold becomes its longest.
pub fn duration_to_wire(duration: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(duration)
        .unwrap_or(prost_types::Duration { seconds: 315_576_000_000, nanos: 0 })
}

/// A duration of milliseconds for the wire.
pub fn millis_to_wire(millis: u64) -> prost_types::Duration {
    duration_to_wire(Duration::from_millis(millis))
}

/// A duration from the wire. `Err` says why it can't be.
pub fn duration_from_wire(duration: &prost_types::Duration) -> Result<Duration, &'static str> {
    if !(0..1_000_000_000).contains(&duration.nanos) || duration.seconds < 0 {
        return Err("must not be negative");
    }
    let seconds = u64::try_from(duration.seconds).map_err(|_| "must not be negative")?;
    let nanos = u32::try_from(duration.nanos).map_err(|_| "must not be negative")?;
    Ok(Duration::new(seconds, nanos))
}

/// A channel for the wire.
pub const fn channel_to_wire(channel: Channel) -> common::Channel {
    match channel {
        Channel::Voice => common::Channel::Voice,
        Channel::Chat => common::Channel::Chat,
        Channel::Messenger => common::Channel::Messenger,
        Channel::Sms => common::Channel::Sms,
        Channel::Social => common::Channel::Social,
        Channel::Email => common::Channel::Email,
        Channel::WebForm => common::Channel::WebForm,
        Channel::Api => common::Channel::Api,
    }
}

/// A channel from the wire; `None` if it is unset.
pub const fn channel_from_wire(channel: common::Channel) -> Option<Channel> {
    match channel {
        common::Channel::Unspecified => None,
        common::Channel::Voice => Some(Channel::Voice),
        common::Channel::Chat => Some(Channel::Chat),
        common::Channel::Messenger => Some(Channel::Messenger),
        common::Channel::Sms => Some(Channel::Sms),
        common::Channel::Social => Some(Channel::Social),
        common::Channel::Email => Some(Channel::Email),
        common::Channel::WebForm => Some(Channel::WebForm),
        common::Channel::Api => Some(Channel::Api),
    }
}

/// A channel that the log holds; it is never unset.
pub fn stored_channel(number: i32) -> Result<Channel, UnknownValue> {
    let known = common::Channel::try_from(number).ok().and_then(channel_from_wire);
    known.ok_or_else(|| UnknownValue::of("channel", number))
}

/// A priority, or none, for the wire.
pub const fn priority_to_wire(priority: Option<Priority>) -> common::Priority {
    match priority {
        None => common::Priority::Unspecified,
        Some(Priority::P1) => common::Priority::P1,
        Some(Priority::P2) => common::Priority::P2,
        Some(Priority::P3) => common::Priority::P3,
        Some(Priority::P4) => common::Priority::P4,
    }
}

/// A priority from the wire; `None` if it is unset.
pub const fn priority_from_wire(priority: common::Priority) -> Option<Priority> {
    match priority {
        common::Priority::Unspecified => None,
        common::Priority::P1 => Some(Priority::P1),
        common::Priority::P2 => Some(Priority::P2),
        common::Priority::P3 => Some(Priority::P3),
        common::Priority::P4 => Some(Priority::P4),
    }
}

/// A priority that the log holds; `None` if it is unset.
pub fn stored_priority(number: i32) -> Result<Option<Priority>, UnknownValue> {
    let known = common::Priority::try_from(number).map(priority_from_wire);
    known.map_err(|_| UnknownValue::of("priority", number))
}

/// A status for the wire.
pub const fn status_to_wire(status: TicketStatus) -> common::TicketStatus {
    match status {
        TicketStatus::New => common::TicketStatus::New,
        TicketStatus::Open => common::TicketStatus::Open,
        TicketStatus::Pending => common::TicketStatus::Pending,
        TicketStatus::OnHold => common::TicketStatus::OnHold,
        TicketStatus::Resolved => common::TicketStatus::Resolved,
        TicketStatus::Closed => common::TicketStatus::Closed,
    }
}

/// A status from the wire; `None` if it is unset.
pub const fn status_from_wire(status: common::TicketStatus) -> Option<TicketStatus> {
    match status {
        common::TicketStatus::Unspecified => None,
        common::TicketStatus::New => Some(TicketStatus::New),
        common::TicketStatus::Open => Some(TicketStatus::Open),
        common::TicketStatus::Pending => Some(TicketStatus::Pending),
        common::TicketStatus::OnHold => Some(TicketStatus::OnHold),
        common::TicketStatus::Resolved => Some(TicketStatus::Resolved),
        common::TicketStatus::Closed => Some(TicketStatus::Closed),
    }
}

/// A status that the log holds; it is never unset.
pub fn stored_status(number: i32) -> Result<TicketStatus, UnknownValue> {
    let known = common::TicketStatus::try_from(number).ok().and_then(status_from_wire);
    known.ok_or_else(|| UnknownValue::of("status", number))
}

/// Who wrote a message that the log holds; it is never unset.
pub fn stored_author_kind(number: i32) -> Result<events::AuthorKind, UnknownValue> {
    match events::AuthorKind::try_from(number) {
        Ok(events::AuthorKind::Unspecified) | Err(_) => {
            Err(UnknownValue::of("author_kind", number))
        }
        Ok(
            kind @ (events::AuthorKind::EndUser
            | events::AuthorKind::Agent
            | events::AuthorKind::Bot),
        ) => Ok(kind),
    }
}

/// Who may see a message that the log holds; it is never unset.
pub fn stored_visibility(number: i32) -> Result<events::Visibility, UnknownValue> {
    match events::Visibility::try_from(number) {
        Ok(events::Visibility::Unspecified) | Err(_) => Err(UnknownValue::of("visibility", number)),
        Ok(seen @ (events::Visibility::Public | events::Visibility::Internal)) => Ok(seen),
    }
}

/// A skill requirement for the wire.
pub fn skill_to_wire(requirement: &SkillRequirement) -> common::SkillRequirement {
    common::SkillRequirement {
        skill: requirement.skill.to_string(),
        min_level: requirement.min_level.get().into(),
    }
}

/// Skill requirements for the wire.
pub fn skills_to_wire(requirements: &[SkillRequirement]) -> Vec<common::SkillRequirement> {
    requirements.iter().map(skill_to_wire).collect()
}

/// Skill requirements that the log holds. Without one of them a ticket could go to somebody who lacks the skill.
pub fn stored_skills(
    requirements: &[common::SkillRequirement],
) -> Result<Vec<SkillRequirement>, UnknownValue> {
    let skill = |requirement: &common::SkillRequirement| {
        let level = requirement.min_level;
        let min_level = SkillLevel::new(level).ok_or_else(|| UnknownValue::of("level", level))?;
        Ok(SkillRequirement { skill: SkillId::trusted(&requirement.skill), min_level })
    };
    requirements.iter().map(skill).collect()
}

/// An attribute's value for the wire.
fn attribute_to_wire(value: AttributeValue<&str>) -> common::AttributeValue {
    use common::attribute_value::Kind;
    let kind = match value {
        AttributeValue::Text(text) => Kind::Text(text.to_owned()),
        AttributeValue::Integer(number) => Kind::Integer(number),
        AttributeValue::Number(number) => Kind::Number(number),
        AttributeValue::Boolean(truth) => Kind::Boolean(truth),
        AttributeValue::Instant(at) => Kind::Instant(timestamp_to_wire(at)),
        AttributeValue::Texts(values) => Kind::Texts(common::TextList {
            values: values.into_iter().map(str::to_owned).collect(),
        }),
    };
    common::AttributeValue { kind: Some(kind) }
}

/// Attributes for the wire.
pub fn attributes_to_wire(
    attributes: &Packed<Attributes>,
) -> BTreeMap<String, common::AttributeValue> {
    let entry = |(name, value): (&str, _)| (name.to_owned(), attribute_to_wire(value));
    attributes.entries().into_iter().map(entry).collect()
}

/// An attribute's value from the wire. `Err` says why it can't be; limits are not checked.
pub fn attribute_from_wire(value: &common::AttributeValue) -> Result<AttributeValue, &'static str> {
    use common::attribute_value::Kind;
    match value.kind.as_ref().ok_or("must have a value")? {
        Kind::Text(text) => Ok(AttributeValue::Text(text.clone())),
        Kind::Integer(number) => Ok(AttributeValue::Integer(*number)),
        Kind::Number(number) if !number.is_finite() => Err("must be a finite number"),
        Kind::Number(number) => Ok(AttributeValue::Number(*number)),
        Kind::Boolean(truth) => Ok(AttributeValue::Boolean(*truth)),
        Kind::Instant(at) => timestamp_from_wire(at).map(AttributeValue::Instant),
        Kind::Texts(texts) => Ok(AttributeValue::Texts(texts.values.clone())),
    }
}

/// Attributes that the log holds.
pub fn stored_attributes(
    attributes: &BTreeMap<String, common::AttributeValue>,
) -> Result<Attributes, UnknownValue> {
    let attribute = |(name, value): (&String, &common::AttributeValue)| {
        // The name is the customer's own, and an error is logged.
        let value = attribute_from_wire(value).map_err(|why| UnknownValue::of("attribute", why))?;
        Ok((name.clone(), value))
    };
    attributes.iter().map(attribute).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_wire() {
        for number in 1..=8 {
            let channel = stored_channel(number).unwrap();
            assert_eq!(i32::from(channel_to_wire(channel)), number);
        }
        for number in 0..=4 {
            let priority = stored_priority(number).unwrap();
            assert_eq!(i32::from(priority_to_wire(priority)), number);
        }
        for number in 1..=6 {
            let status = stored_status(number).unwrap();
            assert_eq!(i32::from(status_to_wire(status)), number);
        }
    }

    #[test]
    fn what_the_log_holds_and_this_build_does_not_know_is_an_error() {
        for number in [0, 99, -1] {
            assert_eq!(stored_channel(number), Err(UnknownValue::of("channel", number)));
            assert_eq!(stored_status(number), Err(UnknownValue::of("status", number)));
        }
        assert_eq!(stored_priority(5).unwrap_err().to_string(), "priority: 5 is unknown");
        let skill = |min_level| common::SkillRequirement { skill: "billing".into(), min_level };
        assert!(stored_skills(&[skill(1), skill(5)]).is_ok_and(|both| both.len() == 2));
        for level in [0, 6, u32::MAX] {
            assert_eq!(
                stored_skills(&[skill(1), skill(level)]),
                Err(UnknownValue::of("level", level))
            );
        }
        let good = AttributeValue::Integer(1);
        let good = attributes_to_wire(&Packed::new(&Attributes::from([("a".into(), good)])));
        let endless = common::attribute_value::Kind::Number(f64::INFINITY);
        for kind in [None, Some(endless)] {
            let mut attributes = good.clone();
            attributes.insert("card 4111".into(), common::AttributeValue { kind });
            let error = stored_attributes(&attributes).unwrap_err().to_string();
            assert!(error.starts_with("attribute: ") && !error.contains("4111"), "{error}");
        }
    }

    #[test]
    fn instants_survive_the_wire() {
        for millis in [0, 1, 999, 1_000, 1_767_323_045_678] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(timestamp_from_wire(&timestamp_to_wire(at)), Ok(at));
        }
        for (seconds, nanos) in [(-1, 0), (SECONDS_MAX + 1, 0), (0, -1), (0, 1_000_000_000)] {
            let at = prost_types::Timestamp { seconds, nanos };
            assert!(timestamp_from_wire(&at).is_err(), "{at:?}");
        }
        assert_eq!(rfc3339(Timestamp::from_millis(1_767_323_045_678)), "2026-01-02T03:04:05.678Z");
    }

    #[test]
    fn attributes_survive_the_wire() {
        let attributes = Attributes::from([
            ("text".into(), AttributeValue::Text("x".into())),
            ("integer".into(), AttributeValue::Integer(-3)),
            ("number".into(), AttributeValue::Number(0.25)),
            ("boolean".into(), AttributeValue::Boolean(true)),
            ("instant".into(), AttributeValue::Instant(Timestamp::from_millis(17))),
            ("texts".into(), AttributeValue::Texts(vec!["a".into(), "b".into()])),
        ]);
        let wire = attributes_to_wire(&Packed::new(&attributes));
        assert_eq!(stored_attributes(&wire), Ok(attributes));
    }
}

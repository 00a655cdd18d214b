//! Attributes, requesters, skills, texts and instants, as the contract has them and as the domain does.

use std::collections::BTreeMap;

use intake::event::Requester;
use kernel::{
    AttributeValue, Attributes, RequesterId, SkillId, SkillLevel, SkillRequirement, Timestamp,
};
use wire::common::v1 as common;
use wire::common::v1::attribute_value::Kind;
use wire::events::v1 as stored;

/// The text, unless it is empty.
pub(crate) fn named(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

pub(crate) fn texts_to_wire(texts: &[Box<str>]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

pub(crate) fn read_texts(texts: &[String]) -> Box<[Box<str>]> {
    texts.iter().map(|text| text.as_str().into()).collect()
}

pub(crate) fn instant_to_wire(at: Timestamp) -> prost_types::Timestamp {
    let millis = at.as_millis();
    let nanos = i32::try_from(millis.rem_euclid(1000) * 1_000_000).unwrap_or_default();
    prost_types::Timestamp { seconds: millis.div_euclid(1000), nanos }
}

/// In whole milliseconds, rounded down; none if it is no instant that the contract allows.
pub(crate) fn instant(at: &prost_types::Timestamp) -> Option<Timestamp> {
    /// The years 1 to 9999.
    const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
    let valid = SECONDS.contains(&at.seconds) && (0..1_000_000_000).contains(&at.nanos);
    let millis = at.seconds.checked_mul(1000)?.checked_add(i64::from(at.nanos / 1_000_000))?;
    valid.then_some(Timestamp::from_millis(millis))
}

pub(crate) fn to_wire(attributes: &Attributes) -> BTreeMap<String, common::AttributeValue> {
    attributes.iter().map(|(name, value)| (name.clone(), value_to_wire(value))).collect()
}

pub(crate) fn value_to_wire(value: &AttributeValue) -> common::AttributeValue {
    let kind = match value {
        AttributeValue::Text(text) => Kind::Text(text.clone()),
        AttributeValue::Integer(integer) => Kind::Integer(*integer),
        AttributeValue::Number(number) => Kind::Number(*number),
        AttributeValue::Boolean(boolean) => Kind::Boolean(*boolean),
        AttributeValue::Instant(at) => Kind::Instant(instant_to_wire(*at)),
        AttributeValue::Texts(values) => Kind::Texts(common::TextList { values: values.clone() }),
    };
    common::AttributeValue { kind: Some(kind) }
}

/// None if a value is unset or no instant.
pub(crate) fn read(attributes: &BTreeMap<String, common::AttributeValue>) -> Option<Attributes> {
    attributes.iter().map(|(name, value)| Some((name.clone(), read_value(value)?))).collect()
}

pub(crate) fn read_value(value: &common::AttributeValue) -> Option<AttributeValue> {
    Some(match value.kind.as_ref()? {
        Kind::Text(text) => AttributeValue::Text(text.clone()),
        Kind::Integer(integer) => AttributeValue::Integer(*integer),
        Kind::Number(number) => AttributeValue::Number(*number),
        Kind::Boolean(boolean) => AttributeValue::Boolean(*boolean),
        Kind::Instant(at) => AttributeValue::Instant(instant(at)?),
        Kind::Texts(texts) => AttributeValue::Texts(texts.values.clone()),
    })
}

pub(crate) fn skills_to_wire(skills: &[SkillRequirement]) -> Vec<common::SkillRequirement> {
    let wire = |skill: &SkillRequirement| common::SkillRequirement {
        skill: skill.skill.to_string(),
        min_level: skill.min_level.get().into(),
    };
    skills.iter().map(wire).collect()
}

/// None if a level isn't 1 to 5.
pub(crate) fn read_skills(skills: &[common::SkillRequirement]) -> Option<Box<[SkillRequirement]>> {
    let read = |skill: &common::SkillRequirement| {
        let min_level = SkillLevel::new(skill.min_level)?;
        Some(SkillRequirement { skill: SkillId::trusted(&skill.skill), min_level })
    };
    skills.iter().map(read).collect()
}

pub(crate) fn requester_to_wire(requester: &Requester) -> stored::Requester {
    stored::Requester {
        requester_id: requester.id.to_string(),
        name: requester.name.to_string(),
        addresses: texts_to_wire(&requester.addresses),
        locale: requester.locale.to_string(),
    }
}

pub(crate) fn read_requester(requester: stored::Requester) -> Requester {
    Requester {
        id: RequesterId::trusted(&requester.requester_id),
        name: requester.name.into(),
        addresses: read_texts(&requester.addresses),
        locale: requester.locale.into(),
    }
}

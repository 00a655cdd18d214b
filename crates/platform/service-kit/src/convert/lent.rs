//! What is lent from a record of one's own: texts are copied only into what is kept.

use std::collections::BTreeMap;

use bytes::Bytes;
use kernel::{AttributeValue, Attributes, Packed, SkillId, SkillLevel, SkillRequirement};
use runtime::{DecodeError, text};
use wire::lent::common::v1 as lent;

use super::timestamp_from_wire;

/// Attributes that are lent from a record of one's own, in whatever order they stand there.
pub fn lent_attributes<'a>(
    entries: impl ExactSizeIterator<Item = (&'a Bytes, &'a Option<lent::AttributeValue>)>,
) -> Result<Packed<Attributes>, DecodeError> {
    let mut attributes = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        attributes.push((text(name)?, lent_attribute(value.as_ref())?));
    }
    if let Some(packed) = Packed::of_entries(&attributes) {
        return Ok(packed);
    }
    // We write them in their order; another writer need not. Of two with one name the last counts.
    let sorted: BTreeMap<_, _> = attributes.into_iter().collect();
    let sorted: Vec<_> = sorted.into_iter().collect();
    Packed::of_entries(&sorted).ok_or_else(|| DecodeError::Malformed("attributes".into()))
}

fn lent_attribute(
    value: Option<&lent::AttributeValue>,
) -> Result<AttributeValue<&str>, DecodeError> {
    use lent::attribute_value::Kind;
    let malformed = || DecodeError::Malformed("attributes".into());
    Ok(match value.and_then(|value| value.kind.as_ref()).ok_or_else(malformed)? {
        Kind::Text(bytes) => AttributeValue::Text(text(bytes)?),
        Kind::Integer(number) => AttributeValue::Integer(*number),
        Kind::Number(number) if !number.is_finite() => return Err(malformed()),
        Kind::Number(number) => AttributeValue::Number(*number),
        Kind::Boolean(truth) => AttributeValue::Boolean(*truth),
        Kind::Instant(at) => {
            AttributeValue::Instant(timestamp_from_wire(at).map_err(|_| malformed())?)
        }
        Kind::Texts(texts) => {
            AttributeValue::Texts(texts.values.iter().map(|it| text(it)).collect::<Result<_, _>>()?)
        }
    })
}

/// Skill requirements that are lent from a record of one's own. An unknown level is malformed.
pub fn lent_skills(
    requirements: &[lent::SkillRequirement],
) -> Result<Vec<SkillRequirement>, DecodeError> {
    let read = |requirement: &lent::SkillRequirement| {
        let min_level = SkillLevel::new(requirement.min_level);
        Ok(SkillRequirement {
            skill: SkillId::trusted(text(&requirement.skill)?),
            min_level: min_level.ok_or_else(|| DecodeError::Malformed("required_skills".into()))?,
        })
    };
    requirements.iter().map(read).collect()
}

//! An event as it stands in a record, nothing of it copied or counted: for who reads many.

use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, int64, skip_field, uint32, uint64,
};

/// The fields of `switchyard.events.v1.Event` that a fold needs. Texts are not checked to be UTF-8.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct LentEvent<'a> {
    pub(crate) event_type: &'a [u8],
    pub(crate) version: u32,
    pub(crate) workspace: &'a [u8],
    pub(crate) entity: &'a [u8],
    pub(crate) revision: u64,
    pub(crate) occurred_at_ms: i64,
    pub(crate) actor: &'a [u8],
    pub(crate) data: &'a [u8],
}

/// The bytes are no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoEvent {
    #[error("{0}")]
    Malformed(#[from] prost::DecodeError),
    #[error("a text is no text, or longer than what is there")]
    Text,
}

impl<'a> LentEvent<'a> {
    /// Reads an encoded event as prost does: of a field that stands there twice the last counts, and what isn't known
    /// is passed over.
    pub(crate) fn read(mut bytes: &'a [u8]) -> Result<Self, NoEvent> {
        let (mut event, buf) = (Self::default(), &mut bytes);
        while !buf.is_empty() {
            let (field, wire) = decode_key(buf)?;
            let context = DecodeContext::default();
            match field {
                1 => event.event_type = text(wire, buf)?,
                2 => uint32::merge(wire, &mut event.version, buf, context)?,
                3 => event.workspace = text(wire, buf)?,
                4 => event.entity = text(wire, buf)?,
                5 => uint64::merge(wire, &mut event.revision, buf, context)?,
                6 => int64::merge(wire, &mut event.occurred_at_ms, buf, context)?,
                8 => event.actor = text(wire, buf)?,
                10 => event.data = text(wire, buf)?,
                _ => skip_field(wire, field, buf, context)?,
            }
        }
        Ok(event)
    }
}

/// So many bytes as the field says.
fn text<'a>(wire: WireType, buf: &mut &'a [u8]) -> Result<&'a [u8], NoEvent> {
    let length = usize::try_from(decode_varint(buf)?).unwrap_or(usize::MAX);
    let (text, rest) = buf.split_at_checked(length).ok_or(NoEvent::Text)?;
    *buf = rest;
    if wire == WireType::LengthDelimited { Ok(text) } else { Err(NoEvent::Text) }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use prost::Message;
    use wire::events::v1::{Cause, Event};

    use super::*;

    prop_compose! {
        fn event()(
            texts in vec("[a-zäß]{0,9}", 4),
            version in any::<u32>(),
            revision in any::<u64>(),
            occurred_at_ms in any::<i64>(),
            trace in vec(any::<u8>(), 0..26),
            data in vec(any::<u8>(), 0..300),
            seq in proptest::option::of(any::<u64>()),
        ) -> Event {
            let [event_type, workspace, entity, actor] = texts.try_into().unwrap();
            let cause = seq.map(|seq| Cause { service: 2, seq, index: 7 });
            let data = data.into();
            Event {
                r#type: event_type, version, workspace, entity, revision, occurred_at_ms, trace, actor, cause, data,
            }
        }
    }

    fn same(event: &Event, lent: &LentEvent<'_>) -> bool {
        let texts = [&event.r#type, &event.workspace, &event.entity, &event.actor];
        let lent_texts = [lent.event_type, lent.workspace, lent.entity, lent.actor];
        texts.map(String::as_bytes) == lent_texts
            && (event.version, event.revision) == (lent.version, lent.revision)
            && (event.occurred_at_ms, &*event.data) == (lent.occurred_at_ms, lent.data)
    }

    /// A field of any number and wire type, of which the length may be a lie.
    fn field() -> impl Strategy<Value = Vec<u8>> {
        (1..13_u64, 0..8_u64, vec(any::<u8>(), 0..12), any::<bool>()).prop_map(
            |(number, wire, mut bytes, delimited)| {
                let mut field = Vec::new();
                prost::encoding::encode_varint(number << 3 | wire, &mut field);
                if delimited {
                    prost::encoding::encode_varint(u64::try_from(bytes.len()).unwrap(), &mut field);
                }
                field.append(&mut bytes);
                field
            },
        )
    }

    fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
        match (LentEvent::read(bytes), Event::decode(bytes)) {
            (Ok(lent), Ok(event)) => prop_assert!(same(&event, &lent)),
            // Only prost looks into what a fold doesn't need, and whether texts are UTF-8.
            (_, Err(_)) => {}
            (Err(error), Ok(_)) => prop_assert!(false, "{error}"),
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn it_agrees_with_prost_on_any_fields(fields in vec(field(), 0..12)) {
            agree(&fields.concat())?;
        }

        #[test]
        fn it_agrees_with_prost_on_any_bytes(bytes in vec(any::<u8>(), 0..300)) {
            agree(&bytes)?;
        }

        #[test]
        fn it_reads_what_prost_reads(first in event(), second in event(), later in "[a-z]{0,9}") {
            let mut bytes = first.encode_to_vec();
            // A field that this release doesn't know, and all known ones once more.
            prost::encoding::string::encode(29, &later, &mut bytes);
            bytes.extend(second.encode_to_vec());
            let whole = Event::decode(&*bytes).unwrap();
            prop_assert!(same(&whole, &LentEvent::read(&bytes).unwrap()));
        }

        #[test]
        fn it_refuses_what_prost_refuses(event in event(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut bytes = event.encode_to_vec();
            prop_assume!(!bytes.is_empty());
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            agree(&bytes)?;
        }
    }
}

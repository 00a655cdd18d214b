//! Texts, requesters and stored attributes, as the contract has them and as the domain does.

use bytes::Bytes;
use intake::event::Requester;
use kernel::RequesterId;
use runtime::{DecodeError, text};
use wire::events::v1 as stored;
use wire::lent::events::v1 as lent;

/// The text, unless it is empty.
pub(crate) fn named(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

pub(crate) fn texts_to_wire(texts: &[Box<str>]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

pub(crate) fn read_texts(texts: &[Bytes]) -> Result<Box<[Box<str>]>, DecodeError> {
    texts.iter().map(|one| text(one).map(Box::from)).collect()
}

pub(crate) fn requester_to_wire(requester: &Requester) -> stored::Requester {
    stored::Requester {
        requester_id: requester.id.to_string(),
        name: requester.name.to_string(),
        addresses: texts_to_wire(&requester.addresses),
        locale: requester.locale.to_string(),
    }
}

pub(crate) fn read_requester(requester: &lent::Requester) -> Result<Requester, DecodeError> {
    Ok(Requester {
        id: RequesterId::trusted(text(&requester.requester_id)?),
        name: text(&requester.name)?.into(),
        addresses: read_texts(&requester.addresses)?,
        locale: text(&requester.locale)?.into(),
    })
}

//! A call as a person reads it, so that it can be made again.

use std::fmt::Debug;

use prost_reflect::MethodDescriptor;

use super::plan::Planned;

/// How much is shown of each part.
const SHOWN: usize = 6_000;

/// A call, and what came back if anything did.
pub(super) fn show(
    number: usize,
    method: &MethodDescriptor,
    planned: &Planned,
    answer: &impl Debug,
) -> String {
    let sent = &planned.sent;
    format!(
        "call {number} ({:?}) {} {}\n headers: {:?}\n request: {}\n body: {}\n answer: {}",
        planned.way,
        sent.verb,
        sent.path,
        sent.headers,
        cut(format!("{:?}", planned.understood(method))),
        cut(hex(&sent.body)),
        cut(format!("{answer:?}")),
    )
}

fn cut(mut text: String) -> String {
    if text.len() > SHOWN {
        let end =
            (0..=SHOWN.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

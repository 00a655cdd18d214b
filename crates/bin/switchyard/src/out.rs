//! What goes to stdout: tables for people, JSON for programs. Messages go to stderr.

use std::io::Write as _;

use anyhow::{Context, Result};
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use prost::Message;
use prost_reflect::{DynamicMessage, SerializeOptions};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// Columns for people.
    Table,
    /// Protobuf JSON.
    Json,
}

/// Writes a line to stdout.
pub(crate) fn line(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).context("writing to stdout")
}

/// Writes a line to stderr. What can't be written there can't be told anywhere.
pub(crate) fn note(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// An empty table with these columns.
pub(crate) fn table<const N: usize>(columns: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(columns);
    table
}

/// A message as a value of protobuf JSON. `name` is its full name, `switchyard.intake.v1.Ticket`.
pub(crate) fn json_of(name: &str, message: &impl Message) -> Result<serde_json::Value> {
    let descriptor = wire::descriptors()
        .get_message_by_name(name)
        .with_context(|| format!("the contract has no {name}"))?;
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())?;
    let options = SerializeOptions::new().use_proto_field_name(true);
    Ok(dynamic.serialize_with_options(serde_json::value::Serializer, &options)?)
}

/// Prints a reply: as the table that `render` makes, or as JSON.
pub(crate) fn reply<M: Message>(
    output: Output,
    name: &str,
    message: &M,
    render: impl FnOnce(&M) -> String,
) -> Result<()> {
    match output {
        Output::Table => line(&render(message)),
        Output::Json => line(&serde_json::to_string_pretty(&json_of(name, message)?)?),
    }
}

/// An instant as RFC 3339; empty if there is none.
pub(crate) fn instant(at: Option<prost_types::Timestamp>) -> String {
    at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok())
        .map(|at| at.to_string())
        .unwrap_or_default()
}

/// The word of an enum's number without the prefix of its name, in lower case: `TICKET_STATUS_NEW` as `new`. Empty if
/// unknown.
pub(crate) fn word<E: Named>(number: i32, prefix: &str) -> String {
    let name = E::try_from(number).map_or("", |value| value.name());
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

/// An enum of the contract that knows its values' names.
pub(crate) trait Named: TryFrom<i32> {
    /// The value's name in the contract.
    fn name(&self) -> &'static str;
}

macro_rules! named {
    ($($kind:ty),*) => {$(
        impl Named for $kind {
            fn name(&self) -> &'static str {
                self.as_str_name()
            }
        }
    )*};
}

named!(
    wire::common::v1::Channel,
    wire::common::v1::Priority,
    wire::common::v1::Service,
    wire::common::v1::TicketStatus,
    wire::events::v1::Presence,
    wire::events::v1::OfferMode,
    wire::admin::v1::ClockDoubtKind,
    wire::events::v1::ClockMetric,
    wire::sla::v1::ClockState
);

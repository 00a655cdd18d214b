//! A commit as JSON, its events' payloads decoded by their types' names.

use bytes::Bytes;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::Value;
use wire::events::v1::Commit;

const PACKAGE: &str = "switchyard.events.v1";

/// A stored commit as protobuf JSON. An event whose type this build doesn't know keeps its bytes as base64. `Err` says
/// why it can't be read at all.
pub fn commit_json(stored: &Bytes) -> Result<String, String> {
    let pool = wire::descriptors();
    let mut value = json_of(pool, "Commit", stored.clone())?;
    let commit = Commit::decode(stored.clone()).map_err(|error| error.to_string())?;
    if let Some(Value::Array(events)) = value.get_mut("events") {
        for (shown, event) in events.iter_mut().zip(commit.events) {
            let payload = json_of(pool, &event.r#type, event.data);
            if let (Ok(payload), Some(shown)) = (payload, shown.as_object_mut()) {
                shown.insert("data".to_owned(), payload);
            }
        }
    }
    Ok(value.to_string())
}

fn json_of(pool: &DescriptorPool, name: &str, bytes: Bytes) -> Result<Value, String> {
    let descriptor = pool
        .get_message_by_name(&format!("{PACKAGE}.{name}"))
        .ok_or_else(|| format!("there is no message `{name}`"))?;
    let message = DynamicMessage::decode(descriptor, bytes).map_err(|error| error.to_string())?;
    serde_json::to_value(&message).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use wire::events::v1::{Event, TicketOpened};

    use super::*;

    #[test]
    fn payloads_are_decoded_by_their_names_and_the_unknown_stays() {
        let opened = TicketOpened { subject: "No light".into(), ..Default::default() };
        let event = |name: &str| Event {
            r#type: name.into(),
            data: opened.encode_to_vec().into(),
            ..Default::default()
        };
        let events = vec![event("TicketOpened"), event("NotYetInvented")];
        let commit = Commit { seq: 7, events, ..Default::default() };
        let json = commit_json(&commit.encode_to_vec().into()).unwrap();
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["seq"], "7");
        assert_eq!(value["events"][0]["data"]["subject"], "No light");
        assert!(value["events"][1]["data"].is_string());
        assert!(commit_json(&Bytes::from_static(b"\xff\xff")).is_err());
    }
}

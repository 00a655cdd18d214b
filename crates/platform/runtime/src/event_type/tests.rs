//! A toy whose message has changed twice.

use super::*;

/// Version 1 counted seconds; version 2 milliseconds; version 3 says who waited, and an empty name is nobody's.
#[derive(Clone, PartialEq, Message)]
struct Waited {
    #[prost(uint64, tag = "1")]
    seconds: u64,
    #[prost(uint64, tag = "2")]
    millis: u64,
    #[prost(string, tag = "3")]
    who: String,
}

fn in_millis(old: Waited) -> Result<Waited, DecodeError> {
    let millis = old.seconds.checked_mul(1_000);
    let millis = millis.ok_or_else(|| DecodeError::Malformed("seconds".into()))?;
    Ok(Waited { seconds: 0, millis, ..old })
}

#[expect(clippy::unnecessary_wraps, reason = "an upcaster may fail")]
#[expect(clippy::needless_pass_by_value, reason = "an upcaster takes what it changes")]
fn by_somebody(old: Waited) -> Result<Waited, DecodeError> {
    Ok(Waited { who: "somebody".into(), ..old })
}

const WAITED: Upcasters<Waited> = Upcasters(&[in_millis, by_somebody]);

#[derive(Debug, Clone, PartialEq)]
enum Event {
    Waited { millis: u64, who: String },
    Left(u64),
}

const EVENTS: &[EventType<Event>] = &[
    EventType::new("Waited", WAITED.version(), |stored| {
        let it = stored.upcast(&WAITED)?;
        Ok(Event::Waited { millis: it.millis, who: it.who })
    }),
    EventType::new("Left", 1, |stored| Ok(Event::Left(stored.message()?))),
    // Raised without a step for what was stored before.
    EventType::new("Forgotten", 2, |stored| Ok(Event::Left(stored.message()?))),
];

fn read(version: u32, message: &Waited) -> Result<Event, DecodeError> {
    decode_event(EVENTS, "Waited", version, &message.encode_to_vec().into())
}

#[expect(clippy::unnecessary_wraps, reason = "compared with what was read")]
fn waited(millis: u64, who: &str) -> Result<Event, DecodeError> {
    Ok(Event::Waited { millis, who: who.into() })
}

#[test]
fn every_version_is_read_as_today_s() {
    let first = Waited { seconds: 7, ..Waited::default() };
    let second = Waited { millis: 7_001, ..Waited::default() };
    let third = Waited { millis: 7_002, who: "ada".into(), ..Waited::default() };
    assert_eq!(read(1, &first), waited(7_000, "somebody"));
    assert_eq!(read(2, &second), waited(7_001, "somebody"));
    assert_eq!(read(3, &third), waited(7_002, "ada"));
    assert_eq!(written_version(EVENTS, "Waited"), 3);
}

#[test]
fn what_a_later_release_wrote_is_refused() {
    let later = |found| Err(DecodeError::UnknownVersion { found, known: 3 });
    assert_eq!(read(4, &Waited::default()), later(4));
    assert_eq!(read(u32::MAX, &Waited::default()), later(u32::MAX));
    assert_eq!(read(0, &Waited::default()), later(0));
    assert_eq!(decode_event(EVENTS, "Wait", 1, &Bytes::new()), Err(DecodeError::UnknownType));
    assert_eq!(written_version(EVENTS, "Wait"), 0);
}

#[test]
fn what_a_step_can_t_raise_is_refused() {
    let endless = Waited { seconds: u64::MAX, ..Waited::default() };
    assert_eq!(read(1, &endless), Err(DecodeError::Malformed("seconds".into())));
    let cut = decode_event(EVENTS, "Waited", 2, &Bytes::from_static(&[0x1a, 9]));
    assert!(matches!(cut, Err(DecodeError::Malformed(_))), "{cut:?}");
}

#[test]
fn a_version_without_its_step_is_not_read_as_another() {
    assert_eq!(decode_event(EVENTS, "Left", 1, &5_u64.encode_to_vec().into()), Ok(Event::Left(5)));
    let forgotten = decode_event(EVENTS, "Forgotten", 2, &5_u64.encode_to_vec().into());
    assert_eq!(forgotten, Err(DecodeError::UnknownVersion { found: 2, known: 1 }));
}

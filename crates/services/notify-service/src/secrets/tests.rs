//! Sealing: what is equal stays equal, and nothing else opens.

use proptest::prelude::*;

use super::*;

const FIRST: &str = "c3dpdGNoeWFyZCdzIHRlc3RzIHNlYWwgd2l0aCB0aGk=";
const SECOND: &str = "dGVzdHMgc2VhbCBzZWNyZXRzIHdpdGggdGhpcyBrZXk=";

fn keys(lines: &[&str]) -> Keys {
    Keys::parse(&lines.join("\n")).unwrap()
}

fn at(workspace: &str, endpoint: &str) -> (WorkspaceId, EndpointId) {
    (WorkspaceId::trusted(workspace), EndpointId::trusted(endpoint))
}

#[test]
fn equal_secrets_of_one_endpoint_are_sealed_to_the_same_bytes_and_others_are_not() {
    let keys = keys(&[FIRST]);
    let (acme, hook) = at("acme", "hook");
    let sealed = keys.seal(&acme, &hook, "whsec_canary").unwrap();
    assert_eq!(keys.seal(&acme, &hook, "whsec_canary"), Some(sealed.clone()));
    assert_eq!(keys.open(&acme, &hook, &sealed).unwrap().expose(), "whsec_canary");
    assert!(!sealed.sealed.windows(6).any(|window| window == b"canary"));
    let (other, _) = at("acmeh", "ook");
    let (_, other_hook) = at("acme", "hook2");
    for elsewhere in [
        keys.seal(&acme, &hook, "whsec_canary2").unwrap(),
        keys.seal(&acme, &other_hook, "whsec_canary").unwrap(),
        keys.seal(&other, &EndpointId::trusted("ook"), "whsec_canary").unwrap(),
    ] {
        assert_ne!(elsewhere.sealed, sealed.sealed);
        assert_ne!(elsewhere.sealed[..NONCE_BYTES], sealed.sealed[..NONCE_BYTES], "no nonce twice");
    }
    assert_eq!(keys.open(&acme, &other_hook, &sealed), Err(Unopened::Damaged));
    assert_eq!(keys.open(&other, &hook, &sealed), Err(Unopened::Damaged));
}

#[test]
fn the_first_key_seals_every_one_opens_and_a_missing_one_is_named() {
    let (acme, hook) = at("acme", "hook");
    let (old, both, new) = (keys(&[FIRST]), keys(&[SECOND, FIRST]), keys(&[SECOND]));
    let sealed = old.seal(&acme, &hook, "whsec_x").unwrap();
    assert!(both.is_old(&sealed) && !old.is_old(&sealed));
    assert_eq!(both.open(&acme, &hook, &sealed).unwrap().expose(), "whsec_x");
    assert_eq!(new.open(&acme, &hook, &sealed), Err(Unopened::KeyMissing));
    let given = both.seal_given(&acme, &hook, "whsec_x").unwrap();
    assert!(given.is(&sealed) && given.is(&new.seal(&acme, &hook, "whsec_x").unwrap()));
    assert_eq!(given.sealed.key_id, new.ids().next().unwrap());
    assert_eq!(Keys::none().seal(&acme, &hook, "whsec_x"), None);
    assert!(Keys::none().seal_given(&acme, &hook, "whsec_x").is_none());
}

#[test]
fn a_file_of_keys_is_read_with_its_comments_and_says_what_is_wrong() {
    let made = Keys::generate().unwrap();
    assert_ne!(*made, *Keys::generate().unwrap());
    assert_eq!(Keys::parse(&made).unwrap().ids().count(), 1);
    let two = keys(&["# new", SECOND, "", "  # old", &format!("  {FIRST}\r")]);
    assert_eq!(two.ids().count(), 2);
    let short = STANDARD.encode([1; 31]);
    for (text, expected) in [
        (String::new(), KeysError::Empty),
        ("# none\n".to_owned(), KeysError::Empty),
        (format!("{FIRST}\nkey"), KeysError::Malformed { line: 2 }),
        (short, KeysError::Malformed { line: 1 }),
        (format!("{FIRST}\n\n{FIRST}"), KeysError::Twice { line: 3 }),
        ((0..=16_u8).map(|n| STANDARD.encode([n; 32]) + "\n").collect(), KeysError::TooMany),
    ] {
        assert_eq!(Keys::parse(&text).unwrap_err(), expected, "{text}");
    }
    let shown = format!("{two:?}");
    assert!(!shown.contains("dGVz") && !shown.contains("c3dp"), "{shown}");
}

proptest! {
    #[test]
    fn what_was_changed_does_not_open(
        secret in "whsec_[A-Za-z0-9]{0,90}",
        at_byte in any::<prop::sample::Index>(),
        bit in 0..8_u32,
        cut in any::<prop::sample::Index>(),
    ) {
        let keys = keys(&[FIRST]);
        let (acme, hook) = at("acme", "hook");
        let sealed = keys.seal(&acme, &hook, &secret).unwrap();
        let opened = keys.open(&acme, &hook, &sealed).unwrap();
        prop_assert_eq!(opened.expose(), secret.as_str());
        let mut changed = sealed.clone();
        changed.sealed[at_byte.index(sealed.sealed.len())] ^= 1 << bit;
        prop_assert_eq!(keys.open(&acme, &hook, &changed), Err(Unopened::Damaged));
        let mut shorter = sealed.clone();
        shorter.sealed.truncate(cut.index(sealed.sealed.len()));
        prop_assert_eq!(keys.open(&acme, &hook, &shorter), Err(Unopened::Damaged));
    }
}

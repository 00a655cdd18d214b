//! Names that stand in code as texts, and in documents: a typo in one compiles, and silently never matches.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::collections::{BTreeMap, BTreeSet};

use intake_service::IntakeService;
use notify_service::NotifyService;
use routing_service::RoutingService;
use runtime::Service;
use sla_service::SlaService;

use crate::house::{product, read, root};

/// The names of all types of event that any log may hold, by the services' own tables.
fn event_types() -> BTreeSet<&'static str> {
    fn of<S: Service>() -> impl Iterator<Item = &'static str> {
        S::EVENTS.iter().map(|one| one.name)
    }
    let all = of::<IntakeService>().chain(of::<RoutingService>());
    all.chain(of::<SlaService>()).chain(of::<NotifyService>()).collect()
}

/// The texts of a file that look like a type's name: `TicketOpened`, of two words or more.
fn names_in(text: &str) -> BTreeSet<&str> {
    // Between two quotes stands nothing but a text that could be such a name; what `Debug` prints and `serde` makes is
    // none.
    let printed = |before: &str| {
        before.ends_with("debug_struct(")
            || before.ends_with("debug_tuple(")
            || before.ends_with("from = ")
            || before.ends_with("into = ")
    };
    let (before, pieces) = (text.split('"'), text.split('"').skip(1));
    let named = before.zip(pieces).filter(|(before, literal)| !printed(before) && is_name(literal));
    named.map(|(_, literal)| literal).collect()
}

fn is_name(text: &str) -> bool {
    let words = text.matches(|letter: char| letter.is_ascii_uppercase()).count();
    let begins = text.starts_with(|letter: char| letter.is_ascii_uppercase());
    let acronym = text.as_bytes().windows(2).any(|two| two.iter().all(u8::is_ascii_uppercase));
    let ends = text.ends_with(|letter: char| letter.is_ascii_lowercase()); // `KiB` is none
    begins
        && ends
        && words > 1
        && !acronym
        && text.chars().all(|letter| letter.is_ascii_alphabetic())
}

/// What product code calls by a name of that form and is no event: the contract's methods, and a command.
fn other_names() -> BTreeSet<String> {
    let methods = wire::descriptors().services().flat_map(|service| {
        service.methods().map(|method| method.name().to_owned()).collect::<Vec<_>>()
    });
    methods.chain(["EndAttempt".to_owned()]).collect()
}

#[test]
fn every_event_that_code_names_is_one_that_a_log_may_hold() {
    let (events, others) = (event_types(), other_names());
    let mut used = BTreeSet::new();
    for (path, text) in product() {
        for name in names_in(&text) {
            assert!(
                events.contains(name) || others.contains(name),
                "{}: {name:?} is the name of no event and no method",
                path.display()
            );
            if events.contains(name) {
                used.insert(name.to_owned());
            }
        }
    }
    assert!(used.len() > 40, "only {} events are named: are the texts still found?", used.len());
    // The test of the test.
    assert_eq!(names_in("\"OfferMad\" => 1, \"sla\" => 2, \"IDs\""), BTreeSet::from(["OfferMad"]));
    assert!(!events.contains("OfferMad") && !others.contains("OfferMad"));
}

/// The reasons of the contract, by the name of their variant.
fn reasons() -> BTreeMap<String, String> {
    let text = read(&root().join("proto/switchyard/common/v1/errors.proto"));
    let names = text.lines().filter_map(|line| {
        let (name, _) = line.trim().strip_prefix("ERROR_REASON_")?.split_once(" = ")?;
        Some(name.to_owned())
    });
    let variant = |name: &str| -> String {
        let word = |word: &str| word[..1].to_owned() + &word[1..].to_lowercase();
        name.split('_').map(word).collect()
    };
    names.filter(|name| name != "UNSPECIFIED").map(|name| (variant(&name), name)).collect()
}

/// What code sends: `ErrorReason::X`, but for the table that gives each its code.
fn sent(text: &str) -> BTreeSet<&str> {
    let table =
        text.find("pub const fn code_of").map(|at| at..at + text[at..].find("\n}").unwrap());
    let outside = |at: usize| table.as_ref().is_none_or(|table| !table.contains(&at));
    let of_contract = |at: usize| {
        let before = &text[..at];
        before.ends_with("Error") || !before.ends_with(|it: char| it.is_ascii_alphanumeric())
    };
    let named = text.match_indices("Reason::");
    let named = named.filter(|(at, _)| outside(*at) && of_contract(*at));
    let variants = named.map(|(at, found)| {
        let rest = &text[at + found.len()..];
        rest.split(|letter: char| !letter.is_ascii_alphanumeric()).next().unwrap_or_default()
    });
    variants.collect()
}

#[test]
fn every_reason_of_the_contract_is_sent_and_every_method_names_those_that_are_there() {
    let reasons = reasons();
    let files = product();
    let all: BTreeSet<_> = files.iter().flat_map(|(_, text)| sent(text)).collect();
    let never: Vec<_> = reasons.keys().filter(|name| !all.contains(name.as_str())).collect();
    assert!(never.is_empty(), "the contract has reasons that nothing sends: {never:?}");
    assert!(!sent("pub const fn code_of() { ErrorReason::A => B\n}").contains("A"));
    assert!(sent("Refusal::of(ErrorReason::A, 1)").contains("A"));

    let names: BTreeSet<_> = reasons.values().map(String::as_str).collect();
    for service in wire::descriptors().services() {
        let file = service.parent_file();
        if !file.package_name().starts_with("switchyard.") {
            continue;
        }
        let text = read(&root().join("proto").join(file.name()));
        for rest in text.split("Reasons: ").skip(1) {
            let listed = rest.split('.').next().unwrap_or_default().replace("//", " ");
            for name in listed.split([',', ' ', '\n']).filter(|name| name.len() > 3) {
                let is_reason = name.chars().all(|it| it.is_ascii_uppercase() || it == '_');
                assert!(!is_reason || names.contains(name), "{}: {name}", file.name());
            }
        }
    }
}

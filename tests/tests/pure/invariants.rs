//! The invariants' numbers: those of the simulation's table are those that code checks, and those that the architecture
//! names.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::collections::BTreeSet;

use runtime::metrics::Invariant;

use crate::house::{read, root};

/// The words of a text that are an `I` and a number.
fn numbers(text: &str) -> BTreeSet<u32> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
    words.filter_map(|word| word.strip_prefix('I')?.parse().ok()).collect()
}

/// All that the sources in a folder name.
fn named_in(folder: &str) -> BTreeSet<u32> {
    let mut named = BTreeSet::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                named.extend(numbers(&read(&path)));
            }
        }
    }
    named
}

/// The first column of the table.
fn table() -> BTreeSet<u32> {
    let readme = read(&root().join("tests/simulation/README.md"));
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| I")?.split(' ').next());
    rows.map(|number| number.parse().unwrap()).collect()
}

/// `I1 to I3, I5` as numbers.
fn spelled_out(list: &str) -> BTreeSet<u32> {
    let number = |word: &str| word.trim().strip_prefix('I').unwrap().parse::<u32>().unwrap();
    let list = list.replace('\n', " ");
    let ranges = list.split(',').flat_map(|part| part.split(" and "));
    ranges
        .filter(|part| !part.trim().is_empty())
        .flat_map(|part| match part.split_once(" to ") {
            Some((first, last)) => number(first)..=number(last),
            None => number(part)..=number(part),
        })
        .collect()
}

#[test]
fn the_table_lists_just_the_invariants_that_code_checks() {
    let mut checked = named_in("crates/platform/invariants/src");
    checked.extend(named_in("tests/simulation/tests"));
    checked.extend(named_in("tests/tests/it/chaos/check"));
    checked.extend(
        Invariant::ALL.map(|one| one.number().trim_start_matches('I').parse::<u32>().unwrap()),
    );
    assert!(checked.len() > 20, "{checked:?}");
    assert_eq!(table(), checked);
}

#[test]
fn the_architecture_names_just_those() {
    let architecture = read(&root().join("crates/README.md"));
    let (_, rest) = architecture.split_once("Its own finer invariants are ").unwrap();
    let (list, _) = rest.split_once(", listed in").unwrap();
    assert_eq!(table(), spelled_out(list));
}

#[test]
fn a_list_is_read_as_it_is_meant() {
    assert_eq!(
        spelled_out("I1 to I3, I5, I7\nto I8 and I9 to I10"),
        BTreeSet::from([1, 2, 3, 5, 7, 8, 9, 10])
    );
    assert_eq!(numbers("I8: INV-9, \"I12\" (I46), I5x, EI7"), BTreeSet::from([8, 12, 46]));
}

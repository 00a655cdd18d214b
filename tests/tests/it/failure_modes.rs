//! The failure modes F1 to F22 that a service over a log must notice, each injected: on real NATS servers where it is
//! about NATS.
//!
//! A test's name begins with the number of what it injects. `crates/README.md` section 7 has the table of modes, and
//! the last test here keeps it complete.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by it"
)]

#[path = "../../../crates/platform/runtime/tests/runtime/toy.rs"]
#[expect(dead_code, reason = "the runtime's own tests use more of it")]
mod toy;

mod history;
mod reading;
mod rig;
mod writing;

use std::collections::BTreeSet;
use std::path::Path;

/// Every mode has its line, and every test that a line names is there.
#[test]
fn the_table_of_failure_modes_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let table = std::fs::read_to_string(root.join("crates/README.md")).unwrap();
    let here = [
        include_str!("failure_modes/writing.rs"),
        include_str!("failure_modes/history.rs"),
        include_str!("failure_modes/reading.rs"),
    ];
    let mut modes = BTreeSet::new();
    for line in table.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let Some(number) = cells.get(1).and_then(|cell| cell.strip_prefix('F')) else { continue };
        let Ok(number) = number.parse::<u32>() else { continue };
        let tests: Vec<&str> = cells[cells.len() - 2].split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "F{number} names no test");
        for test in tests {
            let wanted = format!("async fn {test}(");
            let begins = test.starts_with(&format!("f{number:02}_"));
            assert!(begins, "{test} is not named after F{number}");
            assert!(here.iter().any(|text| text.contains(&wanted)), "there is no test {test}");
        }
        modes.insert(number);
    }
    assert_eq!(modes, (1..=22).collect(), "a mode has no line");
}

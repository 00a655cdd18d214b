//! The house's rules that no compiler checks: who may depend on whom, how long a file may be, how it begins.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by it"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// The folders of `crates/`, lowest first: a crate depends on its own folder and the ones before it.
const LAYERS: [&str; 4] = ["domain", "platform", "services", "bin"];
/// The crates that any context may use; contexts never use one another.
const SHARED_DOMAIN: [&str; 2] = ["kernel", "rules"];
/// What domain crates may use besides: pure libraries.
const PURE: [&str; 13] = [
    "blake3",
    "cel",
    "jiff",
    "kernel",
    "libm",
    "minijinja",
    "postcard",
    "roaring",
    "rules",
    "serde",
    "serde_json",
    "smallvec",
    "smol_str",
];
/// Libraries that belong to one crate alone, besides the tests.
const OWNED: [(&str, &str); 3] =
    [("async-nats", "event-log-nats"), ("redb", "event-log-embedded"), ("sled", "snapshots")];
/// Non-test lines a file may have.
const LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A crate of ours.
#[derive(Debug)]
struct Member {
    layer: usize,
    normal: BTreeSet<String>,
    all: BTreeSet<String>,
    lints: bool,
}

/// Our crates by name.
fn members() -> BTreeMap<String, Member> {
    let mut members = BTreeMap::new();
    for (layer, folder) in LAYERS.iter().enumerate() {
        for entry in std::fs::read_dir(root().join("crates").join(folder)).unwrap() {
            let manifest = entry.unwrap().path().join("Cargo.toml");
            if !manifest.is_file() {
                continue; // a README, a clippy.toml
            }
            let manifest: Table = read(&manifest).parse().unwrap();
            let name = manifest["package"]["name"].as_str().unwrap().to_owned();
            let of = |table: &str| -> BTreeSet<String> {
                let table = manifest.get(table).and_then(Value::as_table);
                table.into_iter().flat_map(|table| table.keys().cloned()).collect()
            };
            let normal = of("dependencies");
            let all = [of("dev-dependencies"), of("build-dependencies"), normal.clone()];
            let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
            let member = Member {
                layer,
                normal,
                all: all.into_iter().flatten().collect(),
                lints: lints.and_then(Value::as_bool) == Some(true),
            };
            assert!(members.insert(name.clone(), member).is_none(), "{name} is there twice");
        }
    }
    assert!(members.len() >= 18, "crates are missing: {:?}", members.keys());
    members
}

#[test]
fn a_crate_depends_on_its_own_folder_and_those_before_it() {
    let members = members();
    for (name, member) in &members {
        for other in &member.all {
            let Some(used) = members.get(other) else { continue };
            assert!(
                used.layer <= member.layer,
                "`{name}` ({}) must not depend on `{other}` ({}): it is above it",
                LAYERS[member.layer],
                LAYERS[used.layer],
            );
        }
    }
}

#[test]
fn contexts_and_services_never_depend_on_one_another() {
    let members = members();
    for folder in ["domain", "services"] {
        let peers = members.iter().filter(|(_, member)| LAYERS[member.layer] == folder);
        let peers: BTreeMap<_, _> = peers.collect();
        for (name, member) in &peers {
            for other in member.all.iter().filter(|other| peers.contains_key(other)) {
                assert!(
                    SHARED_DOMAIN.contains(&other.as_str()),
                    "`{name}` must not depend on `{other}`"
                );
            }
        }
    }
}

#[test]
fn domain_crates_use_pure_libraries_alone() {
    for (name, member) in members().iter().filter(|(_, member)| LAYERS[member.layer] == "domain") {
        for other in &member.normal {
            let pure = PURE.contains(&other.as_str()) || other == "thiserror";
            assert!(pure, "`{name}` is of the domain and must not depend on `{other}`");
        }
    }
}

#[test]
fn a_library_with_one_owner_is_used_by_it_alone() {
    for (library, owner) in OWNED {
        for (name, member) in &members() {
            assert!(
                name == owner || !member.all.contains(library),
                "`{name}` must not depend on `{library}`: only `{owner}` does"
            );
        }
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    // What is generated is not ours to style.
    for (name, member) in members().iter().filter(|(name, _)| *name != "wire") {
        assert!(member.lints, "`{name}` lacks `[lints] workspace = true`");
    }
}

/// Clippy reads the nearest file alone, so the domain's repeats what the root's says.
#[test]
fn the_domain_s_clippy_file_repeats_the_root_s() {
    let here: Table = read(&root().join(".clippy.toml")).parse().unwrap();
    let domain: Table = read(&root().join("crates/domain/clippy.toml")).parse().unwrap();
    for (key, value) in &here {
        assert_eq!(domain.get(key), Some(value), "{key}");
    }
    assert!(domain.contains_key("disallowed-methods") && domain.contains_key("disallowed-types"));
}

/// All our Rust files.
fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["crates", "tests/src", "tests/tests"].map(|f| root().join(f)).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(files.len() > 100, "only {} files", files.len());
    files
}

#[test]
fn files_are_short_named_after_their_folder_and_say_what_they_are_for() {
    for path in sources() {
        let text = read(&path);
        let shown = path.display();
        assert!(
            path.file_name().is_some_and(|name| name != "mod.rs"),
            "{shown}: use foo.rs beside foo/"
        );
        let first = text.lines().find(|line| !line.is_empty()).unwrap_or_default();
        assert!(first.starts_with("//!"), "{shown} does not begin with `//!`");
        // Tests at a file's end don't count, nor do files of tests alone.
        let code =
            text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines().count();
        let is_test = path.components().any(|part| part.as_os_str() == "tests")
            && path.components().any(|part| part.as_os_str() == "src");
        assert!(code <= LINES_MAX || is_test, "{shown} has {code} lines: split it");
    }
}

#[test]
fn each_lint_that_is_off_says_why() {
    for path in sources() {
        for (index, line) in read(&path).lines().enumerate() {
            let allowed = line.trim_start();
            let bare = allowed.starts_with("#[allow(") || allowed.starts_with("#![allow(");
            assert!(!bare, "{}:{}: use #[expect(…, reason = \"…\")]", path.display(), index + 1);
        }
    }
}

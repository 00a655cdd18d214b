//! The house's rules that no compiler checks: who may depend on whom, how long and wide a file may be, how it begins.

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
    "memchr",
    "minijinja",
    "postcard",
    "regex-automata",
    "rules",
    "serde",
    "serde_json",
    "smallvec",
    "smol_str",
];
/// Libraries that belong to one crate alone, besides the tests.
const OWNED: [(&str, &str); 3] =
    [("async-nats", "event-log-nats"), ("redb", "event-log-embedded"), ("sled", "snapshots")];
/// Crates that can't take the workspace's lints: what is generated is not ours to style, and one call of the kernel is
/// unsafe.
const LINTS_OF_THEIR_OWN: [&str; 2] = ["host-clock", "wire"];
/// Non-test lines a file may have.
const LINES_MAX: usize = 500;
/// Columns a line may have. Rustfmt keeps to fewer, but leaves comments and texts as they are.
const COLUMNS_MAX: usize = 120;
/// How many lines are wider for now. Wrap some, and lower it; never raise it.
const WIDE_LINES_MAX: usize = 32;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn read(path: &Path) -> String {
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
fn what_domain_crates_may_use_is_what_they_use() {
    let members = members();
    let domain = || members.values().filter(|member| LAYERS[member.layer] == "domain");
    for library in PURE {
        let used = domain().any(|member| member.normal.contains(library));
        assert!(used, "no domain crate uses `{library}`: take it from the list");
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
    for (name, member) in &members() {
        let own = LINTS_OF_THEIR_OWN.contains(&name.as_str());
        assert!(
            member.lints != own,
            "`{name}` lacks `[lints] workspace = true`, or needs no exception"
        );
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

/// All our Rust files, those of tests, of the simulation and of benchmarks included.
fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = ["crates", "tests"].map(|f| root().join(f)).into();
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
    for part in [
        "crates/bin",
        "tests/src",
        "tests/tests",
        "tests/simulation",
        "tests/entropy",
        "tests/benches",
    ] {
        let part = root().join(part);
        assert!(files.iter().any(|file| file.starts_with(&part)), "nothing of {}", part.display());
    }
    files
}

/// A file without the tests at its end.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// The product's own files, without tests.
pub(crate) fn product() -> Vec<(PathBuf, String)> {
    let crates = root().join("crates");
    let product = sources().into_iter().filter(|path| {
        let inside = path.strip_prefix(&crates).ok();
        let is_test = |inside: &Path| {
            inside.components().any(|part| part.as_os_str() == "tests")
                || inside.ends_with("tests.rs")
        };
        inside.is_some_and(|inside| !is_test(inside))
    });
    product
        .map(|path| {
            let text = without_tests(&read(&path)).to_owned();
            (path, text)
        })
        .collect()
}

/// What is wrong with a file's text, if anything is.
fn fault_of(text: &str) -> Option<String> {
    let first = text.lines().find(|line| !line.is_empty()).unwrap_or_default();
    if !first.starts_with("//!") {
        return Some("does not begin with `//!`".to_owned());
    }
    let lines = without_tests(text).lines().count();
    (lines > LINES_MAX).then(|| format!("has {lines} lines: split it"))
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let faults = sources().into_iter().filter_map(|path| {
        let fault = fault_of(&read(&path))?;
        Some(format!("{} {fault}", path.display()))
    });
    let faults: Vec<_> = faults.collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_file_that_is_too_long_or_says_nothing_of_itself_is_found() {
    let long = |lines: usize| format!("//! Long.\n{}", "x\n".repeat(lines - 1));
    assert_eq!(fault_of(&long(LINES_MAX)), None);
    assert_eq!(fault_of(&long(LINES_MAX + 1)), Some("has 501 lines: split it".to_owned()));
    let tested =
        format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", long(LINES_MAX), "x\n".repeat(900));
    assert_eq!(fault_of(&tested), None, "tests at a file's end don't count");
    assert_eq!(fault_of("use x;\n"), Some("does not begin with `//!`".to_owned()));
}

/// The name of the file that a folder of modules needs beside it; none if the folder is the root of a crate.
fn names_missing(files: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    let is_root = |folder: &Path| {
        let roots = ["lib.rs", "main.rs", "build.rs"];
        let is_of_tests = folder.ends_with("tests") && !folder.ends_with("src/tests");
        let holds_roots = is_of_tests || folder.ends_with("benches");
        holds_roots || roots.iter().any(|name| files.contains(&folder.join(name)))
    };
    let inner = folders.into_iter().filter(|folder| !is_root(folder));
    let beside = inner.map(|folder| folder.with_extension("rs"));
    beside.filter(|file| !files.contains(file)).collect()
}

#[test]
fn a_file_with_modules_of_its_own_is_named_as_their_folder() {
    let files: BTreeSet<PathBuf> = sources().into_iter().collect();
    let old: Vec<_> = files.iter().filter(|file| file.ends_with("mod.rs")).collect();
    assert!(old.is_empty(), "use foo.rs beside foo/: {old:?}");
    assert_eq!(names_missing(&files), Vec::<PathBuf>::new());
    // The test of the test.
    let of = |names: &[&str]| names.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
    let good = of(&["a/src/lib.rs", "a/src/b.rs", "a/src/b/c.rs", "a/tests/d.rs"]);
    assert_eq!(names_missing(&good), Vec::<PathBuf>::new());
    assert_eq!(
        names_missing(&of(&["a/src/lib.rs", "a/src/b/c.rs"])),
        [PathBuf::from("a/src/b.rs")]
    );
}

/// The lines of a text that are wider than they may be.
fn wide_lines(text: &str) -> impl Iterator<Item = usize> {
    let wide = |line: &str| line.chars().count() > COLUMNS_MAX;
    text.lines().enumerate().filter(move |(_, line)| wide(line)).map(|(index, _)| index + 1)
}

#[test]
fn no_more_lines_are_too_wide_than_there_were() {
    let mut wide = Vec::new();
    for path in sources() {
        wide.extend(wide_lines(&read(&path)).map(|line| format!("{}:{line}", path.display())));
    }
    assert!(
        wide.len() <= WIDE_LINES_MAX,
        "{} lines have more than {COLUMNS_MAX} columns, and {WIDE_LINES_MAX} had: {wide:#?}",
        wide.len(),
    );
    let text = format!("{0}\n{0}x\n", "ä".repeat(COLUMNS_MAX));
    assert_eq!(wide_lines(&text).collect::<Vec<_>>(), [2], "columns, not bytes");
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

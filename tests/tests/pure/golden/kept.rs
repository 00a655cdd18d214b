//! What is kept in `tests/golden`: logs, which never change, and the states that they give, which follow the states'
//! layouts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use archive::{Archive, ArchiveProvider};
use event_log::memory::MemoryProvider;
use event_log::{EventLog, EventLogProvider, Record};
use invariants::LogWalk;
use runtime::{Fold, Service, ServiceId, open_record, read_first};

/// What the tests were asked to do besides comparing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// Nothing.
    No,
    /// Write what is new.
    Yes,
    /// Write what differs, too.
    Forced,
}

impl Renewal {
    pub(crate) fn asked() -> Self {
        match std::env::var("SWITCHYARD_GOLDEN").as_deref() {
            Ok("renew") => Self::Yes,
            Ok("force") => Self::Forced,
            Ok(_) | Err(_) => Self::No,
        }
    }
}

/// The file or folder of this name in `tests/golden`.
pub(crate) fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

/// The golden logs: what they are called, oldest first, and where they are.
pub(crate) fn all() -> Result<Vec<(String, Archive)>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(place("logs"))? {
        names.extend(entry?.file_name().into_string());
    }
    names.sort_unstable();
    ensure!(!names.is_empty(), "there are no golden logs");
    let archive = |name: String| Ok((name.clone(), Archive::open(place("logs").join(name))?));
    names.into_iter().map(archive).collect()
}

/// Keeps the logs of a stage under a name of their own.
pub(crate) async fn keep(name: &str, logs: &MemoryProvider) -> Result<()> {
    let folder = place("logs").join(name);
    ensure!(!folder.exists(), "{} is there: golden logs never change", folder.display());
    let archive = Archive::create(folder)?;
    for service in ServiceId::ALL {
        let mut kept = archive.log(&service.log(0))?;
        for record in records(&*logs.open(&service.log(0)).await?).await? {
            kept.push(&record)?;
        }
        kept.flush()?;
    }
    Ok(())
}

/// All records of a log.
pub(crate) async fn records(log: &dyn EventLog) -> Result<Vec<Record>> {
    let mut all: Vec<Record> = Vec::new();
    loop {
        let more = log.read(all.last().map_or(1, |record| record.seq + 1), 1 << 20).await?;
        if more.is_empty() {
            return Ok(all);
        }
        all.extend(more);
    }
}

/// All records of a golden log.
pub(crate) async fn kept(archive: &Archive, service: ServiceId) -> Result<Vec<Record>> {
    let provider = ArchiveProvider::new(archive.clone());
    records(&*provider.open(&service.log(0)).await?).await
}

/// A type of event, as a service writes it.
pub(crate) type Written = (ServiceId, String, u32);

/// The events of some records.
pub(crate) fn written(service: ServiceId, records: &[Record]) -> Result<BTreeSet<Written>> {
    let mut all = BTreeSet::new();
    for record in records {
        let events = open_record(record)?.events.into_iter();
        all.extend(events.map(|event| (service, event.r#type, event.version)));
    }
    Ok(all)
}

/// What a log came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    layout: u32,
    hash: String,
}

/// Folds a log as its service does, and walks it as an invariant's keeper does.
pub(crate) fn fold<S: Service>(service: &S, records: &[Record]) -> Result<State> {
    let (log_id, _) = read_first(records.first().context("it is empty")?, S::ID, 0)?;
    let (mut fold, mut walk) = (Fold::<S>::at_start(log_id), LogWalk::new(S::ID, log_id));
    for record in records {
        if let Some(check) = fold.take_and_check(service, record)? {
            let same = check.written == check.folded;
            ensure!(same, "after record {} the leader had another state", check.seq);
        }
        let (_, violations) = walk.take(record);
        ensure!(violations.is_empty(), "{violations:?}");
    }
    let hash: String = fold.state_hash()?.iter().fold(String::new(), |mut hash, byte| {
        // Writing to a string can't fail.
        write!(hash, "{byte:02x}").ok();
        hash
    });
    Ok(State { layout: Fold::<S>::LAYOUT, hash })
}

/// The recorded states: which logs, whose, in which layout, with which hash.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct States(BTreeMap<(String, &'static str), State>);

const STATES_ARE: &str = "\
# What the golden logs come to: their name, the service, the layout of its state (META_VERSION << 16 | STATE_VERSION), the hash.
# Written by tests/golden/renew, which is to be run when a layout was raised.
";

impl States {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut all = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split(' ').collect();
            let [name, service, layout, hash] = words[..] else { bail!("line {line:?}") };
            let service = ServiceId::ALL.into_iter().find(|known| known.name() == service);
            let state = State { layout: layout.parse()?, hash: hash.to_owned() };
            all.put(name, service.with_context(|| format!("line {line:?}"))?, state);
        }
        Ok(all)
    }

    pub(crate) fn put(&mut self, name: &str, service: ServiceId, state: State) {
        self.0.insert((name.to_owned(), service.name()), state);
    }

    pub(crate) fn text(&self) -> String {
        let line = |((name, service), state): (&(String, &str), &State)| {
            format!("{name} {service} {} {}\n", state.layout, state.hash)
        };
        STATES_ARE.to_owned() + &self.0.iter().map(line).collect::<String>()
    }

    /// What must be done about the difference between what is recorded and what is folded now; empty: there is none.
    pub(crate) fn differences(&self, folded: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        for (key @ (name, service), now) in &folded.0 {
            let what = match self.0.get(key) {
                Some(then) if then == now => continue,
                Some(then) if then.layout == now.layout => Difference::Unversioned(format!(
                    "{service}'s log {name} comes to another state than before in the same layout {}: what it means was changed. \
                     Undo that, or raise the service's STATE_VERSION and run tests/golden/renew",
                    now.layout
                )),
                Some(_) | None => Difference::Unrecorded(format!(
                    "no state of {service}'s log {name} is recorded for layout {}: run tests/golden/renew, and commit \
                     tests/golden/states.txt",
                    now.layout
                )),
            };
            found.push(what);
        }
        found
    }
}

/// A recorded state that is not what was folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    /// The layout is another one: the state is to be recorded.
    Unrecorded(String),
    /// The layout is the same: somebody made a mistake.
    Unversioned(String),
}

impl Difference {
    pub(crate) fn said(&self) -> &str {
        match self {
            Self::Unrecorded(said) | Self::Unversioned(said) => said,
        }
    }

    /// Whether it may be written over.
    pub(crate) fn yields_to(&self, renewal: Renewal) -> bool {
        match self {
            Self::Unrecorded(_) => renewal != Renewal::No,
            Self::Unversioned(_) => renewal == Renewal::Forced,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(layout: u32, hash: &str) -> States {
        States::parse(&format!("{STATES_ARE}0.1.0 sla {layout} {hash}\n")).unwrap()
    }

    #[test]
    fn a_raised_layout_is_recorded_anew_and_a_changed_state_is_a_mistake() {
        let before = states(7, "aa");
        assert_eq!(States::parse(&before.text()).unwrap(), before);
        assert_eq!(before.differences(&before), []);
        let raised = before.differences(&states(8, "bb"));
        assert!(raised[0].yields_to(Renewal::Yes) && !raised[0].yields_to(Renewal::No));
        let changed = before.differences(&states(7, "bb"));
        assert!(!changed[0].yields_to(Renewal::Yes), "{changed:?}");
        assert!(changed[0].said().contains("raise the service's STATE_VERSION"), "{changed:?}");
    }
}

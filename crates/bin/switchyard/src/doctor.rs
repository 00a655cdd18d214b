//! `switchyard doctor`: one page on whether an installation is well, and what to do where it isn't.

mod orphans;
mod servers;
mod snapshots;
mod stored;

use anyhow::Result;
use serde::Serialize;

use crate::cli::Doctor;
use crate::exit::bad_configuration;
use crate::logs;
use crate::out::{self, Output};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// All is well.
    Ok,
    /// It could not be established.
    Unknown,
    /// Something is wrong.
    Wrong,
}

/// One line of the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    /// What was looked at: `intake/3`, an address, a directory.
    subject: String,
    /// What about it.
    check: &'static str,
    verdict: Verdict,
    /// What was found.
    found: String,
    /// What to do; empty: nothing. Names a section of deploy/README.md.
    advice: &'static str,
}

/// All lines so far.
#[derive(Debug, Default)]
struct Page(Vec<Finding>);

impl Page {
    fn ok(&mut self, subject: impl ToString, check: &'static str, finding: impl ToString) {
        self.add(subject, check, Verdict::Ok, finding, "");
    }

    fn unknown(
        &mut self,
        subject: impl ToString,
        check: &'static str,
        finding: impl ToString,
        advice: &'static str,
    ) {
        self.add(subject, check, Verdict::Unknown, finding, advice);
    }

    fn wrong(
        &mut self,
        subject: impl ToString,
        check: &'static str,
        finding: impl ToString,
        advice: &'static str,
    ) {
        self.add(subject, check, Verdict::Wrong, finding, advice);
    }

    #[expect(clippy::needless_pass_by_value, reason = "texts and errors alike, made here")]
    fn add(
        &mut self,
        subject: impl ToString,
        check: &'static str,
        verdict: Verdict,
        finding: impl ToString,
        advice: &'static str,
    ) {
        let (subject, found) = (subject.to_string(), finding.to_string());
        self.0.push(Finding { subject, check, verdict, found, advice });
    }

    /// How many lines end so.
    fn count(&self, verdict: Verdict) -> usize {
        self.0.iter().filter(|finding| finding.verdict == verdict).count()
    }
}

/// Something is wrong; the page says what.
#[derive(Debug, thiserror::Error)]
#[error("{wrong} of {all} checks found something wrong")]
struct Unwell {
    wrong: usize,
    all: usize,
}

/// What to do, by section of the runbook in deploy/README.md.
mod advice {
    pub(super) const UNREACHABLE: &str = "deploy/README.md, \"The log can't be reached\"";
    pub(super) const SET_UP: &str = "deploy/README.md, \"A stream is not set up as it must be\"";
    pub(super) const SYNC: &str = "deploy/README.md, \"A server does not sync\"";
    pub(super) const COPY: &str = "deploy/README.md, \"A copy of a stream is damaged or behind\"";
    pub(super) const HISTORY: &str = "deploy/README.md, \"A partition is halted\"";
    pub(super) const LOST: &str = "deploy/README.md, \"A log was lost\"";
    pub(super) const FULL: &str = "deploy/README.md, \"The log is full\"";
    pub(super) const SERVER: &str = "deploy/README.md, \"A service does not serve\"";
    pub(super) const PARKED: &str = "deploy/README.md, \"Inputs are set aside\"";
    pub(super) const CLOCK: &str = "deploy/README.md, \"The clock is in doubt\"";
    pub(super) const INVARIANTS: &str = "deploy/README.md, \"An invariant is violated\"";
    pub(super) const SNAPSHOTS: &str = "deploy/README.md, \"Snapshots can't be saved\"";
}

/// Looks at all that was named, prints the page, and fails if anything is wrong.
pub(crate) async fn run(settings: Doctor) -> Result<()> {
    if settings.log.is_none() && settings.data_dir.is_none() && settings.target.is_empty() {
        return Err(bad_configuration("name what to look at: --log, --data-dir or --target"));
    }
    let mut page = Page::default();
    let mut tails = stored::Tails::new();
    if let Some(urls) = &settings.log {
        match logs::nats(urls, &settings.nats, 1).await {
            Ok(provider) => {
                page.ok("the log's server", "reachable", "it answers");
                if settings.nats.nats_monitor.is_none() {
                    let why = "nobody was asked: give --nats-monitor http://HOST:8222";
                    page.unknown("the log's server", "syncs every append", why, advice::SYNC);
                }
                tails.extend(stored::look(&provider, settings.deep, &mut page).await);
            }
            Err(error) => {
                let finding = format!("{error:#}");
                page.wrong("the log's server", "reachable", finding, advice::UNREACHABLE);
            }
        }
    }
    if let Some(data_dir) = &settings.data_dir {
        match logs::existing(data_dir).await {
            Ok(provider) => {
                page.ok(data_dir.display(), "reachable", "the directory can be read");
                tails.extend(stored::look(&provider, settings.deep, &mut page).await);
                snapshots::look(data_dir, Some(&provider), &mut page).await;
                provider.close().await;
            }
            Err(error) => {
                page.wrong(data_dir.display(), "reachable", format!("{error:#}"), advice::SERVER);
                snapshots::look(data_dir, None, &mut page).await;
            }
        }
    }
    for address in &settings.target {
        servers::look(address, &tails, &mut page).await;
    }
    print(settings.output, &page)?;
    match page.count(Verdict::Wrong) {
        0 => Ok(()),
        wrong => Err(Unwell { wrong, all: page.0.len() }.into()),
    }
}

fn print(output: Output, page: &Page) -> Result<()> {
    if output == Output::Json {
        return out::line(&serde_json::to_string_pretty(&page.0)?);
    }
    let mut table = out::table(["what", "check", "verdict", "finding", "what to do"]);
    for finding in &page.0 {
        let verdict = match finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Unknown => "unknown",
            Verdict::Wrong => "WRONG",
        };
        let Finding { subject, check, found, advice, .. } = finding;
        table.add_row([subject, *check, verdict, found, *advice]);
    }
    out::line(&table.to_string())?;
    let (wrong, unknown) = (page.count(Verdict::Wrong), page.count(Verdict::Unknown));
    out::line(&format!("{} checks: {wrong} wrong, {unknown} unknown", page.0.len()))
}

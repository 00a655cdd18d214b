//! The command line: many seeds over all cores, each in a process of its own.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;
use kernel::planted::Bug;
use serde_json::json;

use crate::report::Report;
use crate::run;

/// Runs simulations of the whole product, each decided by its seed.
#[derive(Debug, Parser)]
#[command(name = "tests/simulate")]
struct Options {
    /// How many seeds to run.
    #[arg(long, default_value_t = 60)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many run at once; default: one for each core.
    #[arg(long)]
    jobs: Option<usize>,
    /// Plants a bug, by name; `all` plants each in turn and says which seed finds it. Only in a build with planted
    /// bugs.
    #[arg(long)]
    bug: Option<String>,
    /// Every how many seeds one runs twice, to compare.
    #[arg(long, default_value_t = 20)]
    twice_every: u64,
    /// Fails if there were fewer operations in all.
    #[arg(long, default_value_t = 0)]
    operations_min: u64,
    /// Fails if there were fewer faults in all.
    #[arg(long, default_value_t = 0)]
    faults_min: u64,
    /// Fails if logs changed hands less often in all.
    #[arg(long, default_value_t = 0)]
    handovers_min: u64,
    /// Prints the sum as JSON at the end.
    #[arg(long)]
    json: bool,
    /// Runs this one seed here, and prints its report as JSON.
    #[arg(long, hide = true)]
    one: Option<u64>,
    #[command(flatten)]
    asked: Asked,
}

/// What test runners ask of a test's program: cargo by names alone, nextest by libtest's `--list` and `--exact` first.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
struct Asked {
    /// Names the program's tests: one.
    #[arg(long, hide = true)]
    list: bool,
    /// Only tests that are left out otherwise: there are none.
    #[arg(long, hide = true)]
    ignored: bool,
    /// Names are whole names. This one's says it all.
    #[arg(long, hide = true)]
    exact: bool,
    /// The program never keeps its output back.
    #[arg(long, hide = true)]
    nocapture: bool,
    #[arg(long, hide = true)]
    format: Option<String>,
    /// The names of tests that are asked for, or parts of them.
    #[arg(hide = true)]
    names: Vec<String>,
}

/// The program's one test.
const NAME: &str = "simulate";

impl Asked {
    fn wants(&self) -> bool {
        let fits = |name: &String| if self.exact { name == NAME } else { NAME.contains(name) };
        !self.ignored && (self.names.is_empty() || self.names.iter().any(fits))
    }
}

/// The program.
pub(crate) fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    if options.asked.list && options.asked.wants() {
        writeln!(std::io::stdout(), "{NAME}: test")?;
    }
    if options.asked.list || !options.asked.wants() {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(seed) = options.one {
        if let Some(bug) = &options.bug {
            plant(bug)?;
        }
        let report = run::seed(seed)?;
        writeln!(std::io::stdout(), "{}", report.to_json())?;
        return Ok(ExitCode::SUCCESS);
    }
    let good =
        if options.bug.as_deref() == Some("all") { all_bugs(&options)? } else { many(&options)? };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(feature = "planted-bugs")]
fn plant(name: &str) -> anyhow::Result<()> {
    let bug = Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name);
    kernel::planted::plant(bug.with_context(|| format!("no bug is called {name}"))?);
    Ok(())
}

#[cfg(not(feature = "planted-bugs"))]
fn plant(name: &str) -> anyhow::Result<()> {
    anyhow::bail!("{name}: this build has no planted bugs; `tests/simulate --bug` makes one")
}

/// What many seeds came to.
#[derive(Debug, Default)]
struct Sum {
    seeds: u64,
    compared: u64,
    operations: BTreeMap<String, u64>,
    faults: BTreeMap<String, u64>,
    hand_overs: BTreeMap<String, u64>,
    looks: BTreeMap<String, u64>,
    simulated_s: f64,
    took_s: f64,
    failed: Vec<Report>,
}

impl Sum {
    fn add(&mut self, report: Report) {
        self.seeds += 1;
        for (counts, more) in [
            (&mut self.operations, &report.operations),
            (&mut self.faults, &report.faults),
            (&mut self.hand_overs, &report.hand_overs),
            (&mut self.looks, &report.looks),
        ] {
            for (name, count) in more {
                *counts.entry(name.clone()).or_default() += count;
            }
        }
        self.simulated_s += report.simulated_s;
        self.took_s += report.took_s;
        if !report.violations.is_empty() {
            self.failed.push(report);
        }
    }
}

/// Runs one seed in a process of its own; what is random begins anew with it.
fn child(seed: u64, bug: Option<&str>) -> anyhow::Result<Report> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--one", &seed.to_string()]).stdin(Stdio::null());
    if let Some(bug) = bug {
        command.args(["--bug", bug]);
    }
    let output = command.output().context("a simulation can't be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let report = text.lines().last().and_then(Report::from_json);
    Ok(report.unwrap_or_else(|| {
        let error = String::from_utf8_lossy(&output.stderr);
        Report::broken(seed, format!("it broke off ({}): {}", output.status, error.trim()))
    }))
}

/// Runs seeds side by side until all are done, or `enough` says so.
fn side_by_side(
    options: &Options,
    bug: Option<&str>,
    twice_every: u64,
    enough: impl Fn(&Report) -> bool + Sync,
) -> anyhow::Result<Sum> {
    let jobs = options.jobs.map_or_else(std::thread::available_parallelism, |jobs| {
        std::num::NonZeroUsize::new(jobs).ok_or_else(|| std::io::Error::other("--jobs 0"))
    })?;
    let (next, stop) = (AtomicU64::new(options.from), AtomicBool::new(false));
    let sum = Mutex::new(Sum::default());
    let work = || -> anyhow::Result<()> {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= options.from.saturating_add(options.seeds) {
                break;
            }
            let mut report = child(seed, bug)?;
            let compares = twice_every > 0 && (seed - options.from).is_multiple_of(twice_every);
            if compares && child(seed, bug)?.hash != report.hash {
                report
                    .violations
                    .push("the same seed went another way: it is not determined".into());
            }
            if enough(&report) {
                stop.store(true, Ordering::Relaxed);
            }
            let mut sum = sum.lock().map_err(|_| anyhow::anyhow!("a thread broke"))?;
            sum.compared += u64::from(compares);
            sum.add(report);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs.get()).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread broke"))?)
    })?;
    let mut sum = sum.into_inner().map_err(|_| anyhow::anyhow!("a thread broke"))?;
    sum.failed.sort_by_key(|report| report.seed);
    Ok(sum)
}

fn many(options: &Options) -> anyhow::Result<bool> {
    let started = Instant::now();
    let bug = options.bug.as_deref();
    let sum = side_by_side(options, bug, options.twice_every, |_| false)?;
    let total = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
    let (operations, faults) = (total(&sum.operations), total(&sum.faults));
    let hand_overs = total(&sum.hand_overs);
    let took = started.elapsed().as_secs_f64();
    let rate = sum.simulated_s / took.max(0.001);
    let mut out = std::io::stdout().lock();
    for (name, counts) in
        [("operations", &sum.operations), ("faults", &sum.faults), ("hand-overs", &sum.hand_overs)]
    {
        writeln!(out, "{name}:")?;
        for (kind, count) in counts {
            writeln!(out, "  {count:8} {kind}")?;
        }
    }
    writeln!(
        out,
        "{} seeds ({} of them twice), {operations} operations, {faults} faults, {hand_overs} hand-overs, {:.0} simulated seconds in {took:.0} s: {rate:.0} a second",
        sum.seeds, sum.compared, sum.simulated_s,
    )?;
    for report in &sum.failed {
        writeln!(out, "seed {} FAILED:", report.seed)?;
        for violation in report.violations.iter().take(6) {
            writeln!(out, "  {violation}")?;
        }
        let bug = bug.map_or_else(String::new, |bug| format!(" --bug {bug}"));
        writeln!(out, "  again: tests/simulate --seeds 1 --from {}{bug}", report.seed)?;
    }
    if options.json {
        let value = json!({
            "seeds": sum.seeds,
            "compared": sum.compared,
            "operations": operations,
            "faults": faults,
            "hand_overs": hand_overs,
            "simulated_s": sum.simulated_s,
            "simulated_s_per_s": rate,
            "failed": sum.failed.iter().map(|report| report.seed).collect::<Vec<_>>(),
        });
        writeln!(out, "{value}")?;
    }
    let enough = operations >= options.operations_min
        && faults >= options.faults_min
        && hand_overs >= options.handovers_min;
    if !enough {
        writeln!(out, "too little happened")?;
    }
    Ok(enough && sum.failed.is_empty())
}

/// Plants each bug and looks for the first seed that finds it.
fn all_bugs(options: &Options) -> anyhow::Result<bool> {
    let mut found = 0;
    for bug in Bug::ALL {
        let name = format!("{bug:?}");
        let started = Instant::now();
        let broken = |report: &Report| !report.violations.is_empty();
        let sum = side_by_side(options, Some(&name), 0, broken)?;
        let mut out = std::io::stdout().lock();
        let took = started.elapsed().as_secs_f64();
        match sum.failed.first() {
            Some(report) => {
                found += 1;
                let violation = report.violations.first().map_or("", String::as_str);
                writeln!(out, "{name:24} seed {:4}, {took:5.1} s: {violation}", report.seed)?;
            }
            None => writeln!(out, "{name:24} NOT FOUND by {} seeds, {took:.1} s", sum.seeds)?,
        }
    }
    writeln!(std::io::stdout(), "{found} of {} planted bugs found", Bug::ALL.len())?;
    Ok(found == Bug::ALL.len())
}

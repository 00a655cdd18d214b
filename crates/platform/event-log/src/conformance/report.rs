//! What came of a run of the suite.

use std::fmt;

/// What came of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passed.
    Ok,
    /// It can't exist on this log, for this reason.
    NotApplicable(&'static str),
    /// It failed, and how.
    Failed(String),
}

/// What came of all cases on one log. Its `Display` has a line for each.
#[derive(Clone, Debug)]
pub struct Report {
    log: String,
    cases: Vec<(&'static str, Verdict)>,
}

impl Report {
    pub(super) fn new(log: &str) -> Self {
        Self { log: log.to_owned(), cases: Vec::new() }
    }

    pub(super) fn add(&mut self, case: &'static str, verdict: Verdict) {
        self.cases.push((case, verdict));
    }

    /// Returns every case with its verdict, in the order they ran.
    pub fn cases(&self) -> &[(&'static str, Verdict)] {
        &self.cases
    }

    /// Names the cases that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        let failed = self.cases.iter().filter(|case| matches!(case.1, Verdict::Failed(_)));
        failed.map(|case| case.0).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (case, verdict) in &self.cases {
            match verdict {
                Verdict::Ok => writeln!(f, "{} · {case} … ok", self.log)?,
                Verdict::NotApplicable(reason) => {
                    writeln!(f, "{} · {case} … not applicable: {reason}", self.log)?;
                }
                Verdict::Failed(reason) => {
                    writeln!(f, "{} · {case} … FAILED: {reason}", self.log)?;
                }
            }
        }
        let count = |wanted: fn(&Verdict) -> bool| {
            self.cases.iter().filter(|(_, verdict)| wanted(verdict)).count()
        };
        let ok = count(|verdict| matches!(verdict, Verdict::Ok));
        let absent = count(|verdict| matches!(verdict, Verdict::NotApplicable(_)));
        let failed = self.failed().len();
        write!(f, "{} · {ok} ok, {absent} not applicable, {failed} failed", self.log)
    }
}

//! What must be in the logs at the end, and what must not; and how often each method was called.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::ensure;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use tests::proof::{History, request_key};

/// What can't be served: no input of a log is ever set aside here.
const NEVER_SERVED: [&str; 2] = ["RetryParked", "DropParked"];

/// The calls by what became of them.
#[derive(Debug, Default)]
pub(super) struct Book {
    stored: BTreeSet<Vec<u8>>,
    unsure: BTreeSet<Vec<u8>>,
    others: BTreeSet<Vec<u8>>,
    methods: BTreeMap<String, (usize, usize)>,
    /// How often each reason was named.
    pub(super) reasons: BTreeMap<&'static str, usize>,
}

/// The key under which a log would remember this call; `None`: it has no request id.
pub(super) fn key_of(method: &MethodDescriptor, request: &DynamicMessage) -> Option<Vec<u8>> {
    let id = text(request, "request_id").filter(|id| !id.is_empty())?;
    let nested = || {
        let workspace = request.get_field_by_name("workspace")?;
        text(workspace.as_message()?, "workspace_id")
    };
    let workspace = text(request, "workspace_id").or_else(nested).unwrap_or_default();
    Some(request_key(&workspace, method.name(), &id))
}

/// A text field's value.
pub(super) fn text(message: &DynamicMessage, field: &str) -> Option<String> {
    message.get_field_by_name(field).as_deref().and_then(Value::as_str).map(str::to_owned)
}

impl Book {
    /// What is in the logs so far, and isn't in this book, others have called.
    pub(super) fn leave_out(&mut self, history: &History) {
        self.others.extend(history.answered().into_keys().map(<[u8]>::to_vec));
    }

    pub(super) fn served(&mut self, method: &MethodDescriptor) {
        self.methods.entry(method.full_name().to_owned()).or_default().0 += 1;
    }

    /// A call that was served has changed something.
    pub(super) fn stored(&mut self, key: Option<Vec<u8>>) {
        self.stored.extend(key);
    }

    pub(super) fn refused(&mut self, method: &MethodDescriptor, reason: &'static str) {
        self.methods.entry(method.full_name().to_owned()).or_default().1 += 1;
        *self.reasons.entry(reason).or_default() += 1;
    }

    pub(super) fn unsure(&mut self, key: Option<Vec<u8>>) {
        self.unsure.extend(key);
    }

    /// Each call with a request id that has changed something is in the logs, and nothing is that was not served.
    pub(super) fn agrees(&self, history: &History) -> anyhow::Result<()> {
        let answered = history.answered();
        let lost = self.stored.iter().filter(|key| !answered.contains_key(key.as_slice())).count();
        ensure!(lost == 0, "{lost} calls were served, and no log has them");
        let foreign = answered.keys().filter(|key| {
            ![&self.stored, &self.unsure, &self.others].iter().any(|known| known.contains(**key))
        });
        let foreign: Vec<_> = foreign.map(|key| String::from_utf8_lossy(key)).collect();
        ensure!(foreign.is_empty(), "calls are in a log, and none of them was served: {foreign:?}");
        Ok(())
    }

    /// The first of these that was not both served and refused.
    pub(super) fn uncovered(&self, methods: &[MethodDescriptor]) -> Option<MethodDescriptor> {
        let covered = |method: &MethodDescriptor| {
            let (served, refused) =
                self.methods.get(method.full_name()).copied().unwrap_or_default();
            refused > 0 && (served > 0 || NEVER_SERVED.contains(&method.name()))
        };
        methods.iter().find(|method| !covered(method)).cloned()
    }

    /// A line for each method and reason.
    pub(super) fn summary(&self) -> String {
        let mut lines = String::new();
        for (method, (served, refused)) in &self.methods {
            write!(lines, "\n{served:7} served {refused:7} refused  {method}").ok();
        }
        for (reason, times) in &self.reasons {
            write!(lines, "\n{times:7} {reason}").ok();
        }
        lines
    }
}

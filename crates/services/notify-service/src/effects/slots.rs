//! Who may send next: a share for each workspace and each endpoint, and turns.
//!
//! A workspace may have as many attempts under way as there are slots left for others: one alone takes half of them,
//! two a third each, and so on. So whoever sends nothing yet finds a slot, however many receivers of others hang. A
//! slot that becomes free goes to the next workspace in turn, and there to the next endpoint in turn.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kernel::{EndpointId, WorkspaceId};
use tokio::sync::oneshot;

/// How many attempts are made at once, over all endpoints of the process.
pub(crate) const AT_ONCE_MAX: usize = 256;
/// How many of them go to one endpoint. A leader starts no more either, but after a change of leaders both may have
/// some.
pub(crate) const AT_ONCE_MAX_ENDPOINT: usize = 8;

/// Whose turn it is. It holds nothing of a workspace or endpoint that has neither an attempt under way nor one that
/// waits.
#[derive(Debug)]
struct Turns<T> {
    total: usize,
    per_endpoint: usize,
    used: usize,
    workspaces: BTreeMap<WorkspaceId, Workspace<T>>,
    /// Those with an endpoint that could send.
    order: VecDeque<WorkspaceId>,
}

#[derive(Debug)]
struct Workspace<T> {
    used: usize,
    /// It stands in the process's turns.
    lined_up: bool,
    endpoints: BTreeMap<EndpointId, Endpoint<T>>,
    /// Those that have something to send, and fewer attempts under way than they may have.
    turns: VecDeque<EndpointId>,
}

#[derive(Debug)]
struct Endpoint<T> {
    used: usize,
    /// It stands in its workspace's turns.
    lined_up: bool,
    waiting: VecDeque<T>,
}

impl<T> Default for Workspace<T> {
    fn default() -> Self {
        Self { used: 0, lined_up: false, endpoints: BTreeMap::new(), turns: VecDeque::new() }
    }
}

impl<T> Default for Endpoint<T> {
    fn default() -> Self {
        Self { used: 0, lined_up: false, waiting: VecDeque::new() }
    }
}

impl<T> Turns<T> {
    fn new(total: usize, per_endpoint: usize) -> Self {
        let (workspaces, order) = (BTreeMap::new(), VecDeque::new());
        Self { total, per_endpoint, used: 0, workspaces, order }
    }

    /// Puts an attempt behind those that wait for its endpoint.
    fn wait(&mut self, workspace_id: &WorkspaceId, endpoint_id: &EndpointId, attempt: T) {
        let workspace = self.workspaces.entry(workspace_id.clone()).or_default();
        let endpoint = workspace.endpoints.entry(endpoint_id.clone()).or_default();
        endpoint.waiting.push_back(attempt);
        self.line_up(workspace_id, endpoint_id);
    }

    /// Takes the attempt whose turn it is, if there is a slot for it.
    fn next(&mut self) -> Option<(WorkspaceId, EndpointId, T)> {
        let left = self.total.saturating_sub(self.used);
        let may = |id: &WorkspaceId| self.workspaces.get(id).is_some_and(|it| it.used < left);
        let workspace_id = self.order.remove(self.order.iter().position(may)?)?;
        let workspace = self.workspaces.get_mut(&workspace_id)?;
        let endpoint_id = workspace.turns.pop_front()?;
        let endpoint = workspace.endpoints.get_mut(&endpoint_id)?;
        let attempt = endpoint.waiting.pop_front()?;
        endpoint.used = endpoint.used.saturating_add(1);
        workspace.used = workspace.used.saturating_add(1);
        self.used = self.used.saturating_add(1);
        (endpoint.lined_up, workspace.lined_up) = (false, false);
        self.line_up(&workspace_id, &endpoint_id);
        Some((workspace_id, endpoint_id, attempt))
    }

    /// Gives an attempt's slot back.
    fn release(&mut self, workspace_id: &WorkspaceId, endpoint_id: &EndpointId) {
        let Some(workspace) = self.workspaces.get_mut(workspace_id) else { return };
        let Some(endpoint) = workspace.endpoints.get_mut(endpoint_id) else { return };
        endpoint.used = endpoint.used.saturating_sub(1);
        workspace.used = workspace.used.saturating_sub(1);
        self.used = self.used.saturating_sub(1);
        if endpoint.used == 0 && endpoint.waiting.is_empty() {
            workspace.endpoints.remove(endpoint_id);
        }
        if workspace.endpoints.is_empty() {
            self.workspaces.remove(workspace_id);
        }
        self.line_up(workspace_id, endpoint_id);
    }

    /// Puts an endpoint, and with it its workspace, behind the others, if it could send and doesn't stand there yet.
    fn line_up(&mut self, workspace_id: &WorkspaceId, endpoint_id: &EndpointId) {
        let Some(workspace) = self.workspaces.get_mut(workspace_id) else { return };
        if let Some(endpoint) = workspace.endpoints.get_mut(endpoint_id) {
            let could = endpoint.used < self.per_endpoint && !endpoint.waiting.is_empty();
            if could && !endpoint.lined_up {
                endpoint.lined_up = true;
                workspace.turns.push_back(endpoint_id.clone());
            }
        }
        if !workspace.turns.is_empty() && !workspace.lined_up {
            workspace.lined_up = true;
            self.order.push_back(workspace_id.clone());
        }
    }
}

/// The slots of a process.
#[derive(Debug, Clone)]
pub(crate) struct Slots(Arc<Mutex<Turns<oneshot::Sender<Slot>>>>);

/// The right to make one attempt; it is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    workspace: WorkspaceId,
    endpoint: EndpointId,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Turns::new(AT_ONCE_MAX, AT_ONCE_MAX_ENDPOINT))))
    }

    /// Lines an attempt up; its slot comes when it is its turn. Who stops waiting gives its place up.
    pub(crate) fn line_up(
        &self,
        workspace: &WorkspaceId,
        endpoint: &EndpointId,
    ) -> oneshot::Receiver<Slot> {
        let (sender, turn) = oneshot::channel();
        self.turns().wait(workspace, endpoint, sender);
        self.give();
        turn
    }

    /// Gives slots to all whose turn it is.
    fn give(&self) {
        loop {
            // Not within the loop's condition: a slot that nobody takes comes back, and needs the lock.
            let next = self.turns().next();
            let Some((workspace, endpoint, waiting)) = next else { return };
            let slot = Slot { slots: self.clone(), workspace, endpoint };
            drop(waiting.send(slot));
        }
    }

    /// No panic leaves it half changed: each change is counted first.
    fn turns(&self) -> MutexGuard<'_, Turns<oneshot::Sender<Slot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.turns().release(&self.workspace, &self.endpoint);
        self.slots.give();
    }
}

#[cfg(test)]
mod tests;

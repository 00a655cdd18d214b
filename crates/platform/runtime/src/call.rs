//! A call as the runtime takes it, and what becomes of it.

use std::fmt;

use bytes::Bytes;
use kernel::{Actor, Fact, Timestamp, WorkspaceId};

use crate::Position;
use crate::service::{Command, Event, Rejection, Service, State};

/// Renders a reply from the state after the command and the facts that it caused, those that followed at once included.
/// The reply is remembered with the request, so it is to be small, and leaves its position empty.
pub type Render<S> = Box<dyn FnOnce(&State<S>, &[Fact<Event<S>>]) -> Vec<u8> + Send>;

/// A request that may be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// The caller's id for it.
    pub id: String,
    /// A hash of its content without the id.
    pub hash: u64,
}

/// A mutating call.
pub struct Call<S: Service> {
    /// The workspace it is about.
    pub workspace: WorkspaceId,
    /// The method's name: with the workspace, the scope of its request id.
    pub method: &'static str,
    /// What makes a repetition safe; `None`: nothing does.
    pub request: Option<RequestKey>,
    /// Who asks.
    pub actor: Actor,
    /// What is asked.
    pub command: Command<S>,
    /// How the reply is rendered.
    pub render: Render<S>,
}

impl<S: Service> fmt::Debug for Call<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("method", &self.method).finish_non_exhaustive()
    }
}

/// A call that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The encoded reply, without its position.
    pub reply: Bytes,
    /// Where its facts stand in the log.
    pub position: Position,
    /// Whether it is the answer of an earlier call with the same request id.
    pub replayed: bool,
}

/// A call that was not.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure<R> {
    /// A rule said no.
    Rejected(R),
    /// The request id was used for another content.
    RequestIdReused,
    /// The request id is a UUIDv7 from before the table's horizon: it may have run.
    RequestIdTooOld {
        /// The horizon.
        horizon: Timestamp,
    },
    /// What it would write is over the limit of a commit.
    TooLarge,
    /// Too many calls wait; nothing was done.
    Overloaded(Overload),
    /// The log or its disk is full; nothing was written.
    LogFull,
    /// The log can't be reached; nothing was written.
    LogUnavailable,
    /// Whether it was written isn't known; the same request id is safe to send again.
    OutcomeUnknown,
    /// Another instance leads the partition, or soon will; nothing was written.
    NotLeader {
        /// The leader's address; `None`: nobody is known to lead now.
        leader: Option<String>,
    },
    /// The partition isn't ready: why.
    NotReady(String),
    /// The partition has stopped: why.
    Halted(String),
    /// The service is shutting down.
    Draining,
}

/// Of what too much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overload {
    /// Of a partition's calls: [`WAITING_MAX`](crate::WAITING_MAX) in all.
    Partition,
    /// Of one workspace's calls: [`WAITING_OF_WORKSPACE_MAX`](crate::WAITING_OF_WORKSPACE_MAX). Other workspaces are
    /// let in.
    Workspace,
    /// Of repetitions of one request that is in flight: [`REPETITIONS_MAX`](crate::REPETITIONS_MAX).
    Request,
    /// Another word about the same inputs set aside is under way.
    Release,
}

/// [`Failure`] of a call to service `S`.
pub type FailureOf<S> = Failure<Rejection<S>>;

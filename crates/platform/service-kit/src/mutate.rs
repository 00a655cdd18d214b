//! Mutating calls: from a checked request to the encoded reply.

use std::fmt;

use kernel::{Actor, Fact, WorkspaceId};
use prost::Message;
use runtime::{Call, Command, Done, Event, Node, RequestKey, Service, State};
use tonic::Status;

use crate::error::{Refuse, status_of};
use crate::token::first_eight;

/// A mutating call, as a handler makes it.
pub struct Mutation<S: Service> {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The method's name: `CreateTicket`. The scope of the request id, with the workspace.
    pub method: &'static str,
    /// What makes a retry safe; empty: nothing. Was checked by
    /// [`Fields::request_id`](crate::validate::Fields::request_id).
    pub request_id: String,
    /// [`hash_of`] the request with its request id cleared.
    pub hash: u64,
    /// Who asks.
    pub actor: Actor,
    /// What is asked.
    pub command: Command<S>,
}

impl<S: Service> fmt::Debug for Mutation<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutation").field("method", &self.method).finish_non_exhaustive()
    }
}

/// A hash of a request's content. Clear its request id first: `hash_of(&Request { request_id: String::new(),
/// ..request.clone() })`.
pub fn hash_of(request_without_id: &impl Message) -> u64 {
    first_eight(&blake3::hash(&request_without_id.encode_to_vec()))
}

/// Runs a mutating call. `reply` renders the reply from the state after it and its facts, the position left empty; it
/// is remembered with the request id.
pub async fn mutate<S, M>(
    node: &Node<S>,
    mutation: Mutation<S>,
    reply: impl FnOnce(&State<S>, &[Fact<Event<S>>]) -> M + Send + 'static,
) -> Result<Done, Status>
where
    S: Refuse,
    M: Message,
{
    let Mutation { workspace, method, request_id, hash, actor, command } = mutation;
    let request = (!request_id.is_empty()).then_some(RequestKey { id: request_id, hash });
    let render = Box::new(move |state: &State<S>, facts: &[Fact<Event<S>>]| {
        reply(state, facts).encode_to_vec()
    });
    let call = Call { workspace, method, request, actor, command, render };
    node.execute(call).await.map_err(|failure| status_of::<S>(&failure))
}

/// Reads the reply of a call that was answered; the caller fills in `position`, as `done.position.to_string()`.
pub fn reply_of<M: Message + Default>(done: &Done) -> Result<M, Status> {
    M::decode(done.reply.clone()).map_err(|error| crate::error::internal(&error))
}

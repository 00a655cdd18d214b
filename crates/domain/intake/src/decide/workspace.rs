//! Making and changing workspaces.

use kernel::{Context, Fact};

use super::{Decision, check_revision};
use crate::command::PutWorkspace;
use crate::event::{Event, WorkspacePut};
use crate::state::State;

pub(super) fn put(state: &State, context: &Context, wish: PutWorkspace) -> Decision {
    let now = state.workspace(&context.workspace);
    let revision = now.map_or(0, |workspace| workspace.revision);
    check_revision(wish.expected, revision)?;
    let holds = now.is_some_and(|workspace| {
        workspace.display_name == wish.display_name
            && workspace.default_priority == wish.default_priority
    });
    if holds {
        return Ok(Vec::new());
    }
    let put = WorkspacePut {
        workspace: context.workspace.clone(),
        display_name: wish.display_name,
        default_priority: wish.default_priority,
    };
    Ok(vec![fact(context, revision.saturating_add(1), put)])
}

pub(super) fn ensure(state: &State, context: &Context, display_name: Box<str>) -> Vec<Fact<Event>> {
    if state.workspace(&context.workspace).is_some() {
        return Vec::new();
    }
    let workspace = context.workspace.clone();
    vec![fact(context, 1, WorkspacePut { workspace, display_name, default_priority: None })]
}

fn fact(context: &Context, revision: u64, put: WorkspacePut) -> Fact<Event> {
    Fact {
        workspace: context.workspace.clone(),
        entity: (&context.workspace).into(),
        revision,
        at: context.at,
        actor: context.actor.clone(),
        event: Event::WorkspacePut(put),
    }
}

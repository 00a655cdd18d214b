//! Endpoints: made, changed, given new secrets.

use kernel::{Context, Fact};

use super::{Answer, check_revision, check_room, fact};
use crate::state::{ENDPOINTS_MAX, SECRETS_MAX};
use crate::{Endpoint, EndpointPut, Event, PutEndpoint, Reseal, SealedSecret, Workspace};

pub(super) fn put(workspace: &Workspace, context: &Context, put: PutEndpoint) -> Answer {
    let old = workspace.endpoint(&put.endpoint);
    let revision = old.map_or(0, |old| old.revision);
    let wanted = EndpointPut {
        secrets: secrets(old, &put),
        endpoint: put.endpoint,
        url: put.url,
        disabled: put.disabled,
        at_most_once: put.at_most_once,
    };
    if old.is_some_and(|old| as_put(&wanted, old) == wanted) {
        return Ok(Vec::new());
    }
    check_revision(put.expected_revision, revision)?;
    if old.is_none() {
        check_room(workspace.endpoint_count(), ENDPOINTS_MAX)?;
    }
    let entity = wanted.endpoint.to_string();
    Ok(vec![fact(context, &entity, revision.saturating_add(1), Event::EndpointPut(wanted))])
}

/// A new secret goes first and the one before signs on, so that receivers can change over.
fn secrets(old: Option<&Endpoint>, put: &PutEndpoint) -> Vec<SealedSecret> {
    let given = put.secret.as_ref();
    let Some(old) = old else {
        return vec![given.map_or_else(|| put.fresh.clone(), |given| given.sealed.clone())];
    };
    match given {
        Some(given) if !old.secrets.first().is_some_and(|first| given.is(first)) => {
            let kept = old.secrets.iter().filter(|other| !given.is(other));
            std::iter::once(&given.sealed).chain(kept).take(SECRETS_MAX).cloned().collect()
        }
        Some(_) | None => old.secrets.clone(),
    }
}

/// Puts a sealing in the place of another of the same secret. An endpoint that doesn't have it has changed since.
pub(super) fn reseal(
    workspace: &Workspace,
    context: &Context,
    reseal: &Reseal,
) -> Vec<Fact<Event>> {
    let Some(endpoint) = workspace.endpoint(&reseal.endpoint) else { return Vec::new() };
    if reseal.from == reseal.to || !endpoint.secrets.contains(&reseal.from) {
        return Vec::new();
    }
    let now = |secret: &SealedSecret| {
        if *secret == reseal.from { reseal.to.clone() } else { secret.clone() }
    };
    let put = EndpointPut {
        endpoint: reseal.endpoint.clone(),
        url: endpoint.url.clone(),
        secrets: endpoint.secrets.iter().map(now).collect(),
        disabled: endpoint.disabled,
        at_most_once: endpoint.at_most_once,
    };
    let revision = endpoint.revision.saturating_add(1);
    vec![fact(context, reseal.endpoint.as_str(), revision, Event::EndpointPut(put))]
}

/// An endpoint's settings as they stand.
pub(super) fn as_put(like: &EndpointPut, endpoint: &Endpoint) -> EndpointPut {
    EndpointPut {
        endpoint: like.endpoint.clone(),
        url: endpoint.url.clone(),
        secrets: endpoint.secrets.clone(),
        disabled: endpoint.disabled,
        at_most_once: endpoint.at_most_once,
    }
}

//! Lists the stack's attachments in the account, one for each API and stage with a record.

use super::actual::Actual;
use super::{deleted_api, record, removal, restore};
use crate::api_gateway::Method;
use crate::kind::Kind;
use crate::resource::{Context, Identity, Listing, ResourceError, ResourceKind};

/// The attachments of the stack, one for each API and stage.
#[derive(Debug)]
pub struct ApiAttachments;

impl ApiAttachments {
    /// The undeployed changes of others that the removal of the attachments publishes; those of former
    /// APIs and stages only, if the run has an API.
    ///
    /// # Errors
    /// The errors of the services.
    pub async fn pending_of_removal(cx: &Context) -> Result<Vec<String>, ResourceError> {
        let mut pending = Vec::new();
        for actual in Self::list(cx).await?.owned {
            if !cx.stages().contains(&actual.target) {
                let edits = removal::pending(cx, &actual).await?;
                // The stages of an API share its draft.
                let new = edits.into_iter().filter(|edit| !pending.contains(edit));
                pending.extend(new.collect::<Vec<_>>());
            }
        }
        Ok(pending)
    }

    /// Why stages of a REST API cannot leave the stages of the run, one sentence each.
    ///
    /// # Errors
    /// The errors of the services.
    pub async fn stuck(cx: &Context) -> Result<Vec<String>, ResourceError> {
        let mut stuck = Vec::new();
        for actual in Self::list(cx).await?.owned {
            stuck.extend(removal::stuck(cx, &actual).await?);
        }
        Ok(stuck)
    }
}

impl ResourceKind for ApiAttachments {
    type Actual = Actual;
    const KIND: Kind = Kind::ApiAttachment;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let mut listing = Listing::default();
        let mut records = record::all(cx).await?;
        for target in cx.stages() {
            records.entry(target.clone()).or_default();
        }
        for (target, record) in &records {
            let actual = Actual::load(cx, target, record.clone()).await?;
            // What another stage has recorded is restored with that one.
            let is_elsewhere = |before: &Method| {
                let mut others = records.iter();
                others.any(|(other, record)| {
                    let is_other = other.api() == target.api() && other != target;
                    is_other && record.method(&before.path, &before.method).is_some()
                })
            };
            let is_restored = !cx.stages().contains(target) && !removal::moves(cx, &actual);
            let mut unrecorded = actual.unrecorded.iter();
            let concerns = !actual.record.chunks.is_empty()
                || !actual.record.responses.is_empty()
                || unrecorded.any(|before| !is_restored || !is_elsewhere(before))
                || !actual.unknown.is_empty()
                || actual.record.head.as_ref().is_some_and(|head| head.frozen);
            if concerns {
                listing.owned.push(actual);
            }
        }
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        let physical_id = format!("{}/{}", actual.target.id, actual.target.stage);
        Identity::ready(actual.id.clone(), physical_id)
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let _turn = cx.api_turn().await;
        let is_new = cx.enter_api(&actual.target).await?;
        let restored = match is_new || record::is_shared(cx, &actual.target).await? {
            true => {
                let cx = &cx.fresh();
                let actual = Actual::read(cx, &actual.target).await?;
                restore::restore(cx, &actual).await
            }
            false => restore::restore(cx, actual).await,
        };
        match restored {
            // The next listing shows that there is nothing left to restore.
            Err(error) if deleted_api::is_deleted(cx, actual.target.api(), &error).await? => Ok(()),
            other => other,
        }
    }
}

//! The traits of a kind of resource: [`ResourceKind`] for the actual state, [`Resource`] for the
//! desired state.

use std::future::Future;

use super::claims::Claim;
use super::context::Context;
use super::diff::Diff;
use super::error::ResourceError;
use super::state::{Identity, Listing, Phase, Unmanaged};
use crate::id::LogicalId;
use crate::kind::Kind;

/// The operations on the actual state of a kind, which need no desired state.
pub trait ResourceKind: Send + Sync + 'static {
    /// The actual state of one resource.
    type Actual: Clone + Send + Sync + 'static;
    /// The kind's name, deletion order and durations.
    const KIND: Kind;

    /// Lists the resources of this kind that the stack owns, and those that block its names. One
    /// listing for any number.
    fn fetch(
        cx: &Context,
    ) -> impl Future<Output = Result<Listing<Self::Actual>, ResourceError>> + Send;

    /// The result of [`Self::fetch`], read once for each observation.
    fn list(
        cx: &Context,
    ) -> impl Future<Output = Result<Listing<Self::Actual>, ResourceError>> + Send {
        async {
            let listing = cx
                .listings()
                .get_or_fetch(Self::KIND.as_str(), Self::fetch(cx))
                .await?;
            Ok((*listing).clone())
        }
    }

    /// Which resource `actual` is, and its phase.
    fn identify(actual: &Self::Actual) -> Identity;

    /// What shows that the stack owns `actual`, beside its tags; `None` if its name is unique, or it is a part of what is.
    fn claim(_stack: &str, _actual: &Self::Actual) -> Option<Claim> {
        None
    }

    /// Reads the current phase of `actual`; `None` if it no longer exists. It is polled while the
    /// resource is pending, so a kind whose listing takes many calls reads less here.
    fn phase(
        cx: &Context,
        actual: &Self::Actual,
    ) -> impl Future<Output = Result<Option<Phase>, ResourceError>> + Send {
        async move {
            let wanted = Self::identify(actual);
            let listing = Self::list(cx).await?;
            let mut all = listing.owned.iter().map(Self::identify);
            let is_it = |found: &Identity| {
                found.id == wanted.id && found.output.physical_id == wanted.output.physical_id
            };
            Ok(all.find(is_it).map(|found| found.phase))
        }
    }

    /// Takes the next step of the deletion; called again until the listing does not show the resource
    /// any more.
    fn delete(
        cx: &Context,
        actual: &Self::Actual,
    ) -> impl Future<Output = Result<(), ResourceError>> + Send;

    /// Takes out of the resource what would be lost with it, before anything that it depends on is changed. Called before a
    /// resource is deleted by `up`.
    fn empty(
        _cx: &Context,
        _actual: &Self::Actual,
    ) -> impl Future<Output = Result<(), ResourceError>> + Send {
        async { Ok(()) }
    }

    /// Detects another owner's resource where the listing cannot. Called before the resource is changed
    /// or deleted.
    fn unmanaged(
        _cx: &Context,
        _actual: &Self::Actual,
    ) -> impl Future<Output = Result<Option<Unmanaged>, ResourceError>> + Send {
        async { Ok(None) }
    }
}

/// A desired resource: its desired state and the calls to reach it.
pub trait Resource: Send + Sync + 'static {
    /// The kind of the resource.
    type Kind: ResourceKind;

    /// The name within the kind.
    fn name(&self) -> &str;

    /// The resources that must exist before this one is created or updated. [`Context::output`] returns
    /// the outputs of these only.
    fn needs(&self) -> Vec<LogicalId>;

    /// The differences. Pure: reads only its arguments and the outputs of its needs.
    fn diff(&self, cx: &Context, actual: &<Self::Kind as ResourceKind>::Actual) -> Diff;

    /// Waits for what a change needs outside the account, before the account is changed: a build or a
    /// verification. It changes nothing, so it may be cancelled. `diff` contains the changes of an
    /// update; `None` before a create.
    fn prepare(
        &self,
        _cx: &Context,
        _diff: Option<&Diff>,
    ) -> impl Future<Output = Result<(), ResourceError>> + Send {
        async { Ok(()) }
    }

    /// Creates the resource with its tags, in one call, and returns without waiting. `diff` then shows
    /// what else is needed.
    fn create(&self, cx: &Context) -> impl Future<Output = Result<(), ResourceError>> + Send;

    /// Makes the changes in `diff`.
    fn update(
        &self,
        cx: &Context,
        actual: &<Self::Kind as ResourceKind>::Actual,
        diff: &Diff,
    ) -> impl Future<Output = Result<(), ResourceError>> + Send;

    /// Detaches the resource from what will be replaced, if it is not replaced itself. Returns whether
    /// there was anything to detach.
    fn detach(
        &self,
        _cx: &Context,
        _actual: &<Self::Kind as ResourceKind>::Actual,
    ) -> impl Future<Output = Result<bool, ResourceError>> + Send {
        async { Ok(false) }
    }
}

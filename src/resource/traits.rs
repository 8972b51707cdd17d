//! What a kind of resource implements: [`ResourceKind`] for what the account holds, [`Resource`] for what is desired.

use std::future::Future;

use super::context::Context;
use super::diff::Diff;
use super::error::ResourceError;
use super::state::{Identity, Listing, Phase, Unmanaged};
use crate::id::LogicalId;
use crate::kind::Kind;

/// What a kind can do with what the account holds, without knowing what is desired.
pub trait ResourceKind: Send + Sync + 'static {
    /// The state as the account has it.
    type Actual: Clone + Send + Sync + 'static;
    /// Its name, order and waits.
    const KIND: Kind;

    /// Everything of this kind that the stack owns, and what blocks its names. One listing, whatever the number.
    fn fetch(
        cx: &Context,
    ) -> impl Future<Output = Result<Listing<Self::Actual>, ResourceError>> + Send;

    /// What [`Self::fetch`] returns, read once for each observation.
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

    /// How `actual` stands by now; `None` where it is gone. Asked again and again while it is pending, so a kind whose listing
    /// takes many calls asks for less.
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

    /// Makes the next step towards its absence; called again until the listing does not show it any more.
    fn delete(
        cx: &Context,
        actual: &Self::Actual,
    ) -> impl Future<Output = Result<(), ResourceError>> + Send;

    /// Tells somebody else's from the stack's where the listing cannot. Asked before it is changed or deleted.
    fn foreign(
        _cx: &Context,
        _actual: &Self::Actual,
    ) -> impl Future<Output = Result<Option<Unmanaged>, ResourceError>> + Send {
        async { Ok(None) }
    }
}

/// A desired resource: what it should be and how to get there.
pub trait Resource: Send + Sync + 'static {
    /// Its kind.
    type Kind: ResourceKind;

    /// The name within the kind.
    fn name(&self) -> &str;

    /// What must be there before this one is worked on. [`Context::output`] answers for these only.
    fn needs(&self) -> Vec<LogicalId>;

    /// What differs. Pure: reads only its arguments and the outputs of what it needs.
    fn diff(&self, cx: &Context, actual: &<Self::Kind as ResourceKind>::Actual) -> Diff;

    /// Waits for what a change needs beside the account, before the account is touched: a build, a proof. It changes
    /// nothing, so it may be broken off. `diff` is what an update is to change, `None` before a create.
    fn prepare(
        &self,
        _cx: &Context,
        _diff: Option<&Diff>,
    ) -> impl Future<Output = Result<(), ResourceError>> + Send {
        async { Ok(()) }
    }

    /// Makes it with its tags, in one call, and returns without waiting. What more it needs, `diff` then shows.
    fn create(&self, cx: &Context) -> impl Future<Output = Result<(), ResourceError>> + Send;

    /// Changes what `diff` names.
    fn update(
        &self,
        cx: &Context,
        actual: &<Self::Kind as ResourceKind>::Actual,
        diff: &Diff,
    ) -> impl Future<Output = Result<(), ResourceError>> + Send;

    /// Lets go of what is about to be replaced without being replaced itself. Returns whether there was anything to do.
    fn detach(
        &self,
        _cx: &Context,
        _actual: &<Self::Kind as ResourceKind>::Actual,
    ) -> impl Future<Output = Result<bool, ResourceError>> + Send {
        async { Ok(false) }
    }
}

//! Removes the types of resources and kinds for the engine, which does not depend on AWS.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use futures::future::BoxFuture;

use super::error::ResourceError;
use super::{Context, Diff, Identity, Phase, Resource, ResourceKind, Unmanaged, claims, neighbors};
use crate::id::LogicalId;
use crate::kind::Kind;

/// A resource of one kind in the account.
pub struct Live {
    pub identity: Identity,
    actual: Box<dyn Any + Send + Sync>,
}

#[cfg(test)]
impl Live {
    /// A resource of which only the identity is needed.
    pub fn of(identity: Identity) -> Self {
        Self {
            identity,
            actual: Box::new(()),
        }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity.fmt(f)
    }
}

/// The actual state of a desired resource, with the differences.
#[derive(Debug)]
pub struct Observed {
    pub found: Live,
    pub diff: Diff,
}

/// A desired resource without its type.
pub trait DynResource: Send + Sync {
    fn id(&self) -> LogicalId;
    fn needs(&self) -> Vec<LogicalId>;
    fn kind(&self) -> &'static dyn DynKind;
    /// Finds the resource and compares it. Two live matches are an error that names both.
    fn look<'a>(
        &'a self,
        cx: &'a Context,
    ) -> BoxFuture<'a, Result<Option<Observed>, ResourceError>>;
    fn prepare<'a>(
        &'a self,
        cx: &'a Context,
        look: Option<&'a Observed>,
    ) -> BoxFuture<'a, Result<(), ResourceError>>;
    fn create<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a, Result<(), ResourceError>>;
    fn update<'a>(
        &'a self,
        cx: &'a Context,
        look: &'a Observed,
    ) -> BoxFuture<'a, Result<(), ResourceError>>;
    fn detach<'a>(
        &'a self,
        cx: &'a Context,
        look: &'a Observed,
    ) -> BoxFuture<'a, Result<bool, ResourceError>>;
}

/// The resources of a kind in the account: those of the stack, and those that block its names.
pub type DynListing = (Vec<Live>, Vec<Unmanaged>);

/// A kind without its type.
pub trait DynKind: Send + Sync {
    fn kind(&self) -> Kind;
    fn list<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a, Result<DynListing, ResourceError>>;
    /// Reads the current phase of a resource that was found; `None` if it no longer exists.
    fn phase<'a>(
        &'a self,
        cx: &'a Context,
        found: &'a Live,
    ) -> BoxFuture<'a, Result<Option<Phase>, ResourceError>>;
    fn delete<'a>(
        &'a self,
        cx: &'a Context,
        found: &'a Live,
    ) -> BoxFuture<'a, Result<(), ResourceError>>;
    fn empty<'a>(
        &'a self,
        cx: &'a Context,
        found: &'a Live,
    ) -> BoxFuture<'a, Result<(), ResourceError>>;
    fn unmanaged<'a>(
        &'a self,
        cx: &'a Context,
        found: &'a Live,
    ) -> BoxFuture<'a, Result<Option<Unmanaged>, ResourceError>>;
}

/// Represents the kind `K` as a value.
struct Typed<K>(PhantomData<fn() -> K>);

/// The kind `K` without its type.
pub(super) const fn any<K: ResourceKind>() -> &'static dyn DynKind {
    const { &Typed::<K>(PhantomData) }
}

fn typed<A: 'static>(actual: &(dyn Any + Send + Sync)) -> Result<&A, ResourceError> {
    actual
        .downcast_ref()
        .ok_or_else(|| ResourceError::Bug("a resource was given to another kind".to_owned()))
}

impl<K: ResourceKind> DynKind for Typed<K> {
    fn kind(&self) -> Kind {
        K::KIND
    }

    fn list<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a, Result<DynListing, ResourceError>> {
        Box::pin(async move {
            let settled = claims::settled::<K>(cx).await?;
            let owned = settled
                .owned
                .into_iter()
                .map(|(identity, actual)| Live {
                    identity,
                    actual: Box::new(actual),
                })
                .collect();
            Ok((owned, settled.unmanaged))
        })
    }

    fn phase<'a>(
        &'a self,
        cx: &'a Context,
        found: &'a Live,
    ) -> BoxFuture<'a, Result<Option<Phase>, ResourceError>> {
        Box::pin(async move { K::phase(cx, typed(&*found.actual)?).await })
    }

    fn delete<'a>(
        &'a self,
        cx: &'a Context,
        found: &'a Live,
    ) -> BoxFuture<'a, Result<(), ResourceError>> {
        Box::pin(async move {
            match K::delete(cx, typed(&*found.actual)?).await {
                Err(ResourceError::Aws(refusal)) => {
                    Err(neighbors::explain(cx, &found.identity, refusal).await)
                }
                deleted => deleted,
            }
        })
    }

    fn empty<'a>(
        &'a self,
        cx: &'a Context,
        found: &'a Live,
    ) -> BoxFuture<'a, Result<(), ResourceError>> {
        Box::pin(async move { K::empty(cx, typed(&*found.actual)?).await })
    }

    fn unmanaged<'a>(
        &'a self,
        cx: &'a Context,
        found: &'a Live,
    ) -> BoxFuture<'a, Result<Option<Unmanaged>, ResourceError>> {
        Box::pin(async move { K::unmanaged(cx, typed(&*found.actual)?).await })
    }
}

impl<R: Resource> DynResource for R {
    fn id(&self) -> LogicalId {
        LogicalId::new(R::Kind::KIND, self.name())
    }

    fn needs(&self) -> Vec<LogicalId> {
        Resource::needs(self)
    }

    fn kind(&self) -> &'static dyn DynKind {
        any::<R::Kind>()
    }

    fn look<'a>(
        &'a self,
        cx: &'a Context,
    ) -> BoxFuture<'a, Result<Option<Observed>, ResourceError>> {
        Box::pin(async move {
            let id = DynResource::id(self);
            let scoped = cx.scoped(&id, Resource::needs(self));
            let listing = claims::settled::<R::Kind>(cx).await?;
            if let Some(unmanaged) = listing
                .unmanaged
                .iter()
                .find(|unmanaged| unmanaged.id == id)
            {
                let text = format!(
                    "{} already exists and {}",
                    unmanaged.physical_id, unmanaged.why
                );
                return Err(ResourceError::NotManaged(text));
            }
            let mut matches: Vec<_> = listing
                .owned
                .into_iter()
                .filter(|(identity, _)| identity.id == id)
                .collect();
            // A paginated listing may show a resource twice while others are created.
            let mut shown = BTreeSet::new();
            matches.retain(|(identity, _)| shown.insert(identity.output.physical_id.clone()));
            // A resource that is being deleted does not replace the one that stays.
            if matches.len() > 1 {
                matches.retain(|(identity, _)| !matches!(identity.phase, Phase::Deleting(_)));
            }
            if matches.len() > 1 {
                let ids: Vec<_> = matches
                    .iter()
                    .map(|(identity, _)| identity.output.physical_id.as_str())
                    .collect();
                let text = format!(
                    "{} carry the tags of {id}: delete all but one by hand",
                    ids.join(" and ")
                );
                return Err(ResourceError::NotManaged(text));
            }
            let Some((identity, actual)) = matches.pop() else {
                return Ok(None);
            };
            let diff = self.diff(&scoped, &actual);
            Ok(Some(Observed {
                found: Live {
                    identity,
                    actual: Box::new(actual),
                },
                diff,
            }))
        })
    }

    fn prepare<'a>(
        &'a self,
        cx: &'a Context,
        look: Option<&'a Observed>,
    ) -> BoxFuture<'a, Result<(), ResourceError>> {
        Box::pin(async move {
            let scoped = cx.scoped(&DynResource::id(self), Resource::needs(self));
            Resource::prepare(self, &scoped, look.map(|look| &look.diff)).await
        })
    }

    fn create<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a, Result<(), ResourceError>> {
        Box::pin(async move {
            let scoped = cx.scoped(&DynResource::id(self), Resource::needs(self));
            Resource::create(self, &scoped).await
        })
    }

    fn update<'a>(
        &'a self,
        cx: &'a Context,
        look: &'a Observed,
    ) -> BoxFuture<'a, Result<(), ResourceError>> {
        Box::pin(async move {
            let scoped = cx.scoped(&DynResource::id(self), Resource::needs(self));
            Resource::update(self, &scoped, typed(&*look.found.actual)?, &look.diff).await
        })
    }

    fn detach<'a>(
        &'a self,
        cx: &'a Context,
        look: &'a Observed,
    ) -> BoxFuture<'a, Result<bool, ResourceError>> {
        Box::pin(async move { Resource::detach(self, cx, typed(&*look.found.actual)?).await })
    }
}

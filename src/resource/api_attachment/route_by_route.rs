//! Routes that take effect one at a time, because the stage deploys automatically and cannot be frozen.
//!
//! One route is changed first and proved with real requests before the others are. There is no deployment to return to: what
//! was changed is recorded, and changed back.

use super::actual::Actual;
use super::protect::protect;
use super::record::{self, AttachmentState};
use super::restore::restore_routes;
use super::route_marks::Marks;
use super::{ApiAttachment, automatic, still_served};
use crate::api_gateway::change::{restore_method, update_authorizer};
use crate::api_gateway::{ApiTarget, AuthorizerSettings, Method};
use crate::resource::{Context, ResourceError, RouteVerdict, api_authorizer};

/// What was restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    pub routes: usize,
    /// Whether the authorizer has its former settings again.
    pub settings: bool,
}

impl Restored {
    /// The sentence about it.
    pub fn describe(self) -> String {
        let settings = "the former settings of the authorizer are restored";
        let routes = match self.routes {
            0 if self.settings => return settings.to_owned(),
            0 => return "nothing was left to restore".to_owned(),
            1 => "1 route",
            routes => &format!("{routes} routes"),
        };
        match (self.settings, self.routes) {
            (true, _) => format!("{routes} and {settings}"),
            (false, 1) => format!("{routes} is restored"),
            (false, _) => format!("{routes} are restored"),
        }
    }
}

impl ApiAttachment {
    /// Records `routes`, changes and proves the first one, and then changes one that API Gateway may refuse to change. Returns
    /// those that are left to change.
    ///
    /// # Errors
    /// The errors of the services, or the answers that harm callers: then what is not proved is restored. After a refusal, what
    /// this has changed is restored.
    pub(super) async fn change_first<'a>(
        &self,
        cx: &Context,
        actual: &Actual,
        mut routes: Vec<&'a Method>,
        authorizer_id: &str,
    ) -> Result<Vec<&'a Method>, ResourceError> {
        routes.sort_by_key(|route| automatic::order(route));
        let mut pending: Vec<_> = pending(actual).collect();
        pending.sort_by_key(|route| automatic::order(route));
        self.note_routes(cx, pending.iter().chain(&routes).copied())
            .await?;
        let first = self
            .prove_first(cx, actual, &pending, &mut routes, authorizer_id)
            .await?;
        // Before the others, so that a refusal leaves little to restore.
        let (managed, rest): (Vec<_>, Vec<_>) =
            routes.into_iter().partition(|route| route.is_managed);
        let mut changed: Vec<_> = first.into_iter().collect();
        for route in managed {
            self.protect_or_restore(cx, actual, route, &changed, authorizer_id)
                .await?;
            changed.push(route);
        }
        Ok(rest)
    }

    /// Changes and proves the first one of `routes`, unless one of `pending` can be proved. Returns the one that was changed.
    async fn prove_first<'a>(
        &self,
        cx: &Context,
        actual: &Actual,
        pending: &[&Method],
        routes: &mut Vec<&'a Method>,
        authorizer_id: &str,
    ) -> Result<Option<&'a Method>, ResourceError> {
        let Some(proof) = &cx.options().route_proof else {
            if routes.len() > 1 {
                let text = "the routes change one at a time, and the first one is not verified before the others (--no-verify)";
                cx.notice(&actual.id, text);
            }
            return Ok(None);
        };
        let labels = |routes: &[&Method]| routes.iter().map(|route| route.label()).collect();
        let labels: (Vec<_>, Vec<_>) = (labels(pending), labels(routes));
        // A run that was killed may have left routes that do not work.
        if let Some(index) = proof.choose(&labels.0).filter(|_| !routes.is_empty()) {
            let first = &labels.0[index];
            return match proof.prove(first).await? {
                RouteVerdict::Harms(harm) => {
                    let restored = restore_unproved(cx, &self.api, actual).await;
                    Err(harmful(cx, &self.api, &harm, restored).await)
                }
                verdict => {
                    tell(cx, actual, first, &verdict);
                    Ok(None)
                }
            };
        }
        let Some(index) = proof.choose(&labels.1) else {
            if routes.len() > 1 {
                let text = "the routes change one at a time, and no request surely reaches one of them, so none is verified before the others";
                cx.notice(&actual.id, text);
            }
            return Ok(None);
        };
        let first = routes.remove(index);
        self.protect_or_restore(cx, actual, first, &[], authorizer_id)
            .await?;
        match proof.prove(&labels.1[index]).await? {
            RouteVerdict::Harms(harm) => {
                let restored = restore_first(cx, &self.api, actual, first, authorizer_id).await;
                return Err(harmful(cx, &self.api, &harm, restored).await);
            }
            verdict if !routes.is_empty() => tell(cx, actual, &first.label(), &verdict),
            _ => {}
        }
        Ok(Some(first))
    }

    /// Protects a route. If API Gateway refuses that, the API is as before this run: the routes `changed` are restored.
    async fn protect_or_restore(
        &self,
        cx: &Context,
        actual: &Actual,
        route: &Method,
        changed: &[&Method],
        authorizer_id: &str,
    ) -> Result<(), ResourceError> {
        let protected = protect(cx, &self.api, route, authorizer_id).await;
        let Err(ResourceError::Blocked { what, hint }) = protected else {
            return protected;
        };
        let restored = self
            .restore_changed(cx, actual, changed, authorizer_id)
            .await;
        let what = match restored {
            Ok(_) if changed.is_empty() => what,
            restored => format!("{what}; {}", end(cx, &self.api, restored).await),
        };
        Err(ResourceError::Blocked { what, hint })
    }

    /// Restores the routes that this run has changed, and the record of what is verified.
    async fn restore_changed(
        &self,
        cx: &Context,
        actual: &Actual,
        changed: &[&Method],
        authorizer_id: &str,
    ) -> Result<Restored, ResourceError> {
        for before in changed.iter().rev() {
            let now = before.asking(authorizer_id);
            restore_method(cx, self.api.api(), before, &now).await?;
        }
        let former = actual.record.head.clone().unwrap_or_default();
        record::update_head(&cx.fresh(), &self.api, |head| AttachmentState {
            unverified: former.unverified,
            unverified_routes: former.unverified_routes,
            ..head
        })
        .await?;
        Ok(Restored {
            routes: changed.len(),
            settings: false,
        })
    }

    /// Records that these routes take effect one at a time: there is no deployment to roll back to.
    async fn note_routes<'a>(
        &self,
        cx: &Context,
        routes: impl Iterator<Item = &'a Method>,
    ) -> Result<(), ResourceError> {
        let unverified_routes = Marks::of(routes);
        record::update_head(&cx.fresh(), &self.api, |head| AttachmentState {
            previous_deployment: None,
            last_deployment: None,
            unverified: true,
            unverified_routes,
            as_before: Vec::new(),
            ..head
        })
        .await?;
        self.publication.note_made(&self.api);
        Ok(())
    }
}

/// The routes with this stack's authorizer that a former run changed one at a time and that were not verified since.
fn pending(actual: &Actual) -> impl Iterator<Item = &Method> {
    let head = actual.record.head.as_ref();
    let is_pending =
        move |route: &&Method| head.is_some_and(|head| head.unverified_routes.contains(route));
    actual.taken().filter(is_pending)
}

/// Tells that the other routes change after this one.
fn tell(cx: &Context, actual: &Actual, route: &str, verdict: &RouteVerdict) {
    let text = match verdict {
        RouteVerdict::Works => format!("{route} answers as expected, so the other routes change"),
        _ => {
            format!("what {route} answers proves nothing, and the other routes change all the same")
        }
    };
    cx.notice(&actual.id, text);
}

/// The error of a run whose first route harms callers. `restored`: whether what was changed is restored in the draft.
async fn harmful(
    cx: &Context,
    target: &ApiTarget,
    harm: &str,
    restored: Result<Restored, ResourceError>,
) -> ResourceError {
    let end = end(cx, target, restored).await;
    ResourceError::Verification {
        what: format!("the API does not behave as expected after the change: {harm}; {end}"),
        hint: Some("`threescale-gw status` and the log group of the authorizer tell more; then run `threescale-gw up` again".to_owned()),
    }
}

/// What the API is like after a run that ends before the other routes. `restored`: as for [`harmful`].
async fn end(
    cx: &Context,
    target: &ApiTarget,
    restored: Result<Restored, ResourceError>,
) -> String {
    let restored = match restored {
        Ok(restored) => restored.describe(),
        Err(error) => return format!("what was changed could not be restored: {error}"),
    };
    match still_served::look(cx, target).await {
        Ok(None) => format!("{restored}, and no other route was changed"),
        Ok(Some(served)) => format!("{restored}, but {}", served.describe()),
        Err(error) => {
            format!("{restored}, and it is not known whether the stage serves that: {error}")
        }
    }
}

/// Restores the route that this run has protected, and what else took effect at once. `before`: as the route was.
async fn restore_first(
    cx: &Context,
    target: &ApiTarget,
    actual: &Actual,
    before: &Method,
    authorizer_id: &str,
) -> Result<Restored, ResourceError> {
    let now = before.asking(authorizer_id);
    restore_method(cx, target.api(), before, &now).await?;
    let rest = restore_unproved(cx, target, actual).await?;
    Ok(Restored {
        routes: rest.routes + 1,
        ..rest
    })
}

/// Restores what took effect at once and was not verified since: routes, newest first, and then the settings of the
/// authorizer.
///
/// # Errors
/// The errors of the services.
pub(super) async fn restore_unproved(
    cx: &Context,
    target: &ApiTarget,
    actual: &Actual,
) -> Result<Restored, ResourceError> {
    let Some(head) = &actual.record.head else {
        return Ok(Restored::default());
    };
    let is_meant = |route: &Method| head.unverified_routes.contains(route);
    let routes = restore_routes(cx, actual, is_meant).await?;
    let former = head
        .former_source
        .as_ref()
        .zip(actual.authorizer_id.as_ref());
    if let Some((source, id)) = former {
        let settings = AuthorizerSettings::of(target.protocol, source);
        update_authorizer(cx, target.api(), id, &api_authorizer::uri(cx), &settings).await?;
    }
    record::update_head(&cx.fresh(), target, |head| AttachmentState {
        unverified_routes: Marks::default(),
        former_source: None,
        ..head
    })
    .await?;
    Ok(Restored {
        routes,
        settings: former.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_restored_is_told() {
        let told = |routes, settings| Restored { routes, settings }.describe();
        assert_eq!(told(0, false), "nothing was left to restore");
        assert_eq!(told(1, false), "1 route is restored");
        assert_eq!(told(2, false), "2 routes are restored");
        let settings = "the former settings of the authorizer are restored";
        assert_eq!(told(0, true), settings);
        assert_eq!(told(2, true), format!("2 routes and {settings}"));
    }
}

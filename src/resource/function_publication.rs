//! The actual published state of a function: its versions, its aliases, and the live version.

use std::sync::Arc;

use futures::future::try_join_all;

use super::function::{self, Functions};
use super::function_publishing::{aliases, is_pending, leads_to, move_alias, published};
use super::function_versions::{self as versions, Alias, Versions};
use super::{Context, Listing, ResourceError, ResourceKind, parameter};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::names::LIVE;
use crate::notice::NoticeCode;

/// The published state of a function.
#[derive(Debug, Clone)]
pub struct Publication {
    pub(super) id: LogicalId,
    pub(super) function: function::Actual,
    pub(super) versions: Versions,
    /// Every alias, including those of other users.
    pub(super) aliases: Vec<String>,
    /// A version that is not live yet and not ready to be invoked.
    pub(super) pending: Option<u64>,
}

impl Publication {
    async fn load(cx: &Context, function: function::Actual) -> Result<Self, ResourceError> {
        let (published, aliases) =
            tokio::try_join!(published(cx, &function.name), aliases(cx, &function.name))?;
        let live = aliases.iter().find(|alias| alias.name() == Some(LIVE));
        let held = aliases
            .iter()
            .filter(|alias| alias.name() != Some(LIVE))
            .flat_map(leads_to)
            .collect();
        let versions = Versions {
            latest: function.content.clone(),
            published,
            alias: live.map(|alias| Alias {
                version: alias.function_version().unwrap_or_default().to_owned(),
                previous: versions::previous(alias.description().unwrap_or_default()),
                is_split: leads_to(alias).len() > 1,
            }),
            held,
        };
        let mut actual = Self {
            id: LogicalId::new(Kind::FunctionAlias, function.id.name.clone()),
            function,
            versions,
            aliases: aliases
                .iter()
                .filter_map(|alias| alias.name().map(str::to_owned))
                .collect(),
            pending: None,
        };
        // The listing does not include whether a version is ready; the live one is.
        let live = actual.versions.live().map_or(0, |live| live.number);
        let newest = actual.versions.published.last();
        if let Some(newest) = newest.filter(|newest| newest.number > live) {
            let number = newest.number;
            actual.pending = is_pending(cx, &actual.function.name, number)
                .await?
                .then_some(number);
        }
        Ok(actual)
    }

    async fn ask(cx: &Context) -> Result<Listing<Publication>, ResourceError> {
        let functions = Functions::list(cx).await?.owned;
        let loads = functions
            .into_iter()
            .map(|function| Self::load(cx, function));
        Ok(Listing {
            owned: try_join_all(loads).await?,
            unmanaged: Vec::new(),
        })
    }

    /// Lists the published state of every function of the stack.
    pub(super) async fn all(cx: &Context) -> Result<Arc<Listing<Publication>>, ResourceError> {
        cx.listings()
            .get_or_fetch("function aliases", Self::ask(cx))
            .await
    }

    /// The security groups of every version, and of the function itself if it is invoked.
    pub(super) fn security_groups(&self) -> impl Iterator<Item = &str> {
        let versions = &self.versions;
        let latest = versions.live().is_none().then_some(&versions.latest);
        let published = versions.published.iter().map(|version| &version.content);
        let groups = published.chain(latest).flat_map(|one| &one.security_groups);
        groups.map(String::as_str)
    }

    pub(super) async fn of(cx: &Context, name: &str) -> Result<Option<Self>, ResourceError> {
        let all = Self::all(cx).await?;
        Ok(all
            .owned
            .iter()
            .find(|actual| actual.id.name == name)
            .cloned())
    }
}

/// The version of the authorizer that the API invokes; `None` without an alias.
///
/// # Errors
/// The errors of the services.
pub async fn live_version(cx: &Context) -> Result<Option<String>, ResourceError> {
    let actual = Publication::of(cx, function::NAMES[0]).await?;
    Ok(actual.and_then(|actual| Some(actual.versions.alias?.version)))
}

/// The settings of the authorizer that the API invokes.
///
/// # Errors
/// The errors of the services.
pub async fn live_settings(cx: &Context) -> Result<Option<String>, ResourceError> {
    let actual = Publication::of(cx, function::NAMES[0]).await?;
    Ok(actual.and_then(|actual| {
        let live = actual.versions.live_content()?;
        live.environment.get(parameter::SETTINGS).cloned()
    }))
}

/// Whether the authorizer that the API invokes denies only requests that pass a limit.
///
/// # Errors
/// The errors of the services.
pub async fn denies_limits_only(cx: &Context) -> Result<bool, ResourceError> {
    let settings = live_settings(cx).await?;
    Ok(settings.is_some_and(|settings| versions::denies_limits_only(&settings)))
}

/// Whether the authorizer that the API invokes observes, that is, allows every request; `None` if there is none.
///
/// # Errors
/// The errors of the services.
pub async fn observes(cx: &Context) -> Result<Option<bool>, ResourceError> {
    let actual = Publication::of(cx, function::NAMES[0]).await?;
    Ok(actual.and_then(|actual| {
        let live = actual.versions.live_content()?;
        Some(versions::observes(&live.environment))
    }))
}

/// Whether a function or its live version has a KMS key for its environment.
///
/// # Errors
/// The errors of the services.
pub async fn has_kms_key(cx: &Context) -> Result<bool, ResourceError> {
    let all = Publication::all(cx).await?;
    let mut contents = all.owned.iter().flat_map(|one| {
        let versions = &one.versions;
        versions
            .live_content()
            .into_iter()
            .chain([&versions.latest])
    });
    Ok(contents.any(|content| content.kms_key.is_some()))
}

/// The live version of the reporter; `None` without an alias.
///
/// # Errors
/// The errors of the services.
pub(super) async fn live_reporter(cx: &Context) -> Result<Option<String>, ResourceError> {
    let actual = Publication::of(cx, function::NAMES[1]).await?;
    Ok(actual.and_then(|actual| Some(actual.versions.alias?.version)))
}

/// Whether the live reporter is outside every network.
///
/// # Errors
/// The errors of the services.
pub(super) async fn is_reporter_detached(cx: &Context) -> Result<bool, ResourceError> {
    let actual = Publication::of(cx, function::NAMES[1]).await?;
    let live = actual.as_ref().and_then(|actual| actual.versions.live());
    Ok(live.is_some_and(|live| live.content.subnets.is_empty()))
}

/// A function whose alias moved back to the previous version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedBack {
    /// `authorizer` or `reporter`.
    pub name: String,
    pub from: String,
    pub to: String,
}

impl MovedBack {
    /// Describes the move for reports.
    pub fn describe(&self) -> String {
        let Self { name, from, to } = self;
        format!("version {to} of the {name} is live again, in place of version {from}")
    }
}

/// What the stages still need of the live versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StillNeeded {
    /// A stage refuses requests without a key, so no version that observes becomes live in place of one that does not.
    pub refuses_keyless: bool,
    /// A stage that was to be moved stays on its deployment, and asks for the credentials that the live version reads.
    pub stays: bool,
}

/// Moves the aliases back to the previously live versions, with one call each. An alias whose
/// previous version is unknown is not moved.
///
/// # Errors
/// The errors of the services.
pub async fn move_back(cx: &Context, needed: StillNeeded) -> Result<Vec<MovedBack>, ResourceError> {
    let cx = cx.fresh();
    let mut moved = Vec::new();
    for actual in &Publication::all(&cx).await?.owned {
        let (Some(alias), Some(to)) = (&actual.versions.alias, actual.versions.former()) else {
            continue;
        };
        let versions = &actual.versions;
        let kept = if needed.stays && versions.reads_fewer_places(to) {
            let why = "a stage could not be moved, and that version does not read the credentials that it asks for";
            Some((NoticeCode::StageStillAsks, why))
        } else if needed.refuses_keyless && versions.observes_again(to) {
            let why = "it observes, and the stage refuses requests without a key";
            Some((NoticeCode::StillObserves, why))
        } else {
            None
        };
        if let Some((code, why)) = kept {
            let name = &actual.id.name;
            let text = format!("version {to} of the {name} stays previous: {why}");
            cx.finding(&actual.id, code, text);
            continue;
        }
        move_alias(&cx, &actual.function.name, to, None).await?;
        moved.push(MovedBack {
            name: actual.id.name.clone(),
            from: alias.version.clone(),
            to: to.to_string(),
        });
    }
    Ok(moved)
}

/// Whether the authorizer's alias points to a transition version, which is used only while the
/// deployment changes.
///
/// # Errors
/// The errors of the services.
pub async fn is_in_transition(cx: &Context) -> Result<bool, ResourceError> {
    let actual = Publication::of(cx, function::NAMES[0]).await?;
    Ok(actual.is_some_and(|actual| {
        let live = actual.versions.live();
        live.is_some_and(|live| live.is_transition)
    }))
}

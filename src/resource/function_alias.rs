//! The alias `live` of a function, which the API and the schedule invoke, and the published
//! versions it points to.
//!
//! New code and settings change the function itself, which callers do not invoke. They are
//! published as a version, the version passes its self-test, and only then the alias moves, in one
//! call. Aliases and versions cannot have tags: they are part of the function, which has them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::api_attachment::served::{Served, served};
use super::function::{self, Content, Function, Functions};
use super::function_publication::Publication;
use super::function_publishing::{
    create_alias, delete_alias, delete_version, is_pending, move_alias, publish,
};
use super::function_versions::{CONFIGURED, TRANSITION, Version, enforce, observes, transition};
use super::parameter::{CACHE_PARAMETER, SETTINGS, is_own_cache};
use super::secret_encryption::Outdated;
use super::{
    Context, Diff, Field, Identity, List, Listing, NEW, Phase, Resource, ResourceError,
    ResourceKind, former_rules, last_delivery, parameter, secret_encryption, usage,
};
use crate::api_gateway::AuthorizerSettings;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::names::LIVE;
use crate::notice::NoticeCode;
use crate::resource::health_check::SelfTestGate;

const FUNCTION: Field = Field::Property("function");
/// Of a secret.
const KEY: &str = "KMS key of";
const NEXT_VERSION: Field = Field::Property("next version");
const OLD_PARAMETERS: Field = Field::Property("old parameters");
const OLD_VERSIONS: Field = Field::Property("old versions");
const TRAFFIC: Field = Field::Property("traffic");
const TEMPORARY_VERSION: Field = Field::Property("temporary version");
const VERSION: Field = Field::Property("version");

/// The actual aliases and versions of a function.
#[derive(Debug, Clone)]
pub struct Actual {
    publication: Publication,
    /// How the stages that use the authorizer do it.
    served: Vec<Served>,
    /// Parameters that only deleted versions have read.
    unread: Vec<String>,
    /// Secrets with another key than the desired one.
    outdated: Vec<Outdated>,
}

/// Aliases of Lambda functions.
#[derive(Debug)]
pub struct FunctionAliases;

/// Makes the alias point to one version only.
async fn point_to(cx: &Context, actual: &Actual, version: u64) -> Result<(), ResourceError> {
    let previous = actual.publication.versions.former_of(version);
    move_alias(cx, &actual.publication.function.name, version, previous).await
}

impl ResourceKind for FunctionAliases {
    type Actual = Actual;
    const KIND: Kind = Kind::FunctionAlias;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let all = Publication::all(cx).await?;
        let is_there =
            |one: &&Publication| !one.aliases.is_empty() || !one.versions.published.is_empty();
        let unread = unread(cx, &all.owned).await?;
        let outdated = secret_encryption::outdated(cx).await?;
        let mut owned = Vec::new();
        for publication in all.owned.iter().filter(is_there).cloned() {
            // Without an alias, no version is live whose credentials the stage may still request.
            let is_live = publication.versions.alias.is_some();
            let mut asking = Vec::new();
            if is_live && publication.id.name == function::NAMES[0] {
                for target in cx.stages() {
                    asking.extend(served(cx, target).await?);
                }
            }
            owned.push(Actual {
                publication,
                served: asking,
                unread: unread.clone(),
                outdated: outdated.clone(),
            });
        }
        Ok(Listing {
            owned,
            unmanaged: Vec::new(),
        })
    }

    fn identify(actual: &Actual) -> Identity {
        let phase = match (
            &actual.publication.function.phase,
            actual.publication.pending,
        ) {
            (Phase::Pending(what), _) => Phase::Pending(what.clone()),
            (_, Some(version)) => Phase::Pending(format!("version {version} pending")),
            _ => Phase::Ready,
        };
        let physical_id = format!("{}:{LIVE}", actual.publication.function.name);
        Identity::new(actual.publication.id.clone(), phase, physical_id)
    }

    async fn phase(cx: &Context, actual: &Actual) -> Result<Option<Phase>, ResourceError> {
        if let Phase::Pending(_) = actual.publication.function.phase {
            return Functions::phase(cx, &actual.publication.function).await;
        }
        let pending = match actual.publication.pending {
            Some(version) => is_pending(cx, &actual.publication.function.name, version).await?,
            None => false,
        };
        Ok(Some(match pending {
            true => Self::identify(actual).phase,
            false => Phase::Ready,
        }))
    }

    /// The usage in the cache that the reporter has not delivered yet.
    async fn empty(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        last_delivery::deliver(cx, &actual.publication).await
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let function = &actual.publication.function.name;
        for alias in &actual.publication.aliases {
            delete_alias(cx, function, alias).await?;
        }
        for version in &actual.publication.versions.published {
            delete_version(cx, function, version.number).await?;
        }
        Ok(())
    }
}

/// Paths of secrets that no remaining version reads and that the configuration does not name.
async fn unread(cx: &Context, all: &[Publication]) -> Result<Vec<String>, ResourceError> {
    let stays = all.iter().flat_map(|one| one.versions.in_use());
    let read: BTreeSet<_> = stays
        .flat_map(|content| parameter::read_by(&content.environment))
        .collect();
    let mut ours = Vec::new();
    for path in parameter::superseded(cx, &read).await? {
        if parameter::is_ours(cx, &path).await? {
            ours.push(path);
        }
    }
    Ok(ours)
}

/// The desired alias, and the version it should point to.
#[derive(Debug)]
pub struct FunctionAlias {
    /// The desired function.
    pub function: Arc<Function>,
    /// What a version needs for its decisions, in addition to the function itself.
    pub after: Vec<LogicalId>,
    pub goal: Goal,
}

/// What the alias should point to.
#[derive(Debug)]
pub enum Goal {
    /// The configured code and settings, after they pass the self-test.
    Proved {
        proof: Arc<SelfTestGate>,
        /// The desired authorizer settings of the API.
        asks: AuthorizerSettings,
    },
    /// The configured code and settings, after the authorizer's alias moved, and after these pass the
    /// self-test, too. This alias moves last, so it also removes the parameters that nothing reads any
    /// more, and gives the others the desired key.
    Following { proof: Arc<SelfTestGate> },
    /// The function that is currently invoked: a stack of a release without aliases gets one.
    Standing,
}

impl FunctionAlias {
    fn function_id(&self) -> LogicalId {
        LogicalId::new(Kind::Function, self.function.name)
    }

    /// The configured code and settings, once the function has its code.
    fn configured(&self, actual: &Actual) -> Content {
        Content {
            environment: self.function.environment.clone(),
            ..actual.publication.versions.latest.clone()
        }
    }

    /// Whether this is the configured code and settings.
    fn is_configured(&self, cx: &Context, actual: &Actual, content: &Content) -> bool {
        let mut with_content = actual.publication.function.clone();
        with_content.content = content.clone();
        let diff = self.function.diff(cx, &with_content);
        // Tags belong to the function and not to a version.
        let mut changes = diff.changes.iter();
        changes.all(|change| {
            matches!(change.field, Field::Tag(_)) || change.field == function::LAST_UPDATE
        })
    }

    /// The settings that serve callers while the stage still has the former deployment, if they are
    /// needed.
    fn transition(&self, actual: &Actual) -> Option<Content> {
        let Goal::Proved { asks, .. } = &self.goal else {
            return None;
        };
        if actual.served.is_empty() {
            return None;
        }
        let all = |is_true: &dyn Fn(&Served) -> bool| actual.served.iter().all(is_true);
        let live = &actual.publication.versions.live_content()?.environment;
        let mut content = self.configured(actual);
        let mut is_needed = false;
        if !all(&|served| served.is_settled(asks) && served.may_deny())
            && let Some(united) =
                transition(live.get(SETTINGS)?, content.environment.get(SETTINGS)?)
        {
            content.environment.insert(SETTINGS.to_owned(), united);
            is_needed = true;
        }
        // A version that observes behind an identity source would let bad keys pass and refuse requests without one.
        if observes(&content.environment)
            && !observes(live)
            && !all(&|served| served.asks_for(asks))
        {
            enforce(&mut content.environment);
            is_needed = true;
        }
        is_needed.then_some(content)
    }

    /// The contents that must be published, with their descriptions; the alias points to the last one.
    fn goals(&self, actual: &Actual) -> Vec<(Content, &'static str)> {
        if matches!(self.goal, Goal::Standing) {
            let live = actual.publication.versions.live_content();
            return vec![(
                live.unwrap_or(&actual.publication.versions.latest).clone(),
                CONFIGURED,
            )];
        }
        let mut goals = vec![(self.configured(actual), CONFIGURED)];
        goals.extend(self.transition(actual).map(|content| (content, TRANSITION)));
        goals
    }

    /// The version that observes and becomes live only after the deployment, if its self-test has not passed in this run: the
    /// API is not changed for a version that does not work.
    fn next_to_observe(&self, actual: &Actual, goals: &[(Content, &'static str)]) -> Option<u64> {
        let Goal::Proved { proof, .. } = &self.goal else {
            return None;
        };
        let [(configured, _), (transition, _)] = goals else {
            return None;
        };
        if !observes(&configured.environment) || observes(&transition.environment) {
            return None;
        }
        let number = actual.publication.versions.find(configured)?.number;
        (!proof.has_passed(self.function.name, number)).then_some(number)
    }

    /// The versions that are no longer needed.
    fn surplus(&self, actual: &Actual, goals: &[(Content, &'static str)]) -> Vec<u64> {
        if matches!(self.goal, Goal::Standing) {
            return Vec::new();
        }
        let contents: Vec<_> = goals.iter().map(|(content, _)| content).collect();
        actual.publication.versions.surplus(&contents)
    }

    /// If the next version uses another cache, lets the live one deliver what the former cache holds. The authorizer has
    /// moved already.
    async fn leave_cache(
        &self,
        cx: &Context,
        actual: &Actual,
        next: &Version,
    ) -> Result<(), ResourceError> {
        let Some(live) = actual.publication.versions.live() else {
            return Ok(());
        };
        let cache = |version: &Version| version.content.environment.get(CACHE_PARAMETER).cloned();
        let former = cache(live);
        let is_own = former.as_deref().is_some_and(is_own_cache);
        // A version that was detached from its network does not reach the stack's cache, which was emptied before.
        let is_detached = live.content.subnets.is_empty() && !is_own;
        if former.is_none() || former == cache(next) || is_detached {
            return Ok(());
        }
        let delivered = usage::deliver(cx, &actual.publication.id).await;
        match delivered {
            // The operator's own cache stays, with what it holds.
            Err(error) if is_own => {
                cx.finding(
                    &actual.publication.id,
                    NoticeCode::UsageLeft,
                    format!("usage stays in the former cache: {error}"),
                );
                Ok(())
            }
            delivered => delivered,
        }
    }

    fn unread<'a>(&self, actual: &'a Actual) -> &'a [String] {
        match self.goal {
            Goal::Following { .. } => &actual.unread,
            _ => &[],
        }
    }

    /// The secrets that stay and have another key than the desired one.
    fn outdated<'a>(&self, actual: &'a Actual) -> impl Iterator<Item = &'a Outdated> {
        let is_last = matches!(self.goal, Goal::Following { .. });
        let all = actual.outdated.iter().filter(move |_| is_last);
        all.filter(|secret| !actual.unread.contains(&secret.path))
    }
}

impl Resource for FunctionAlias {
    type Kind = FunctionAliases;

    fn name(&self) -> &str {
        self.function.name
    }

    fn needs(&self) -> Vec<LogicalId> {
        let mut needs = vec![self.function_id()];
        needs.extend(self.function.needs());
        needs.extend(self.after.clone());
        needs
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        if cx.known_output(&self.function_id()).is_none() {
            diff.field(FUNCTION, "(replaced)", NEW);
            return diff;
        }
        let alias = actual.publication.versions.alias.as_ref();
        let live = alias.map_or("(none)", |alias| alias.version.as_str());
        let is_standing = matches!(self.goal, Goal::Standing);
        if alias.is_some_and(|alias| alias.is_split) {
            diff.field(TRAFFIC, "split between versions", "one version");
        }
        let old = |diff: &mut Diff, goals: &[&Content]| {
            let surplus = match is_standing {
                true => Vec::new(),
                false => actual.publication.versions.surplus(goals),
            };
            if !surplus.is_empty() {
                diff.field(OLD_VERSIONS, List::new(surplus, ", "), "(deleted)");
            }
        };
        // Before the next version is live, it is open which of those that each version has for itself will stay.
        let unread = |diff: &mut Diff, is_settled: bool| {
            let unread = self.unread(actual);
            if !unread.is_empty() {
                diff.field(OLD_PARAMETERS, List::new(unread, ", "), "(deleted)");
            }
            let wanted = cx.options().wanted_kms_key().flatten();
            let outdated = self.outdated(actual);
            for secret in outdated.filter(|one| is_settled || !parameter::is_versioned(&one.path)) {
                let field = Field::Item(KEY, secret.path.clone());
                diff.field(field, &secret.key, secret_encryption::shown(wanted));
            }
        };
        if !is_standing && !self.is_configured(cx, actual, &actual.publication.versions.latest) {
            // The function is changed first. Its new content may be published already.
            let mut published = actual.publication.versions.published.iter().rev();
            match published.find(|version| self.is_configured(cx, actual, &version.content)) {
                Some(found) => {
                    diff.field(VERSION, live, found.number);
                    old(&mut diff, &[&found.content]);
                }
                None => diff.field(VERSION, live, NEW),
            }
            unread(&mut diff, false);
            return diff;
        }
        let goals = self.goals(actual);
        let version = |content: &Content| match actual.publication.versions.find(content) {
            Some(version) => version.number.to_string(),
            None => NEW.to_owned(),
        };
        if let Some((last, _)) = goals.last() {
            diff.field(VERSION, live, version(last));
        }
        if let Some(number) = self.next_to_observe(actual, &goals) {
            diff.field(
                NEXT_VERSION,
                format!("{number} (not tested)"),
                format!("{number} (tested)"),
            );
        }
        let is_missing =
            |(content, _): &(Content, _)| actual.publication.versions.find(content).is_none();
        if goals.len() > 1 && goals.iter().any(is_missing) {
            let new = "(new, until the stage serves the new deployment)";
            diff.field(TEMPORARY_VERSION, "(none)", new);
        }
        let contents: Vec<_> = goals.iter().map(|(content, _)| content).collect();
        old(&mut diff, &contents);
        unread(&mut diff, true);
        diff
    }

    async fn prepare(&self, cx: &Context, _diff: Option<&Diff>) -> Result<(), ResourceError> {
        let (Goal::Proved { proof, .. } | Goal::Following { proof }) = &self.goal else {
            return Ok(());
        };
        let Some(actual) = FunctionAliases::list(cx)
            .await?
            .owned
            .into_iter()
            .find(|actual| actual.publication.id.name == self.function.name)
        else {
            return Ok(());
        };
        let goals = self.goals(&actual);
        let found: Vec<_> = goals
            .iter()
            .filter_map(|(content, _)| actual.publication.versions.find(content))
            .collect();
        if found.len() == goals.len()
            && actual.publication.versions.latest == self.configured(&actual)
        {
            for version in &found {
                let observes = observes(&version.content.environment);
                proof
                    .ensure_version_passed(cx, self.function.name, version.number, observes)
                    .await?;
            }
            if let (Goal::Following { .. }, Some(last)) = (&self.goal, found.last()) {
                self.leave_cache(cx, &actual, last).await?;
            }
        }
        Ok(())
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        publish(cx, &cx.names().function(self.function.name), CONFIGURED).await
    }

    /// Takes the next step; called again until nothing differs.
    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        _diff: &Diff,
    ) -> Result<(), ResourceError> {
        let function = &actual.publication.function.name;
        let goals = self.goals(actual);
        let missing = goals
            .iter()
            .find(|(content, _)| actual.publication.versions.find(content).is_none());
        if let Some((content, description)) = missing {
            if actual.publication.versions.latest == *content {
                return publish(cx, function, description).await;
            }
            return self.function.configure(cx, &content.environment).await;
        }
        if !matches!(self.goal, Goal::Standing) {
            let configured = self.configured(actual);
            if actual.publication.versions.latest != configured {
                return self.function.configure(cx, &configured.environment).await;
            }
        }
        let goal = goals
            .last()
            .and_then(|(content, _)| actual.publication.versions.find(content));
        let Some(goal) = goal.map(|version| version.number) else {
            return Ok(());
        };
        let Some(alias) = &actual.publication.versions.alias else {
            return create_alias(cx, function, goal).await;
        };
        if alias.version != goal.to_string() || alias.is_split {
            return point_to(cx, actual, goal).await;
        }
        let surplus = self.surplus(actual, &goals);
        for version in &surplus {
            delete_version(cx, function, *version).await?;
        }
        let versions = &actual.publication.versions;
        if versions.leave_security_groups(&surplus) {
            // A fresh view: this run has changed the versions.
            former_rules::remove(&cx.fresh()).await?;
        }
        // The deleted versions may have been the last readers, and the other alias may have nothing to change.
        let unread = match surplus.is_empty() {
            true => self.unread(actual),
            false => &actual.unread,
        };
        for name in unread {
            parameter::remove(cx, name).await?;
        }
        match self.goal {
            Goal::Standing => Ok(()),
            _ => secret_encryption::renew(cx, self.outdated(actual)).await,
        }
    }

    /// Detaches the function, the live version and all others from the VPC that will be replaced.
    async fn detach(&self, cx: &Context, actual: &Actual) -> Result<bool, ResourceError> {
        let function = &actual.publication.function.name;
        let (versions, latest) = (
            &actual.publication.versions,
            &actual.publication.versions.latest,
        );
        let is_inside = |version: &&Version| !version.content.subnets.is_empty();
        if versions
            .published
            .iter()
            .all(|version| !is_inside(&version))
        {
            return Ok(false);
        }
        if !latest.subnets.is_empty() {
            Functions::leave_vpc(cx, function).await?;
            return Ok(true);
        }
        if versions.live().as_ref().is_some_and(is_inside) {
            match versions.find(latest) {
                Some(outside) => move_alias(cx, function, outside.number, None).await?,
                None => publish(cx, function, CONFIGURED).await?,
            }
            return Ok(true);
        }
        for version in versions.published.iter().filter(is_inside) {
            if !versions.held.contains(&version.number) {
                delete_version(cx, function, version.number).await?;
            }
        }
        Ok(true)
    }
}

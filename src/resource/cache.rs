//! The desired cache, and the changes to a running one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_sdk_elasticache::operation::modify_replication_group::builders::ModifyReplicationGroupFluentBuilder;
use aws_sdk_elasticache::types::{AuthTokenUpdateStrategyType, TransitEncryptionMode};

use super::cache_change::{self, Situation, Step, Tls, Token, TokenProgress};
use super::cache_group::{
    Actual, Caches, NO_TOKEN, PORT, TOKEN_TAG, VERSION_TAG, description, noted_version,
};
use super::parameter::{
    self, CACHE_AUTH_TOKEN, CACHE_ENDPOINT, FINGERPRINT, FORMER_CACHE_AUTH_TOKEN, Secrets,
    fingerprint,
};
use super::shown::Switch;
use super::{Context, Diff, Field, NEW, Resource, ResourceError};
use crate::aws::{elasticache, tags};
use crate::engine_version::{self, Change, FIRST_WITH_TLS_CHANGE, WantedEngine};
use crate::id::LogicalId;
use crate::kind::Kind;

const AUTH_TOKEN: Field = Field::Property("auth token");
const AUTH_TOKEN_IN_USE: Field = Field::Property("auth token in use");
const AUTOMATIC_FAILOVER: Field = Field::Property("automatic failover");
const AUTOMATIC_UPGRADES: Field = Field::Property("automatic minor version upgrades");
const ENGINE: Field = Field::Property("engine");
pub const ENGINE_VERSION: Field = Field::Property("engine version");
const MULTI_AZ: Field = Field::Property("multi-AZ");
pub const NODE_TYPE: Field = Field::Property("node type");
const REPLICAS: Field = Field::Property("replicas");
const SUBNET_GROUP: Field = Field::Property("subnet group");
const TLS: Field = Field::Property("tls");
const TLS_MODE: Field = Field::Property("tls mode");

/// The desired cache.
#[derive(Debug)]
pub struct Cache {
    pub engine: WantedEngine,
    pub node_type: String,
    pub replicas: u8,
    /// Whether the replicas can be in another Availability Zone.
    pub multi_az: bool,
    /// TLS, which is required for the AUTH token.
    pub tls: bool,
    pub subnet_group: LogicalId,
    pub security_group: LogicalId,
    /// The AUTH token, if TLS is on.
    pub auth_token: Option<LogicalId>,
    /// How far this run has changed the token of the running cache.
    pub token_change: TokenChange,
}

/// Kept between the steps of one run. After a kill, the change of the token begins again, with the same token.
#[derive(Debug, Default)]
pub struct TokenChange(Mutex<TokenProgress>);

impl TokenChange {
    pub(super) fn progress(&self) -> MutexGuard<'_, TokenProgress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    /// Whether automatic failover is on, and whether it is Multi-AZ.
    fn failover(&self) -> (bool, bool) {
        let several = self.replicas > 0;
        (several, several && self.multi_az)
    }

    fn version_change(&self, actual: &Actual) -> Change {
        engine_version::change(actual.engine.as_deref(), actual.version, &self.engine)
    }

    /// The tag with the version, if it must be written. A version that AWS has upgraded since is not worth a change.
    fn version_tag(&self, actual: &Actual) -> Option<(String, String)> {
        let engine = self.engine.engine;
        let version = actual.version?;
        let noted = noted_version(&actual.tags, Some(engine));
        let is_noted = noted.is_some_and(|noted| noted >= version.min(self.engine.version));
        (!is_noted).then(|| (VERSION_TAG.to_owned(), format!("{engine}-{version}")))
    }

    /// The tags that the cache should have, as far as they are compared.
    fn desired_tags(&self, cx: &Context, actual: &Actual) -> BTreeMap<String, String> {
        let mut tags = cx.tags(&actual.id);
        // The version is noted after the cache has it.
        if self.version_change(actual) == Change::None {
            tags.extend(self.version_tag(actual));
        }
        tags
    }

    /// The fingerprint of the stored AUTH token; `(new)` if it will be another one.
    fn wanted_token(&self, cx: &Context) -> Option<String> {
        let token = cx.known_output(self.auth_token.as_ref()?);
        let token = token.and_then(|token| token.attributes.get(FINGERPRINT).cloned());
        Some(token.unwrap_or_else(|| NEW.to_owned()))
    }

    /// What differs in the token of a cache that stays.
    fn token(&self, cx: &Context, actual: &Actual) -> Token {
        let Some(wanted) = self.wanted_token(cx) else {
            return Token::Same;
        };
        let is_other = |made_with: &String| *made_with != wanted;
        match (&actual.token, actual.auth) {
            (made_with, Some(false)) => Token::Missing {
                is_marked: made_with.as_deref() == Some(NO_TOKEN),
            },
            (Some(made_with), _) if is_other(made_with) => Token::Other,
            (Some(_), _) if self.rotates(cx) => Token::Other,
            _ => Token::Same,
        }
    }

    /// Whether this run replaces the token and has not done so yet.
    fn rotates(&self, cx: &Context) -> bool {
        cx.options().rotate_cache_token && *self.token_change.progress() == TokenProgress::NotBegun
    }

    fn modification(&self, cx: &Context, actual: &Actual) -> ModifyReplicationGroupFluentBuilder {
        cx.aws()
            .elasticache
            .modify_replication_group()
            .replication_group_id(&actual.group_id)
            .apply_immediately(true)
    }

    /// The URL of the running cache with the configured scheme, for the functions.
    fn url(&self, actual: &Actual) -> Option<String> {
        let endpoint = actual.endpoint.as_ref()?;
        Some(parameter::endpoint_url(endpoint, self.tls))
    }

    async fn announce(&self, cx: &Context, url: &str) -> Result<(), ResourceError> {
        let id = LogicalId::new(Kind::Parameter, CACHE_ENDPOINT);
        let name = parameter::endpoint_name(cx);
        let exists = parameter::all(cx).await?.contains_key(&name);
        parameter::put(cx, &id, &name, url, exists).await
    }

    /// Deletes the former token, and notes the new one.
    async fn note_token(&self, cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        parameter::remove(cx, &parameter::secret_path(FORMER_CACHE_AUTH_TOKEN)).await?;
        let token = fingerprint(&Secrets::value(cx, CACHE_AUTH_TOKEN).await?);
        self.write_token_tag(cx, actual, &token).await
    }

    async fn write_token_tag(
        &self,
        cx: &Context,
        actual: &Actual,
        value: &str,
    ) -> Result<(), ResourceError> {
        let arn = cx.names().cache_arn("replicationgroup", &actual.group_id);
        let tag = BTreeMap::from([(TOKEN_TAG.to_owned(), value.to_owned())]);
        Ok(elasticache::write_tags(cx.aws(), arn, tag).await?)
    }

    async fn write_replicas(&self, cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let replicas = i32::from(self.replicas);
        // A repeated call is refused, because the count is reached: after a lost reply, the group is read again.
        if usize::from(self.replicas) + 1 > actual.nodes {
            let request = cx
                .aws()
                .elasticache
                .increase_replica_count()
                .replication_group_id(&actual.group_id)
                .new_replica_count(replicas)
                .apply_immediately(true);
            cx.aws()
                .call_non_idempotent("elasticache:IncreaseReplicaCount", || {
                    request.clone().send()
                })
                .await?;
        } else {
            let request = cx
                .aws()
                .elasticache
                .decrease_replica_count()
                .replication_group_id(&actual.group_id)
                .new_replica_count(replicas)
                .apply_immediately(true);
            cx.aws()
                .call_non_idempotent("elasticache:DecreaseReplicaCount", || {
                    request.clone().send()
                })
                .await?;
        }
        Ok(())
    }
}

async fn modify(
    cx: &Context,
    request: ModifyReplicationGroupFluentBuilder,
) -> Result<(), ResourceError> {
    cx.aws()
        .call_idempotent("elasticache:ModifyReplicationGroup", || {
            request.clone().send()
        })
        .await?;
    Ok(())
}

impl Resource for Cache {
    type Kind = Caches;

    fn name(&self) -> &str {
        "main"
    }

    fn needs(&self) -> Vec<LogicalId> {
        let mut needs = vec![self.subnet_group.clone(), self.security_group.clone()];
        needs.extend(self.auth_token.clone());
        needs
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        let change = self.version_change(actual);
        if change != Change::None {
            let before = diff.changes.len();
            diff.known(ENGINE, actual.engine.as_ref(), self.engine.engine);
            let from = actual
                .version
                .map_or_else(|| "(unknown)".to_owned(), |version| version.to_string());
            diff.field(ENGINE_VERSION, from, self.engine.version);
            diff.replace |= change == Change::Replacement && diff.changes.len() > before;
        }
        diff.known(
            AUTOMATIC_UPGRADES,
            actual.automatic_upgrades.map(Switch),
            Switch(false),
        );
        self.compare_encryption(cx, actual, &mut diff);
        diff.reference(
            SUBNET_GROUP,
            &cx.names().cache_subnet_group(actual.number),
            cx.known_output(&self.subnet_group)
                .map(|output| output.physical_id),
        );
        diff.known(NODE_TYPE, actual.node_type.as_ref(), &self.node_type);
        // The members of a new group are not all listed yet.
        if actual.nodes > 0 {
            diff.field(REPLICAS, actual.nodes - 1, usize::from(self.replicas));
            let (failover, multi_az) = self.failover();
            diff.known(
                AUTOMATIC_FAILOVER,
                actual.failover.map(Switch),
                Switch(failover),
            );
            diff.known(MULTI_AZ, actual.multi_az.map(Switch), Switch(multi_az));
        }
        diff.tags(&self.desired_tags(cx, actual), &actual.tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let mut tags = cx.tags(&LogicalId::new(Kind::Cache, self.name()));
        let token = match self.auth_token {
            Some(_) => Some(Secrets::value(cx, CACHE_AUTH_TOKEN).await?),
            None => None,
        };
        tags.extend(
            token
                .as_ref()
                .map(|token| (TOKEN_TAG.to_owned(), fingerprint(token))),
        );
        let WantedEngine {
            engine, version, ..
        } = self.engine;
        tags.insert(VERSION_TAG.to_owned(), format!("{engine}-{version}"));
        let (failover, multi_az) = self.failover();
        let mut request = cx
            .aws()
            .elasticache
            .create_replication_group()
            .replication_group_id(
                cx.names()
                    .cache(cx.options().cache_number.unwrap_or_default()),
            )
            .replication_group_description(description(cx))
            .engine(engine)
            .engine_version(version.to_string())
            .auto_minor_version_upgrade(false)
            .cache_node_type(&self.node_type)
            .num_cache_clusters(i32::from(self.replicas) + 1)
            .automatic_failover_enabled(failover)
            .multi_az_enabled(multi_az)
            .cache_subnet_group_name(cx.physical_id(&self.subnet_group)?)
            .security_group_ids(cx.physical_id(&self.security_group)?)
            .port(i32::from(PORT))
            .at_rest_encryption_enabled(true)
            .transit_encryption_enabled(self.tls)
            .set_tags(Some(elasticache::to_tags(tags)));
        if let Some(token) = &token {
            request = request.auth_token(token.expose());
        }
        cx.aws()
            .call_non_idempotent("elasticache:CreateReplicationGroup", || {
                request.clone().send()
            })
            .await?;
        *self.token_change.progress() = TokenProgress::Noted;
        Ok(())
    }

    /// Takes the next step; called again when the group is available, until nothing differs.
    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        diff: &Diff,
    ) -> Result<(), ResourceError> {
        let url = self.url(actual);
        let token = self.token(cx, actual);
        let mut is_announced = true;
        let is_told = actual.tls == Some(Tls::Preferred) || token != Token::Same;
        if let (true, Some(url)) = (is_told, &url) {
            let all = parameter::all(cx).await?;
            let told = all.get(&parameter::endpoint_name(cx));
            is_announced = told.is_some_and(|told| told.expose() == url);
        }
        let situation = Situation {
            engine: [ENGINE, ENGINE_VERSION, AUTOMATIC_UPGRADES]
                .iter()
                .any(|field| diff.has(field)),
            tls: actual.tls,
            wants_tls: self.tls,
            is_announced,
            token,
            progress: *self.token_change.progress(),
            node_type: diff.has(&NODE_TYPE),
            failover: diff.has(&AUTOMATIC_FAILOVER) || diff.has(&MULTI_AZ),
            replicas: diff.has(&REPLICAS),
            wants_replicas: self.replicas > 0,
        };
        let request = self.modification(cx, actual);
        let change_token = async |strategy, progress| {
            let token = Secrets::value(cx, CACHE_AUTH_TOKEN).await?;
            let request = self.modification(cx, actual);
            let request = request
                .auth_token(token.expose())
                .auth_token_update_strategy(strategy);
            let changed = modify(cx, request).await;
            if changed
                .as_ref()
                .err()
                .is_none_or(ResourceError::is_carried_out)
            {
                *self.token_change.progress() = progress;
            }
            changed
        };
        match cache_change::next(&situation) {
            Step::Engine => {
                let mut request = request.auto_minor_version_upgrade(false);
                if diff.has(&ENGINE) {
                    request = request.engine(self.engine.engine);
                }
                if diff.has(&ENGINE) || diff.has(&ENGINE_VERSION) {
                    request = request.engine_version(self.engine.version.to_string());
                }
                modify(cx, request).await
            }
            Step::PreferTls => {
                let mode = TransitEncryptionMode::Preferred;
                let request = request.transit_encryption_enabled(true);
                modify(cx, request.transit_encryption_mode(mode)).await
            }
            Step::Announce => self.announce(cx, &url.unwrap_or_default()).await,
            Step::RequireTls => {
                let mode = TransitEncryptionMode::Required;
                let request = request.transit_encryption_enabled(true);
                modify(cx, request.transit_encryption_mode(mode)).await
            }
            Step::DropTls => modify(cx, request.transit_encryption_enabled(false)).await,
            Step::MarkToken => self.write_token_tag(cx, actual, NO_TOKEN).await,
            Step::RotateToken => {
                change_token(AuthTokenUpdateStrategyType::Rotate, TokenProgress::Rotated).await
            }
            Step::SetToken => {
                change_token(AuthTokenUpdateStrategyType::Set, TokenProgress::Set).await
            }
            Step::NoteToken => {
                let noted = self.note_token(cx, actual).await;
                if noted
                    .as_ref()
                    .err()
                    .is_none_or(ResourceError::is_carried_out)
                {
                    *self.token_change.progress() = TokenProgress::Noted;
                }
                noted
            }
            Step::NodeType => modify(cx, request.cache_node_type(&self.node_type)).await,
            Step::Failover => {
                let (failover, multi_az) = self.failover();
                let request = request.automatic_failover_enabled(failover);
                modify(cx, request.multi_az_enabled(multi_az)).await
            }
            Step::Replicas => self.write_replicas(cx, actual).await,
            Step::Tags => {
                let missing = tags::missing(&self.desired_tags(cx, actual), &actual.tags);
                let arn = cx.names().cache_arn("replicationgroup", &actual.group_id);
                Ok(elasticache::write_tags(cx.aws(), arn, missing).await?)
            }
        }
    }
}

impl Cache {
    /// Compares TLS and the AUTH token.
    fn compare_encryption(&self, cx: &Context, actual: &Actual, diff: &mut Diff) {
        let is_on = actual.tls.map(|tls| tls != Tls::Off);
        // Source: ElastiCache User Guide: TLS cannot be changed while there is a token, and a token can be deleted only
        // together with the transition to user groups; TLS can be changed from Redis OSS 7.0.
        let can_change = if self.tls {
            let version = match self.version_change(actual) {
                Change::InPlace => Some(self.engine.version),
                _ => actual.version,
            };
            version.is_none_or(|version| version >= FIRST_WITH_TLS_CHANGE)
        } else {
            actual.auth != Some(true)
        };
        if can_change {
            diff.known(TLS, is_on, self.tls);
            diff.known(AUTH_TOKEN, actual.auth, self.tls);
        } else {
            diff.known_immutable(TLS, is_on, self.tls);
            diff.known_immutable(AUTH_TOKEN, actual.auth, self.tls);
        }
        if actual.tls == Some(Tls::Preferred) && self.tls {
            diff.field(TLS_MODE, Tls::Preferred.as_str(), Tls::Required.as_str());
        }
        if let (Some(made_with), Token::Other) = (&actual.token, self.token(cx, actual)) {
            let wanted = self.wanted_token(cx).filter(|wanted| wanted != made_with);
            let wanted = wanted.unwrap_or_else(|| NEW.to_owned());
            diff.field(AUTH_TOKEN_IN_USE, made_with, wanted);
        }
    }
}

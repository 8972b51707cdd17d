//! The user of a serverless cache. A serverless cache has no AUTH token: its user `default` has the token as its password, so that
//! the functions log in to both kinds of caches in the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_elasticache::operation::modify_user::builders::ModifyUserFluentBuilder;
use aws_sdk_elasticache::types::{AuthenticationType, User};

use super::cache_change::TokenProgress;
use super::cache_group::TOKEN_TAG;
use super::parameter::{
    self, CACHE_AUTH_TOKEN, FINGERPRINT, FORMER_CACHE_AUTH_TOKEN, Secrets, fingerprint,
};
use super::serverless_cache::may_exist;
use super::{
    Context, Diff, Field, Identity, Listing, NEW, Phase, Resource, ResourceError, ResourceKind,
};
use crate::aws::paginate::pages;
use crate::aws::{elasticache, optional, tags};
use crate::engine_version::VALKEY;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::cache::TokenChange;

const ACCESS: Field = Field::Property("access string");
const AUTHENTICATION: Field = Field::Property("authentication");
const PASSWORD: Field = Field::Property("password");

/// The user that logs in without a name.
const USER_NAME: &str = "default";
/// The keys of the functions, and the commands that they and their scripts run. The authorizer's README lists them.
pub const ACCESS_STRING: &str = "on ~tg:* -@all +del +eval +evalsha +get +hdel +hexists +hget +hgetall +hincrby +hkeys +hlen \
                                 +hmget +hset +hsetnx +incr +info +llen +lrange +lrem +pexpire +ping +rename +rpush +sadd +set \
                                 +smembers +srandmember +srem +zadd +zrangebyscore +zrem";

/// The actual user.
#[derive(Debug, Clone)]
pub struct Actual {
    id: LogicalId,
    user_id: String,
    /// The number in its name, which is that of its cache.
    pub(super) number: u32,
    phase: Phase,
    // `None` is a property that the service does not report.
    access: Option<String>,
    authentication: Option<AuthenticationType>,
    /// `None` if they cannot be read in the present state.
    tags: Option<BTreeMap<String, String>>,
}

impl Actual {
    /// Whether the stack owns it. Tags cannot be read in every state; they are read again before the user is changed or deleted.
    pub(super) fn is_ours(&self, cx: &Context) -> bool {
        let is_ours = |tags| tags::owner(&cx.names().stack, tags).is_some();
        self.tags.as_ref().is_none_or(is_ours)
    }
}

/// Users of ElastiCache.
#[derive(Debug)]
pub struct CacheUsers;

impl CacheUsers {
    async fn describe(cx: &Context, user_id: &str) -> Result<Option<User>, ResourceError> {
        let request = cx.aws().elasticache.describe_users().user_id(user_id);
        let answer = optional(
            cx.aws()
                .call_idempotent("elasticache:DescribeUsers", || request.clone().send())
                .await,
        )?;
        Ok(answer.and_then(|answer| answer.users?.into_iter().next()))
    }

    /// Every user that has a name of the stack. One listing, however many there are.
    pub(super) async fn found(cx: &Context) -> Result<Arc<Vec<Actual>>, ResourceError> {
        if !may_exist(cx).await? {
            return Ok(Arc::default());
        }
        let ask = Self::ask(cx);
        cx.listings().get_or_fetch("cache users", ask).await
    }

    async fn ask(cx: &Context) -> Result<Vec<Actual>, ResourceError> {
        let request = cx.aws().elasticache.describe_users();
        let users = pages(|marker| async {
            let request = request.clone().set_marker(marker);
            let page = cx
                .aws()
                .call_idempotent("elasticache:DescribeUsers", || request.clone().send())
                .await?;
            Ok((page.users, page.marker))
        })
        .await?;
        let mut found = Vec::new();
        for user in users {
            let Some(user_id) = user.user_id else {
                continue;
            };
            let Some(number) = cx.names().number_of_cache(&user_id) else {
                continue;
            };
            let arn = cx.names().cache_arn("user", &user_id);
            found.push(Actual {
                id: LogicalId::new(Kind::CacheUser, "main"),
                user_id,
                number,
                phase: phase_of(user.status),
                access: user.access_string,
                authentication: user.authentication.and_then(|mode| mode.r#type),
                tags: elasticache::tags_of(cx.aws(), arn).await?,
            });
        }
        Ok(found)
    }
}

impl ResourceKind for CacheUsers {
    type Actual = Actual;
    const KIND: Kind = Kind::CacheUser;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let mut listing = Listing::default();
        for user in Self::found(cx).await?.iter().cloned() {
            let id = cx.id_of_cache(Kind::CacheUser, user.number);
            if user.is_ours(cx) {
                listing.owned.push(Actual { id, ..user });
            } else {
                listing
                    .unmanaged
                    .extend(cx.taken(id, user.user_id, user.number));
            }
        }
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        Identity::new(
            actual.id.clone(),
            actual.phase.clone(),
            actual.user_id.clone(),
        )
    }

    async fn phase(cx: &Context, actual: &Actual) -> Result<Option<Phase>, ResourceError> {
        let user = Self::describe(cx, &actual.user_id).await?;
        Ok(user.map(|user| phase_of(user.status)))
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let request = cx.aws().elasticache.delete_user().user_id(&actual.user_id);
        optional(
            cx.aws()
                .call_idempotent("elasticache:DeleteUser", || request.clone().send())
                .await,
        )?;
        Ok(())
    }
}

/// The phase of a user or a user group with this status. Source: the API reference of ElastiCache (`User`, `UserGroup`), and
/// `creating`, for which Terraform's AWS provider also waits.
pub(super) fn phase_of(status: Option<String>) -> Phase {
    let Some(status) = status else {
        return Phase::Unknown("without a status".to_owned());
    };
    match status.as_str() {
        "active" => Phase::Ready,
        "creating" | "modifying" => Phase::Pending(status),
        "deleting" => Phase::Deleting(status),
        _ => Phase::Unknown(status),
    }
}

/// The next change to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Accept the new token and the former one.
    AddPassword,
    /// Accept only the new token.
    SetPassword,
    /// Delete the former token, and note the new one in the tag.
    NotePassword,
    Access,
    Tags,
}

/// `is_other`: whether the user does not have the stored token as its only password. `has_former`: whether the token before is
/// stored, which functions may still use.
fn next(is_other: bool, progress: TokenProgress, has_former: bool, access: bool) -> Step {
    match progress {
        TokenProgress::NotBegun | TokenProgress::Noted if is_other && has_former => {
            Step::AddPassword
        }
        TokenProgress::Set if is_other => Step::NotePassword,
        _ if is_other => Step::SetPassword,
        _ if access => Step::Access,
        _ => Step::Tags,
    }
}

/// The words of an access string that give rights. ElastiCache can return them in another order, and adds words about channels.
fn rights(text: &str) -> BTreeSet<&str> {
    let is_right = |word: &&str| !word.starts_with('&') && !word.ends_with("channels");
    text.split_whitespace().filter(is_right).collect()
}

/// The desired user.
#[derive(Debug)]
pub struct CacheUser {
    pub auth_token: LogicalId,
    /// The group of the cache; see [`SERVERLESS_CACHE`](super::security_group::SERVERLESS_CACHE).
    pub security_group: LogicalId,
    /// How far this run has changed the password.
    pub token_change: TokenChange,
}

impl CacheUser {
    /// The fingerprint of the stored token; `(new)` if it will be another one.
    fn wanted(&self, cx: &Context) -> String {
        let token = cx.known_output(&self.auth_token);
        let token = token.and_then(|token| token.attributes.get(FINGERPRINT).cloned());
        token.unwrap_or_else(|| NEW.to_owned())
    }

    /// Whether this run replaces the token and has not done so yet.
    fn rotates(&self, cx: &Context) -> bool {
        cx.options().rotate_cache_token && *self.token_change.progress() == TokenProgress::NotBegun
    }

    async fn modify(
        &self,
        cx: &Context,
        request: ModifyUserFluentBuilder,
    ) -> Result<(), ResourceError> {
        cx.aws()
            .call_idempotent("elasticache:ModifyUser", || request.clone().send())
            .await?;
        Ok(())
    }

    /// Deletes the former token, and notes the new one.
    async fn note(&self, cx: &Context, arn: String) -> Result<(), ResourceError> {
        parameter::remove(cx, &parameter::secret_path(FORMER_CACHE_AUTH_TOKEN)).await?;
        let token = fingerprint(&Secrets::value(cx, CACHE_AUTH_TOKEN).await?);
        let tag = BTreeMap::from([(TOKEN_TAG.to_owned(), token)]);
        Ok(elasticache::write_tags(cx.aws(), arn, tag).await?)
    }
}

impl Resource for CacheUser {
    type Kind = CacheUsers;

    fn name(&self) -> &str {
        "main"
    }

    fn needs(&self) -> Vec<LogicalId> {
        vec![self.auth_token.clone(), self.security_group.clone()]
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        let differs = |access: &&String| rights(access) != rights(ACCESS_STRING);
        diff.known(
            ACCESS,
            actual.access.as_ref().filter(differs),
            ACCESS_STRING,
        );
        let authentication = actual.authentication.as_ref();
        diff.known(
            AUTHENTICATION,
            authentication.map(AuthenticationType::as_str),
            AuthenticationType::Password.as_str(),
        );
        let Some(tags) = &actual.tags else {
            return diff;
        };
        let wanted = self.wanted(cx);
        let made_with = tags.get(TOKEN_TAG).map_or("(unknown)", String::as_str);
        if self.rotates(cx) {
            diff.field(PASSWORD, made_with, NEW);
        } else {
            diff.field(PASSWORD, made_with, wanted);
        }
        diff.tags(&cx.tags(&actual.id), tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let token = Secrets::value(cx, CACHE_AUTH_TOKEN).await?;
        let mut tags = cx.tags(&LogicalId::new(Kind::CacheUser, self.name()));
        tags.insert(TOKEN_TAG.to_owned(), fingerprint(&token));
        let request = cx
            .aws()
            .elasticache
            .create_user()
            .user_id(cx.name_of_cache())
            .user_name(USER_NAME)
            .engine(VALKEY)
            .access_string(ACCESS_STRING)
            .passwords(token.expose())
            .set_tags(Some(elasticache::to_tags(tags)));
        cx.aws()
            .call_non_idempotent("elasticache:CreateUser", || request.clone().send())
            .await?;
        *self.token_change.progress() = TokenProgress::Noted;
        Ok(())
    }

    /// Takes the next step; called again when the user is active, until nothing differs.
    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        diff: &Diff,
    ) -> Result<(), ResourceError> {
        let arn = cx.names().cache_arn("user", &actual.user_id);
        let stored = parameter::all(cx).await?;
        let former = stored.get(&parameter::secret_path(FORMER_CACHE_AUTH_TOKEN));
        let is_other = diff.has(&PASSWORD) || diff.has(&AUTHENTICATION);
        let progress = *self.token_change.progress();
        let request = cx.aws().elasticache.modify_user().user_id(&actual.user_id);
        let step = next(is_other, progress, former.is_some(), diff.has(&ACCESS));
        let (changed, reached) = match step {
            Step::AddPassword | Step::SetPassword => {
                let token = Secrets::value(cx, CACHE_AUTH_TOKEN).await?;
                let mut request = request.passwords(token.expose());
                let both = former.filter(|former| step == Step::AddPassword && **former != token);
                if let Some(former) = both {
                    request = request.passwords(former.expose());
                }
                let reached = match step {
                    Step::AddPassword => TokenProgress::Rotated,
                    _ => TokenProgress::Set,
                };
                (self.modify(cx, request).await, reached)
            }
            Step::NotePassword => (self.note(cx, arn).await, TokenProgress::Noted),
            Step::Access => {
                let request = request.access_string(ACCESS_STRING);
                return self.modify(cx, request).await;
            }
            Step::Tags => {
                let tags = actual.tags.clone().unwrap_or_default();
                let missing = tags::missing(&cx.tags(&actual.id), &tags);
                return Ok(elasticache::write_tags(cx.aws(), arn, missing).await?);
            }
        };
        let refused = changed.as_ref().err();
        if refused.is_none_or(ResourceError::is_carried_out) {
            *self.token_change.progress() = reached;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_changes_without_a_moment_in_which_no_stored_token_is_accepted() {
        use TokenProgress::{NotBegun, Noted, Rotated, Set};
        for (is_other, progress, has_former, access, expected) in [
            (true, NotBegun, true, true, Step::AddPassword),
            (true, Noted, true, false, Step::AddPassword),
            (true, Rotated, true, false, Step::SetPassword),
            (true, Set, true, true, Step::NotePassword),
            // A run that was killed after it had deleted the former token.
            (true, NotBegun, false, false, Step::SetPassword),
            (true, Set, false, false, Step::NotePassword),
            (false, NotBegun, true, true, Step::Access),
            (false, Noted, false, false, Step::Tags),
        ] {
            let found = next(is_other, progress, has_former, access);
            assert_eq!(found, expected, "{is_other} {progress:?} {has_former}");
        }
    }

    #[test]
    fn the_user_has_the_rights_with_which_the_authorizer_is_tested() {
        let readme = include_str!("../../authorizer/README.md");
        assert!(readme.contains(&format!("  {ACCESS_STRING}\n")));
    }

    #[test]
    fn rights_do_not_depend_on_their_order() {
        assert_eq!(
            rights("on ~tg:* resetchannels -@all +get"),
            rights("on -@all  +get ~tg:* &*")
        );
        assert_ne!(rights("on ~* -@all +get"), rights("on ~tg:* -@all +get"));
        assert_ne!(rights("on ~* +get"), rights("off ~* +get"));
        assert_ne!(rights("on ~* +get"), rights("on ~* +get +set"));
    }

    #[test]
    fn states_of_users_and_groups() {
        let of = |status: &str| phase_of(Some(status.to_owned()));
        assert_eq!(of("active"), Phase::Ready);
        assert_eq!(of("modifying"), Phase::Pending("modifying".to_owned()));
        assert_eq!(of("deleting"), Phase::Deleting("deleting".to_owned()));
        assert_eq!(of("odd"), Phase::Unknown("odd".to_owned()));
        assert!(matches!(phase_of(None), Phase::Unknown(_)));
    }
}

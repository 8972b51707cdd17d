//! Data that cannot be read again from elsewhere is stored in SSM Parameter Store: the secrets, and
//! what the functions read at start.
//!
//! One listing by path returns all of them, and the lock and the attachment's records as well.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use aws_sdk_ssm::types::ParameterType;
use sha2::{Digest as _, Sha256};

use super::parameter_keys::DEFAULT;
use super::parameter_store::{Content, is_sealed, read, write};
pub use super::parameter_store::{
    KMS_KEY, NAMES_PER_CALL, Stored, all, is_ours, keys, known_keys, list, list_sealed, put,
    put_once, remove, remove_once, tags_of, values,
};
use super::{
    Context, Diff, Field, Identity, Listing, NEW, Output, Phase, Resource, ResourceError,
    ResourceKind, Unmanaged,
};
use crate::hex;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::secret::Secret;
use crate::stored;

const VALUE: Field = Field::Property("value");

/// The service token; the functions read it at start.
pub const SERVICE_TOKEN: &str = "service-token";
/// The cache's AUTH token, which this program generates.
pub const CACHE_AUTH_TOKEN: &str = "cache-auth-token";
/// The token before, as long as the cache may still have it.
pub const FORMER_CACHE_AUTH_TOKEN: &str = "cache-auth-token-former";
/// The key of the hashes that represent credentials in the cache.
pub const HASH_KEY: &str = "hash-key";
/// The URL, credentials included, of a cache that the operator provides.
pub const CACHE_URL: &str = "cache-url";
/// The address of the stack's own cache. A cache that is created beside another one has a parameter with its number, so
/// that each version of the functions reads the address of the cache in its network.
pub const CACHE_ENDPOINT: &str = "cache-endpoint";
/// When the stack expires, see [`super::stack_expiry`].
pub const EXPIRES: &str = "expires";
/// Exists while `down` must refuse.
pub const DELETION_PROTECTION: &str = "deletion-protection";

/// Exists while the stack may have alarms or a dashboard, so that CloudWatch is read for no other stack.
pub const MONITORING: &str = "monitoring";

/// The variable that names the parameter with the service token; its contract is in the
/// authorizer's README.
pub const TOKEN_PARAMETER: &str = "THREESCALE_GW_TOKEN_PARAMETER";
/// The variable with the settings of the authorizer.
pub const SETTINGS: &str = "THREESCALE_GW_SETTINGS";
/// The variable with the mode of the authorizer; without it, the authorizer enforces its decisions.
pub const MODE: &str = "THREESCALE_GW_MODE";
/// The mode in which the authorizer allows every request.
pub const OBSERVE: &str = "observe";
/// The variable that says whether usage is reported.
pub const REPORT: &str = "THREESCALE_GW_REPORT";
/// The variable that says which metrics are series in CloudWatch.
pub const METRICS: &str = "THREESCALE_GW_METRICS";
/// The variable with the base paths of custom domain names.
pub const BASE_PATHS: &str = "THREESCALE_GW_BASE_PATHS";
/// The variable that names the parameter with the address of the cache.
pub const CACHE_PARAMETER: &str = "THREESCALE_GW_CACHE_PARAMETER";

/// The output attribute with the fingerprint of the AUTH token, which shows whether two tokens are
/// equal.
pub const FINGERPRINT: &str = "fingerprint";

/// The prefix of a hash of a secret. Only for secrets of 32 random bytes, about which it reveals
/// nothing.
pub fn fingerprint(secret: &Secret) -> String {
    hex::encode(&Sha256::digest(secret.expose().as_bytes())[..6])
}

/// The actual parameter.
#[derive(Debug, Clone)]
pub struct Actual {
    id: LogicalId,
    name: String,
    value: Secret,
    /// The stored former AUTH token, if this is the AUTH token.
    former: Option<Secret>,
}

/// The kind of secrets (`SecureString` under `secrets/`), or of plain parameters.
#[derive(Debug)]
pub struct Kinds<const SECRET: bool>;
/// Secrets.
pub type Secrets = Kinds<true>;
/// Plain parameters.
pub type Parameters = Kinds<false>;

/// The secrets from the configuration that each version of the functions reads under its own name:
/// a new value is stored beside the one that the live version reads, for example `service-token-1`
/// beside `service-token`.
const VERSIONED: [&str; 2] = [SERVICE_TOKEN, CACHE_URL];

/// Whether a secret, by its path, is one that each version reads under its own name.
pub(super) fn is_versioned(path: &str) -> bool {
    path.strip_prefix("secrets/").and_then(versioned).is_some()
}

/// Which of [`VERSIONED`] the secret `name` is, and how many came before it.
fn versioned(name: &str) -> Option<(&'static str, u32)> {
    VERSIONED
        .into_iter()
        .find_map(|base| Some((base, number_of(base, name)?)))
}

/// The number in a name that consists of `base` and a number.
fn number_of(base: &str, name: &str) -> Option<u32> {
    let rest = name.strip_prefix(base)?;
    match rest.strip_prefix('-') {
        None if rest.is_empty() => Some(0),
        None => None,
        Some(number) => number.parse().ok().filter(|number| *number > 0),
    }
}

/// Whether this is the name of a parameter that no function reads.
pub fn is_record(name: &str) -> bool {
    [DELETION_PROTECTION, KMS_KEY, MONITORING].contains(&name)
}

/// Whether this is the name of a parameter with the address of a cache of the stack.
fn is_endpoint(name: &str) -> bool {
    number_of(CACHE_ENDPOINT, name).is_some()
}

/// The name of the parameter with the address of the stack's own cache in this run.
pub fn endpoint_name(cx: &Context) -> String {
    let configured = cx.options().secret_names.as_ref();
    let named = configured.and_then(|names| names.get(CACHE_ENDPOINT));
    named.cloned().unwrap_or_else(|| CACHE_ENDPOINT.to_owned())
}

/// Whether a version that reads the address of its cache from this parameter uses a cache of the operator.
pub fn is_own_cache(path: &str) -> bool {
    path.starts_with("secrets/")
}

/// The name for the value `wanted` of the secret `base`: that of a parameter that already has the
/// value and the desired key, otherwise a new one.
fn choose(
    base: &str,
    wanted: &Secret,
    all: &BTreeMap<String, Secret>,
    has_key: impl Fn(&str) -> bool,
) -> String {
    let of_base = || {
        all.iter().filter_map(|(path, value)| {
            let (of, number) = versioned(path.strip_prefix("secrets/")?)?;
            (of == base).then_some((number, path, value))
        })
    };
    let same = of_base()
        .filter(|(_, path, value)| *value == wanted && has_key(path))
        .map(|(number, ..)| number);
    let newest = of_base().map(|(number, ..)| number).max();
    // A parameter that a version reads is never overwritten: only the first value has the plain name.
    match same.max().or_else(|| newest.map(|number| number + 1)) {
        None | Some(0) => base.to_owned(),
        Some(number) => format!("{base}-{number}"),
    }
}

/// The names under which the configured secrets are, or will be, stored.
///
/// # Errors
/// When the listing fails.
pub async fn names(
    cx: &Context,
    wanted: &[(&'static str, &Secret)],
) -> Result<BTreeMap<&'static str, String>, ResourceError> {
    let all = all(cx).await?;
    if all.iter().any(|(path, value)| is_sealed(path, value)) {
        // Repeats the error.
        read(cx, true).await?;
        return Err(ResourceError::Blocked {
            what: "the secrets of the stack could not be decrypted".to_owned(),
            hint: Some("run the same command again".to_owned()),
        });
    }
    let (keys, key) = (keys(cx).await?, cx.options().kms_key.as_deref());
    let has_key = |path: &str| keys.as_ref().is_none_or(|keys| keys.has(path, key));
    Ok(wanted
        .iter()
        .map(|(base, value)| (*base, choose(base, value, &all, has_key)))
        .collect())
}

/// The path of a secret below the stack's path.
pub fn secret_path(name: &str) -> String {
    Secrets::path(name)
}

/// The versioned secrets and the stored settings that a function with this environment reads, by path.
pub fn read_by(environment: &BTreeMap<String, String>) -> Vec<String> {
    let secrets = [
        (TOKEN_PARAMETER, SERVICE_TOKEN),
        (CACHE_PARAMETER, CACHE_URL),
    ]
    .map(|(variable, name)| {
        // A release without these variables reads the plain names.
        let named = environment.get(variable).cloned();
        named.unwrap_or_else(|| Secrets::path(name))
    });
    let settings = environment.get(SETTINGS);
    let stored = settings
        .into_iter()
        .flat_map(|settings| stored::read_by(settings));
    secrets.into_iter().chain(stored).collect()
}

/// The paths of versioned secrets and stored settings that are neither in `read` nor in the configuration; empty if the
/// run has no configuration.
///
/// # Errors
/// When the listing fails.
pub async fn superseded(
    cx: &Context,
    read: &BTreeSet<String>,
) -> Result<Vec<String>, ResourceError> {
    let Some(configured) = cx.options().secret_names.as_ref() else {
        return Ok(Vec::new());
    };
    let is_superseded = |path: &&String| {
        let is_former = match path.strip_prefix("secrets/") {
            Some(name) => {
                versioned(name).is_some() && !configured.values().any(|named| named == name)
            }
            None => is_former_endpoint(path, configured) || is_former_part(cx, path),
        };
        is_former && !read.contains(*path)
    };
    Ok(all(cx)
        .await?
        .keys()
        .filter(is_superseded)
        .cloned()
        .collect())
}

/// Whether this is the address of another cache of the stack than the desired one.
fn is_former_endpoint(name: &str, configured: &BTreeMap<&'static str, String>) -> bool {
    let desired = configured.get(CACHE_ENDPOINT);
    is_endpoint(name) && desired.is_some_and(|desired| desired != name)
}

/// Whether this is a part of other stored settings than the configured ones, in a run with a configuration.
fn is_former_part(cx: &Context, name: &str) -> bool {
    stored::is_part(name) && !cx.options().stored_names.contains(name)
}

impl<const SECRET: bool> Kinds<SECRET> {
    fn path(name: &str) -> String {
        if SECRET {
            format!("secrets/{name}")
        } else {
            name.to_owned()
        }
    }
}

impl Secrets {
    /// The value of an existing secret.
    ///
    /// # Errors
    /// When the secret does not exist, or the listing fails.
    pub async fn value(cx: &Context, name: &str) -> Result<Secret, ResourceError> {
        let path = Self::path(name);
        let all = all(&cx.fresh()).await?;
        all.get(&path)
            .cloned()
            .ok_or_else(|| ResourceError::Blocked {
                what: format!("parameter {path} does not exist"),
                hint: None,
            })
    }

    /// Writes a secret again, with this key. One that no longer exists is not created.
    ///
    /// # Errors
    /// The error of the service.
    pub(super) async fn encrypt_again(
        cx: &Context,
        path: &str,
        key: &str,
    ) -> Result<(), ResourceError> {
        let all = all(&cx.fresh()).await?;
        let Some(value) = all.get(path).filter(|value| !is_sealed(path, value)) else {
            return Ok(());
        };
        let name = path.strip_prefix("secrets/").unwrap_or(path);
        let content = Content {
            kind: ParameterType::SecureString,
            value,
            key: Some(key),
        };
        let id = LogicalId::new(Kind::Secret, name);
        write(cx, &id, path, content, true).await
    }
}

impl<const SECRET: bool> ResourceKind for Kinds<SECRET> {
    type Actual = Actual;
    const KIND: Kind = if SECRET {
        Kind::Secret
    } else {
        Kind::Parameter
    };

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let all = all(cx).await?;
        let former = all.get(&Self::path(FORMER_CACHE_AUTH_TOKEN));
        let names = all.iter().filter_map(|(path, value)| {
            let name = if SECRET {
                path.strip_prefix("secrets/")
            } else {
                Some(path.as_str())
            }?;
            // The lock and the records of the attachment are managed by other modules.
            let is_endpoint = !SECRET && is_endpoint(name);
            let is_part = !SECRET && stored::is_part(name);
            let mine = SECRET || is_endpoint || is_part || is_record(name);
            let mut called = match is_endpoint {
                true => CACHE_ENDPOINT,
                false => name,
            };
            let configured = cx.options().secret_names.as_ref();
            let is_former = |names| is_former_endpoint(name, names) || is_former_part(cx, name);
            if !SECRET && configured.is_some_and(is_former) {
                return None;
            }
            if let (Some((base, _)), Some(configured)) = (versioned(name), configured) {
                // The other secrets are read by earlier versions, and are deleted with them.
                if SECRET && configured.get(base).map(String::as_str) != Some(name) {
                    return None;
                }
                called = base;
            }
            mine.then(|| Actual {
                id: LogicalId::new(Self::KIND, called),
                name: path.clone(),
                value: value.clone(),
                former: former.filter(|_| called == CACHE_AUTH_TOKEN).cloned(),
            })
        });
        Ok(Listing {
            owned: names.collect(),
            unmanaged: Vec::new(),
        })
    }

    fn identify(actual: &Actual) -> Identity {
        let mut attributes = BTreeMap::new();
        if SECRET && actual.id.name == CACHE_AUTH_TOKEN {
            attributes.insert(FINGERPRINT, fingerprint(&actual.value));
        }
        let output = Output {
            physical_id: actual.name.clone(),
            attributes,
        };
        Identity {
            id: actual.id.clone(),
            phase: Phase::Ready,
            output,
        }
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        remove(cx, &actual.name).await
    }

    async fn unmanaged(cx: &Context, actual: &Actual) -> Result<Option<Unmanaged>, ResourceError> {
        let is_ours = is_ours(cx, &actual.name).await?;
        let name = cx.names().parameter(&actual.name);
        Ok((!is_ours).then(|| Unmanaged {
            id: actual.id.clone(),
            physical_id: name,
            why: "is not managed by this stack (no stack tag)".to_owned(),
        }))
    }
}

/// The address of the stack's own cache, as the functions read it.
pub fn endpoint_url(endpoint: &str, tls: bool) -> String {
    let scheme = if tls { "rediss" } else { "redis" };
    format!("{scheme}://{endpoint}")
}

/// The source of a parameter's value.
#[derive(Debug)]
pub enum Source {
    /// From the configuration.
    Given(Secret),
    /// 32 random bytes as 64 hexadecimal digits, generated once and kept. A repeated call writes the
    /// same value.
    Random(OnceLock<Secret>),
    /// The endpoint of the cache as a URL, once the cache has one.
    Endpoint { cache: LogicalId, tls: bool },
}

/// A desired `SecureString` under `secrets/`.
pub type SecretParameter = Parameter<true>;
/// A desired plain parameter.
pub type PlainParameter = Parameter<false>;

/// A desired parameter.
#[derive(Debug)]
pub struct Parameter<const SECRET: bool> {
    pub name: Cow<'static, str>,
    pub source: Source,
    /// The parameter that shows that the stack has a KMS key of the operator, which exists before anything has this key.
    pub key_record: Option<LogicalId>,
}

impl<const SECRET: bool> Parameter<SECRET> {
    /// The required value; `None` if any value is valid.
    fn wanted(&self, cx: &Context) -> Option<Secret> {
        match &self.source {
            Source::Given(value) => Some(value.clone()),
            Source::Random(_) => None,
            Source::Endpoint { cache, tls } => {
                let endpoint = cx.known_output(cache)?.attributes.get("endpoint")?.clone();
                Some(Secret::from(endpoint_url(&endpoint, *tls)))
            }
        }
    }

    fn value(&self, cx: &Context) -> Result<Secret, ResourceError> {
        if let Source::Random(made) = &self.source {
            let fresh = crate::hex::random::<32>()?;
            return Ok(made.get_or_init(|| Secret::from(fresh)).clone());
        }
        self.wanted(cx)
            .ok_or_else(|| ResourceError::Bug(format!("parameter {} has no value yet", self.name)))
    }

    /// Whether this run replaces the AUTH token and has not done so yet. While another change of the token is not
    /// complete, the cache may know only the former one, so there is no newer one.
    fn rotates(&self, cx: &Context, actual: &Actual) -> bool {
        let Source::Random(made) = &self.source else {
            return false;
        };
        let mut former = actual.former.iter();
        self.name == CACHE_AUTH_TOKEN
            && cx.options().rotate_cache_token
            && made.get().is_none()
            && former.all(|former| *former == actual.value)
    }

    /// The key for a new secret. One that the live version may read gets the key of the others, which its role can use: a new
    /// key is proved first, with the secrets that only the next version reads.
    async fn key_of_new(&self, cx: &Context) -> Result<Option<String>, ResourceError> {
        let Some(keys) = keys(cx).await?.filter(|_| SECRET) else {
            return Ok(None);
        };
        let wanted = cx.options().kms_key.as_deref();
        let key = match VERSIONED.contains(&self.name.as_ref()) {
            true => wanted,
            false => [HASH_KEY, CACHE_AUTH_TOKEN]
                .into_iter()
                .find_map(|name| keys.of(&secret_path(name)))
                .unwrap_or(wanted),
        };
        Ok(Some(key.unwrap_or(DEFAULT).to_owned()))
    }

    /// The key of an existing secret, which stays.
    async fn key_of(&self, cx: &Context, path: &str) -> Result<Option<String>, ResourceError> {
        let Some(keys) = keys(cx).await?.filter(|_| SECRET) else {
            return Ok(None);
        };
        let key = keys.of(path).unwrap_or(cx.options().kms_key.as_deref());
        Ok(Some(key.unwrap_or(DEFAULT).to_owned()))
    }

    fn kind() -> ParameterType {
        if SECRET {
            ParameterType::SecureString
        } else {
            ParameterType::String
        }
    }
}

impl<const SECRET: bool> Resource for Parameter<SECRET> {
    type Kind = Kinds<SECRET>;

    fn name(&self) -> &str {
        &self.name
    }

    fn needs(&self) -> Vec<LogicalId> {
        let cache = match &self.source {
            Source::Endpoint { cache, .. } => Some(cache.clone()),
            _ => None,
        };
        cache.into_iter().chain(self.key_record.clone()).collect()
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        let same = match (&self.source, self.wanted(cx)) {
            (Source::Random(_), _) => true,
            (_, wanted) => wanted.as_ref() == Some(&actual.value),
        };
        if !same {
            // Neither value is shown, because one of them may be a secret.
            diff.field(VALUE, "(not shown)", "(as configured, not shown)");
        }
        if self.rotates(cx, actual) {
            diff.field(VALUE, "(present)", NEW);
        }
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let id = LogicalId::new(Self::Kind::KIND, self.name.as_ref());
        let names = cx.options().secret_names.as_ref();
        let name = names.and_then(|names| names.get(self.name.as_ref()));
        let name = name.map_or(self.name.as_ref(), String::as_str);
        let key = self.key_of_new(cx).await?;
        let content = Content {
            kind: Self::kind(),
            value: &self.value(cx)?,
            key: key.as_deref(),
        };
        write(cx, &id, &Kinds::<SECRET>::path(name), content, false).await
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        _diff: &Diff,
    ) -> Result<(), ResourceError> {
        let key = self.key_of(cx, &actual.name).await?;
        let content = |value| Content {
            kind: Self::kind(),
            value,
            key: key.as_deref(),
        };
        if self.rotates(cx, actual) {
            // The functions use it until the cache has the new one.
            let id = LogicalId::new(Self::Kind::KIND, FORMER_CACHE_AUTH_TOKEN);
            let path = secret_path(FORMER_CACHE_AUTH_TOKEN);
            let exists = actual.former.is_some();
            write(cx, &id, &path, content(&actual.value), exists).await?;
        }
        let value = self.value(cx)?;
        write(cx, &actual.id, &actual.name, content(&value), true).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::from(text.to_owned())
    }

    #[test]
    fn a_new_value_never_takes_the_name_of_another() {
        let all: BTreeMap<_, _> = [
            ("secrets/service-token", "a"),
            ("secrets/service-token-2", "c"),
            ("secrets/service-token-x", "d"),
            ("secrets/service-tokens", "e"),
            ("secrets/cache-url", "f"),
            ("service-token-9", "d"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), secret(value)))
        .collect();
        let chosen = |base, value, all| choose(base, &secret(value), all, |_| true);
        assert_eq!(chosen(SERVICE_TOKEN, "a", &all), "service-token");
        assert_eq!(chosen(SERVICE_TOKEN, "c", &all), "service-token-2");
        for new in ["b", "d", "e", "f"] {
            assert_eq!(chosen(SERVICE_TOKEN, new, &all), "service-token-3");
        }
        assert_eq!(chosen(CACHE_URL, "f", &all), "cache-url");
        assert_eq!(chosen(CACHE_URL, "a", &all), "cache-url-1");
        assert_eq!(chosen(CACHE_URL, "a", &BTreeMap::new()), "cache-url");
        // The same value with another key.
        let keyed = |value, with: &str| {
            let has_key = |path: &str| path == with;
            choose(SERVICE_TOKEN, &secret(value), &all, has_key)
        };
        assert_eq!(keyed("a", "secrets/service-token-2"), "service-token-3");
        assert_eq!(keyed("a", "secrets/service-token"), "service-token");
    }

    #[test]
    fn a_function_without_the_variables_reads_the_plain_names() {
        let mut environment = BTreeMap::new();
        assert_eq!(
            read_by(&environment),
            ["secrets/service-token", "secrets/cache-url"]
        );
        environment.insert(
            TOKEN_PARAMETER.to_owned(),
            "secrets/service-token-1".to_owned(),
        );
        environment.insert(CACHE_PARAMETER.to_owned(), CACHE_ENDPOINT.to_owned());
        let settings = r#"{"stored_rules":{"digest":"0123456789ab","parts":1,"count":99}}"#;
        environment.insert(SETTINGS.to_owned(), settings.to_owned());
        assert_eq!(
            read_by(&environment),
            [
                "secrets/service-token-1",
                "cache-endpoint",
                "rules-0123456789ab-1"
            ]
        );
    }
}

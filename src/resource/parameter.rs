//! What cannot be found again is written to SSM Parameter Store: the secrets, and what the functions read at start.
//!
//! One listing by path answers for all of them, and for the lock and the attachment's records as well.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use aws_sdk_ssm::types::{ParameterType, ResourceTypeForTagging, Tag};
use sha2::{Digest as _, Sha256};

use super::{
    Cx, Diff, Foreign, Identity, Kind, Listing, LogicalId, Output, Phase, Resource, ResourceKind,
};
use crate::aws::ec2::pages;
use crate::aws::{AwsError, optional, tags};
use crate::secret::Secret;

/// The service token; the functions read it at start.
pub const SERVICE_TOKEN: &str = "service-token";
/// The cache's AUTH token, which we make.
pub const CACHE_AUTH_TOKEN: &str = "cache-auth-token";
/// The key of the hashes that stand for credentials in the cache.
pub const HASH_KEY: &str = "hash-key";
/// The URL, credentials included, of a cache that the operator brought.
pub const CACHE_URL: &str = "cache-url";
/// The address of our cache.
pub const CACHE_ENDPOINT: &str = "cache-endpoint";
/// There while `down` must refuse.
pub const DELETION_PROTECTION: &str = "deletion-protection";

/// The attribute of the AUTH token that tells two tokens apart.
pub const FINGERPRINT: &str = "fingerprint";

/// The head of a hash of a secret. Only for secrets of 32 random bytes, of which it tells nothing.
pub fn fingerprint(secret: &Secret) -> String {
    Sha256::digest(secret.expose().as_bytes())[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A parameter as the account has it.
#[derive(Debug, Clone)]
pub struct Actual {
    id: LogicalId,
    name: String,
    value: Secret,
}

/// The kind of secrets (`SecureString` under `secrets/`), or of plain parameters.
#[derive(Debug)]
pub struct Kinds<const SECRET: bool>;
/// Secrets.
pub type Secrets = Kinds<true>;
/// Plain parameters.
pub type Parameters = Kinds<false>;

/// Every parameter of the stack, by its name below the stack's path.
///
/// # Errors
/// When the listing fails.
pub async fn all(cx: &Cx) -> Result<Arc<BTreeMap<String, Secret>>, AwsError> {
    let ask = async {
        let prefix = cx.names().parameters();
        let request = cx
            .aws()
            .ssm
            .get_parameters_by_path()
            .path(&prefix)
            .recursive(true)
            .with_decryption(true);
        let parameters = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = cx
                .aws()
                .repeatable("ssm:GetParametersByPath", || request.clone().send())
                .await?;
            Ok((page.parameters, page.next_token))
        })
        .await?;
        let below = |name: String| name.strip_prefix(&format!("{prefix}/")).map(str::to_owned);
        Ok(parameters
            .into_iter()
            .filter_map(|parameter| {
                Some((
                    below(parameter.name?)?,
                    Secret::from(parameter.value.unwrap_or_default()),
                ))
            })
            .collect::<BTreeMap<_, _>>())
    };
    cx.view().once("parameters", ask).await
}

/// Writes a plain parameter; a new one with the tags of `id`.
///
/// # Errors
/// What the service answers; `ParameterAlreadyExists` for a second new one.
pub async fn put(
    cx: &Cx,
    id: &LogicalId,
    name: &str,
    value: &str,
    overwrite: bool,
) -> Result<(), AwsError> {
    write(
        cx,
        id,
        name,
        ParameterType::String,
        &Secret::from(value.to_owned()),
        overwrite,
    )
    .await
}

/// Deletes a parameter; an absent one is fine.
///
/// # Errors
/// What the service answers.
pub async fn remove(cx: &Cx, name: &str) -> Result<(), AwsError> {
    let request = cx
        .aws()
        .ssm
        .delete_parameter()
        .name(cx.names().parameter(name));
    optional(
        cx.aws()
            .repeatable("ssm:DeleteParameter", || request.clone().send())
            .await,
    )?;
    Ok(())
}

async fn write(
    cx: &Cx,
    id: &LogicalId,
    name: &str,
    kind: ParameterType,
    value: &Secret,
    overwrite: bool,
) -> Result<(), AwsError> {
    let mut request = cx
        .aws()
        .ssm
        .put_parameter()
        .name(cx.names().parameter(name))
        .value(value.expose())
        .r#type(kind);
    if overwrite {
        request = request.overwrite(true);
    } else {
        // Tags go with a new parameter only; SSM refuses them together with overwrite.
        let tags = cx
            .tags(id)
            .into_iter()
            .map(|(key, value)| Tag::builder().key(key).value(value).build());
        let tags: Result<Vec<_>, _> = tags.collect();
        request = request.set_tags(Some(
            tags.map_err(|e| AwsError::unexpected("ssm:PutParameter", e.to_string()))?,
        ));
    }
    let repeat = if overwrite {
        crate::aws::Repeat::Safe
    } else {
        crate::aws::Repeat::Unsafe
    };
    cx.aws()
        .call("ssm:PutParameter", repeat, || request.clone().send())
        .await?;
    Ok(())
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
    /// The value of a secret that is there.
    ///
    /// # Errors
    /// When it is not, or the listing fails.
    pub async fn value(cx: &Cx, name: &str) -> Result<Secret, AwsError> {
        let path = Self::path(name);
        let all = all(&cx.fresh()).await?;
        all.get(&path).cloned().ok_or_else(|| {
            AwsError::unexpected("ssm:GetParametersByPath", format!("{path} is missing"))
        })
    }
}

impl<const SECRET: bool> ResourceKind for Kinds<SECRET> {
    type Actual = Actual;
    const KIND: Kind = if SECRET {
        Kind::Secret
    } else {
        Kind::Parameter
    };

    async fn list(cx: &Cx) -> Result<Listing<Actual>, AwsError> {
        let all = all(cx).await?;
        let names = all.iter().filter_map(|(path, value)| {
            let name = if SECRET {
                path.strip_prefix("secrets/")
            } else {
                Some(path.as_str())
            }?;
            // The lock and the records of the attachment have keepers of their own.
            let mine = SECRET || name == CACHE_ENDPOINT || name == DELETION_PROTECTION;
            mine.then(|| Actual {
                id: LogicalId::new(Self::KIND, name),
                name: path.clone(),
                value: value.clone(),
            })
        });
        Ok(Listing {
            owned: names.collect(),
            foreign: Vec::new(),
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

    async fn delete(cx: &Cx, actual: &Actual) -> Result<(), AwsError> {
        remove(cx, &actual.name).await
    }

    async fn foreign(cx: &Cx, actual: &Actual) -> Result<Option<Foreign>, AwsError> {
        let name = cx.names().parameter(&actual.name);
        let request = cx
            .aws()
            .ssm
            .list_tags_for_resource()
            .resource_type(ResourceTypeForTagging::Parameter)
            .resource_id(&name);
        let answer = cx
            .aws()
            .repeatable("ssm:ListTagsForResource", || request.clone().send())
            .await;
        // Somebody may have deleted it meanwhile.
        if matches!(&answer, Err(error) if error.code == "InvalidResourceId") {
            return Ok(None);
        }
        let listed = answer?.tag_list.unwrap_or_default();
        let tags = tags::collect(
            listed
                .iter()
                .map(|tag| (Some(tag.key()), Some(tag.value()))),
        );
        let is_ours = tags::owner(&cx.names().stack, &tags).is_some();
        Ok((!is_ours).then(|| Foreign {
            id: actual.id.clone(),
            physical_id: name,
            why: "it lacks this stack's tags".to_owned(),
        }))
    }
}

/// Where a parameter's value comes from.
#[derive(Debug)]
pub enum Source {
    /// From the configuration.
    Given(Secret),
    /// 32 random bytes as 64 hexadecimal digits, made once and kept. A repeated call writes the same.
    Random(OnceLock<Secret>),
    /// The endpoint of the cache as a URL, when the cache has one.
    Endpoint { cache: LogicalId, tls: bool },
}

/// A parameter as it should be.
#[derive(Debug)]
pub struct Parameter<const SECRET: bool> {
    pub name: &'static str,
    pub source: Source,
}

impl<const SECRET: bool> Parameter<SECRET> {
    /// The value it must have; `None` where any will do.
    fn wanted(&self, cx: &Cx) -> Option<Secret> {
        match &self.source {
            Source::Given(value) => Some(value.clone()),
            Source::Random(_) => None,
            Source::Endpoint { cache, tls } => {
                let endpoint = cx.peek(cache)?.attributes.get("endpoint")?.clone();
                let scheme = if *tls { "rediss" } else { "redis" };
                Some(Secret::from(format!("{scheme}://{endpoint}")))
            }
        }
    }

    fn value(&self, cx: &Cx) -> Result<Secret, AwsError> {
        if let Source::Random(made) = &self.source {
            let fresh = crate::aws::random_hex::<32>("ssm:PutParameter")?;
            return Ok(made.get_or_init(|| Secret::from(fresh)).clone());
        }
        self.wanted(cx).ok_or_else(|| {
            AwsError::unexpected(
                "ssm:PutParameter",
                format!("{} has no value yet", self.name),
            )
        })
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
        self.name
    }

    fn needs(&self) -> Vec<LogicalId> {
        match &self.source {
            Source::Endpoint { cache, .. } => vec![cache.clone()],
            _ => Vec::new(),
        }
    }

    fn diff(&self, cx: &Cx, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        let same = match (&self.source, self.wanted(cx)) {
            (Source::Random(_), _) => true,
            (_, wanted) => wanted.as_ref() == Some(&actual.value),
        };
        if !same {
            // Neither value is shown: one of them may be a secret.
            diff.field("value", "(another)", "(as configured)");
        }
        diff
    }

    async fn create(&self, cx: &Cx) -> Result<(), AwsError> {
        let id = LogicalId::new(Self::Kind::KIND, self.name);
        write(
            cx,
            &id,
            &Kinds::<SECRET>::path(self.name),
            Self::kind(),
            &self.value(cx)?,
            false,
        )
        .await
    }

    async fn update(&self, cx: &Cx, actual: &Actual, _diff: &Diff) -> Result<(), AwsError> {
        write(
            cx,
            &actual.id,
            &actual.name,
            Self::kind(),
            &self.value(cx)?,
            true,
        )
        .await
    }
}

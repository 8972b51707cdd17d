//! The parameters of the stack in SSM Parameter Store, as the service has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_ssm::operation::put_parameter::builders::PutParameterFluentBuilder;
use aws_sdk_ssm::types::{ParameterType, ResourceTypeForTagging, Tag};
use jiff::{SignedDuration, Timestamp};

use super::parameter_keys::{self, Keys};
use super::{Context, ResourceError};
use crate::aws::kept::{self, timestamp};
use crate::aws::paginate::pages;
use crate::aws::{Idempotency, carried_out, optional, tags};
use crate::id::LogicalId;
use crate::secret::Secret;

/// Exists while a secret may have a KMS key of the operator.
pub const KMS_KEY: &str = "kms-key";

/// Every parameter of the stack, by its name below the stack's path.
///
/// # Errors
/// When the listing fails.
pub async fn all(cx: &Context) -> Result<Arc<BTreeMap<String, Secret>>, ResourceError> {
    let ask = async {
        let stored = list(cx).await?.into_iter();
        Ok(stored
            .map(|(name, parameter)| (name, parameter.value))
            .collect::<BTreeMap<_, _>>())
    };
    cx.listings().get_or_fetch("parameters", ask).await
}

/// A parameter as the service has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub value: Secret,
    /// Counts the writes since the parameter was created, from 1.
    pub version: i64,
    /// When it was last written, by the service's clock.
    pub written: Option<Timestamp>,
    /// How long ago that is, by the service's clock; `None` if the service does not say.
    pub age: Option<SignedDuration>,
}

/// Requests every parameter of the stack, by its name below the stack's path. If a key cannot be used, the secrets are empty:
/// `down` needs none of them.
///
/// # Errors
/// When the listing fails.
pub async fn list(cx: &Context) -> Result<BTreeMap<String, Stored>, ResourceError> {
    match read(cx, true).await {
        Err(ResourceError::Aws(error)) if error.is_about_key() => read(cx, false).await,
        listed => listed,
    }
}

/// The same without the values of secrets, which needs no key.
///
/// # Errors
/// When the listing fails.
pub async fn list_sealed(cx: &Context) -> Result<BTreeMap<String, Stored>, ResourceError> {
    read(cx, false).await
}

pub(super) async fn read(
    cx: &Context,
    decrypts: bool,
) -> Result<BTreeMap<String, Stored>, ResourceError> {
    let prefix = cx.names().parameters();
    let request = cx
        .aws()
        .ssm
        .get_parameters_by_path()
        .path(&prefix)
        .recursive(true)
        .with_decryption(decrypts);
    let parameters = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let send = || {
            let answered = kept::date();
            let request = request.clone().customize().interceptor(answered.clone());
            async move { request.send().await.map(|page| (page, answered.take())) }
        };
        let asked = cx.aws().call_idempotent("ssm:GetParametersByPath", send);
        let (page, answered) = asked.await?;
        let listed = page.parameters.unwrap_or_default().into_iter();
        let dated = listed.map(|parameter| (parameter, answered)).collect();
        Ok((Some(dated), page.next_token))
    })
    .await?;
    let below = |name: String| name.strip_prefix(&format!("{prefix}/")).map(str::to_owned);
    Ok(parameters
        .into_iter()
        .filter_map(|(parameter, answered)| {
            let written = parameter.last_modified_date.as_ref().and_then(timestamp);
            let age = written.zip(answered);
            let is_secret = parameter.r#type == Some(ParameterType::SecureString);
            let value = parameter.value.filter(|_| decrypts || !is_secret);
            let stored = Stored {
                value: Secret::from(value.unwrap_or_default()),
                version: parameter.version,
                written,
                age: age.map(|(written, answered)| answered.duration_since(written)),
            };
            Some((below(parameter.name?)?, stored))
        })
        .collect())
}

/// The most names that one call reads. Source: SSM `GetParameters`.
pub const NAMES_PER_CALL: usize = 10;

/// The values of these plain parameters, as far as they exist, and when they were last written, by the service's clock.
///
/// # Errors
/// When a call fails.
pub async fn values(
    cx: &Context,
    names: &[String],
) -> Result<Vec<(Secret, Option<Timestamp>)>, ResourceError> {
    let mut values = Vec::new();
    for names in names.chunks(NAMES_PER_CALL) {
        let names = names.iter().map(|name| cx.names().parameter(name));
        let request = cx
            .aws()
            .ssm
            .get_parameters()
            .set_names(Some(names.collect()));
        let answer = cx
            .aws()
            .call_idempotent("ssm:GetParameters", || request.clone().send())
            .await?;
        let found = answer.parameters.unwrap_or_default().into_iter();
        values.extend(found.filter_map(|found| {
            let written = found.last_modified_date.as_ref().and_then(timestamp);
            Some((Secret::from(found.value?), written))
        }));
    }
    Ok(values)
}

/// Writes a plain parameter; a new one gets the tags of `id`.
///
/// # Errors
/// The error of the service; `ParameterAlreadyExists` if a new one exists already.
pub async fn put(
    cx: &Context,
    id: &LogicalId,
    name: &str,
    value: &str,
    overwrite: bool,
) -> Result<(), ResourceError> {
    let value = Secret::from(value.to_owned());
    write(cx, id, name, Content::plain(&value), overwrite).await
}

/// [`put`] once: if the response is lost, the caller must read the parameter before another write.
/// Returns the version of the parameter.
///
/// # Errors
/// The error of the service.
pub async fn put_once(
    cx: &Context,
    id: &LogicalId,
    name: &str,
    value: &str,
    overwrite: bool,
) -> Result<i64, ResourceError> {
    let value = Secret::from(value.to_owned());
    let request = request(cx, id, name, Content::plain(&value), overwrite)?;
    let put = cx
        .aws()
        .call_non_idempotent("ssm:PutParameter", || request.clone().send());
    Ok(put.await?.version)
}

/// [`remove`] once: if the response is lost, the caller must read the parameter before it deletes
/// again.
///
/// # Errors
/// The error of the service.
pub async fn remove_once(cx: &Context, name: &str) -> Result<(), ResourceError> {
    delete(cx, name, Idempotency::Unsafe).await
}

/// Deletes a parameter; an absent one is not an error.
///
/// # Errors
/// The error of the service.
pub async fn remove(cx: &Context, name: &str) -> Result<(), ResourceError> {
    delete(cx, name, Idempotency::Safe).await
}

async fn delete(cx: &Context, name: &str, repeat: Idempotency) -> Result<(), ResourceError> {
    let request = cx
        .aws()
        .ssm
        .delete_parameter()
        .name(cx.names().parameter(name));
    let deleted = cx
        .aws()
        .call("ssm:DeleteParameter", repeat, || request.clone().send())
        .await;
    optional(carried_out(deleted))?;
    Ok(())
}

/// What is written.
pub(super) struct Content<'a> {
    pub kind: ParameterType,
    pub value: &'a Secret,
    /// Without a key, the service uses the default one, also for what had another one.
    pub key: Option<&'a str>,
}

impl<'a> Content<'a> {
    fn plain(value: &'a Secret) -> Self {
        Self {
            kind: ParameterType::String,
            value,
            key: None,
        }
    }
}

/// The request that writes a parameter.
fn request(
    cx: &Context,
    id: &LogicalId,
    name: &str,
    content: Content<'_>,
    overwrite: bool,
) -> Result<PutParameterFluentBuilder, ResourceError> {
    let request = cx
        .aws()
        .ssm
        .put_parameter()
        .name(cx.names().parameter(name))
        .value(content.value.expose())
        .set_key_id(content.key.map(str::to_owned))
        .r#type(content.kind);
    if overwrite {
        return Ok(request.overwrite(true));
    }
    // Tags are set only on a new parameter; SSM rejects them together with overwrite.
    let tags = cx
        .tags(id)
        .into_iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build());
    let tags: Result<Vec<_>, _> = tags.collect();
    Ok(request.set_tags(Some(tags?)))
}

pub(super) async fn write(
    cx: &Context,
    id: &LogicalId,
    name: &str,
    content: Content<'_>,
    overwrite: bool,
) -> Result<(), ResourceError> {
    let request = request(cx, id, name, content, overwrite)?;
    let repeat = if overwrite {
        Idempotency::Safe
    } else {
        Idempotency::Unsafe
    };
    let written = cx
        .aws()
        .call("ssm:PutParameter", repeat, || request.clone().send())
        .await;
    Ok(carried_out(written)?)
}

/// Whether a parameter, by its name below the stack's path, has the stack's tags. One that no
/// longer exists counts as this stack's.
///
/// # Errors
/// The error of the service.
pub async fn is_ours(cx: &Context, name: &str) -> Result<bool, ResourceError> {
    let tags = tags_of(cx, name).await?;
    Ok(tags.is_none_or(|tags| tags::owner(&cx.names().stack, &tags).is_some()))
}

/// The tags of a parameter, by its name below the stack's path; `None` if it does not exist.
///
/// # Errors
/// The error of the service.
pub async fn tags_of(
    cx: &Context,
    name: &str,
) -> Result<Option<BTreeMap<String, String>>, ResourceError> {
    let name = cx.names().parameter(name);
    let request = cx
        .aws()
        .ssm
        .list_tags_for_resource()
        .resource_type(ResourceTypeForTagging::Parameter)
        .resource_id(&name);
    let answer = cx
        .aws()
        .call_idempotent("ssm:ListTagsForResource", || request.clone().send())
        .await;
    // Another user may have deleted it since the listing.
    if matches!(&answer, Err(error) if error.code == "InvalidResourceId") {
        return Ok(None);
    }
    let listed = answer?.tag_list.unwrap_or_default();
    Ok(Some(tags::collect(
        listed
            .iter()
            .map(|tag| (Some(tag.key()), Some(tag.value()))),
    )))
}

/// The keys of the secrets; `None` if neither the configuration nor the stack has a KMS key of the operator.
///
/// # Errors
/// When a listing fails.
pub async fn keys(cx: &Context) -> Result<Option<Arc<Keys>>, ResourceError> {
    let options = cx.options();
    let is_known = options.kms_key.is_some() || options.had_kms_key;
    if !is_known && !all(cx).await?.contains_key(KMS_KEY) {
        return Ok(None);
    }
    known_keys(cx).await.map(Some)
}

/// The keys of the secrets, also if nothing shows that they have another one than the default key.
///
/// # Errors
/// When the listing fails.
pub async fn known_keys(cx: &Context) -> Result<Arc<Keys>, ResourceError> {
    let keys = cx.listings().get_or_fetch("keys", parameter_keys::read(cx));
    keys.await
}

/// Whether this is a secret that could not be decrypted. The service stores no empty values.
pub(super) fn is_sealed(path: &str, value: &Secret) -> bool {
    path.starts_with("secrets/") && value.expose().is_empty()
}

//! The calls for the versions and aliases of a function.

use std::collections::HashMap;

use aws_sdk_lambda::types::{AliasConfiguration, AliasRoutingConfiguration, State};

use super::function::{Content, ensure_readable};
use super::function_versions::{self as versions, Version};
use super::{Context, ResourceError};
use crate::aws::optional;
use crate::aws::paginate::pages;
use crate::names::LIVE;

/// The versions that an alias points to.
pub(super) fn leads_to(alias: &AliasConfiguration) -> Vec<u64> {
    let weights = alias
        .routing_config()
        .and_then(|routing| routing.additional_version_weights());
    let main = alias.function_version().map(str::to_owned);
    let more = weights
        .into_iter()
        .flat_map(|weights| weights.keys().cloned());
    main.into_iter()
        .chain(more)
        .filter_map(|version| version.parse().ok())
        .collect()
}

/// The published versions, ascending.
pub(super) async fn published(cx: &Context, function: &str) -> Result<Vec<Version>, ResourceError> {
    let request = cx
        .aws()
        .lambda
        .list_versions_by_function()
        .function_name(function);
    let found = pages(|marker| async {
        let request = request.clone().set_marker(marker);
        let page = optional(
            cx.aws()
                .call_idempotent("lambda:ListVersionsByFunction", || request.clone().send())
                .await,
        )?;
        Ok(page.map_or((None, None), |page| (page.versions, page.next_marker)))
    })
    .await?;
    for version in &found {
        ensure_readable(cx, version)?;
    }
    let mut versions: Vec<_> = found
        .iter()
        .filter_map(|version| {
            Some(Version {
                // `$LATEST` is listed as well, but is not a published version.
                number: version.version()?.parse().ok()?,
                content: Content::of(version),
                is_transition: version.description().is_some_and(versions::is_transition),
            })
        })
        .collect();
    versions.sort_by_key(|version| version.number);
    versions.dedup_by_key(|version| version.number);
    Ok(versions)
}

/// Every alias, including those of other users.
pub(super) async fn aliases(
    cx: &Context,
    function: &str,
) -> Result<Vec<AliasConfiguration>, ResourceError> {
    let request = cx.aws().lambda.list_aliases().function_name(function);
    let found = pages(|marker| async {
        let request = request.clone().set_marker(marker);
        let page = optional(
            cx.aws()
                .call_idempotent("lambda:ListAliases", || request.clone().send())
                .await,
        )?;
        Ok(page.map_or((None, None), |page| (page.aliases, page.next_marker)))
    })
    .await?;
    Ok(found)
}

/// Whether a version cannot be invoked yet.
pub(super) async fn is_pending(
    cx: &Context,
    function: &str,
    version: u64,
) -> Result<bool, ResourceError> {
    let request = cx
        .aws()
        .lambda
        .get_function_configuration()
        .function_name(function)
        .qualifier(version.to_string());
    let answer = optional(
        cx.aws()
            .call_idempotent("lambda:GetFunctionConfiguration", || request.clone().send())
            .await,
    )?;
    Ok(answer.is_some_and(|answer| answer.state == Some(State::Pending)))
}

/// Publishes the current function. If nothing changed since the last version, Lambda returns that
/// version.
pub(super) async fn publish(
    cx: &Context,
    function: &str,
    description: &str,
) -> Result<(), ResourceError> {
    let request = cx
        .aws()
        .lambda
        .publish_version()
        .function_name(function)
        .description(description);
    cx.aws()
        .call_idempotent("lambda:PublishVersion", || request.clone().send())
        .await?;
    Ok(())
}

/// Makes the alias point to `version` only, and records the previous version.
pub(super) async fn move_alias(
    cx: &Context,
    function: &str,
    version: u64,
    previous: Option<u64>,
) -> Result<(), ResourceError> {
    let request = cx
        .aws()
        .lambda
        .update_alias()
        .function_name(function)
        .name(LIVE)
        .function_version(version.to_string())
        .description(versions::description(previous))
        .routing_config(
            AliasRoutingConfiguration::builder()
                .set_additional_version_weights(Some(HashMap::new()))
                .build(),
        );
    cx.aws()
        .call_idempotent("lambda:UpdateAlias", || request.clone().send())
        .await?;
    Ok(())
}

/// Deletes a version; an absent one is not an error.
pub(super) async fn delete_version(
    cx: &Context,
    function: &str,
    version: u64,
) -> Result<(), ResourceError> {
    let request = cx
        .aws()
        .lambda
        .delete_function()
        .function_name(function)
        .qualifier(version.to_string());
    optional(
        cx.aws()
            .call_idempotent("lambda:DeleteFunction", || request.clone().send())
            .await,
    )?;
    Ok(())
}

/// Creates the alias, which points to `version`.
pub(super) async fn create_alias(
    cx: &Context,
    function: &str,
    version: u64,
) -> Result<(), ResourceError> {
    let request = cx
        .aws()
        .lambda
        .create_alias()
        .function_name(function)
        .name(LIVE)
        .function_version(version.to_string())
        .description(versions::description(None));
    cx.aws()
        .call_non_idempotent("lambda:CreateAlias", || request.clone().send())
        .await?;
    Ok(())
}

/// Deletes an alias; an absent one is not an error.
pub(super) async fn delete_alias(
    cx: &Context,
    function: &str,
    alias: &str,
) -> Result<(), ResourceError> {
    let request = cx
        .aws()
        .lambda
        .delete_alias()
        .function_name(function)
        .name(alias);
    optional(
        cx.aws()
            .call_idempotent("lambda:DeleteAlias", || request.clone().send())
            .await,
    )?;
    Ok(())
}

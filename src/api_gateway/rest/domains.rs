//! The custom domain names that lead to an API.

use aws_sdk_apigateway::types::RoutingMode;

use crate::aws::paginate::pages;
use crate::aws::{AwsError, optional};
use crate::resource::Context;

/// A base path of a custom domain name that leads to an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    pub domain: String,
    /// Empty for the root of the domain.
    pub base_path: String,
    /// `None` if callers name the stage in the path.
    pub stage: Option<String>,
}

/// The mappings of the account that lead to the API, and the domain names that also have routing rules, which this program does
/// not read.
///
/// # Errors
/// When a listing fails.
pub async fn mappings(cx: &Context, api_id: &str) -> Result<(Vec<Mapping>, Vec<String>), AwsError> {
    let request = cx.aws().apigateway.get_domain_names().limit(500);
    let domains = pages(|position| async {
        let request = request.clone().set_position(position);
        let page = cx
            .aws()
            .call_idempotent("apigateway:GetDomainNames", || request.clone().send())
            .await?;
        Ok((page.items, page.position))
    })
    .await?;
    let (mut mappings, mut routed) = (Vec::new(), Vec::new());
    for domain in domains {
        let Some(name) = domain.domain_name else {
            continue;
        };
        let has_rules = |mode: &RoutingMode| *mode != RoutingMode::BasePathMappingOnly;
        if domain.routing_mode.as_ref().is_some_and(has_rules) {
            routed.push(name.clone());
        }
        let request = cx
            .aws()
            .apigateway
            .get_base_path_mappings()
            .domain_name(&name)
            // Private domain names are named by their id, too.
            .set_domain_name_id(domain.domain_name_id)
            .limit(500);
        let found = pages(|position| async {
            let request = request.clone().set_position(position);
            // Another user may delete the domain name meanwhile.
            let page = optional(
                cx.aws()
                    .call_idempotent("apigateway:GetBasePathMappings", || request.clone().send())
                    .await,
            )?;
            Ok(page.map_or((None, None), |page| (page.items, page.position)))
        })
        .await?;
        let of_api = found
            .into_iter()
            .filter(|mapping| mapping.rest_api_id.as_deref() == Some(api_id));
        mappings.extend(of_api.map(|mapping| {
            Mapping {
                domain: name.clone(),
                // The service names the root `(none)`.
                base_path: mapping
                    .base_path
                    .filter(|path| path != "(none)")
                    .unwrap_or_default(),
                stage: mapping.stage.filter(|stage| !stage.is_empty()),
            }
        }));
    }
    Ok((mappings, routed))
}

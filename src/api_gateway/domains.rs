//! The custom domain names that lead to an API.
//!
//! Both versions of API Gateway list the same domain names. Only version 2 has the mappings of HTTP APIs, mappings with several
//! segments, and routing rules; only version 1 has the mappings of private domain names.
//! Source: API Gateway Developer Guide, "Map API stages to a custom domain name" and "Routing rules".

use std::collections::BTreeMap;

use aws_sdk_apigateway::types::{DomainName, EndpointType, RoutingMode};
use aws_sdk_apigatewayv2::types::RoutingRule;

use super::target::ApiTarget;
use crate::aws::paginate::pages;
use crate::aws::{AwsError, Class, optional};
use crate::resource::Context;

/// A base path of a custom domain name that leads to an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    pub domain: String,
    /// Without slashes at its ends; empty for the root of the domain.
    pub base_path: String,
    /// `None` if callers name the stage in the path.
    pub stage: Option<String>,
    /// Whether it is one of a routing rule.
    pub is_rule: bool,
}

/// The ways to an API, and the domain names whose routing rules the operator may not read, each with the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ways {
    pub mappings: Vec<Mapping>,
    pub unread: Vec<String>,
}

/// The mappings and routing rules of the account that lead to the API.
///
/// # Errors
/// When a listing fails.
pub async fn ways(cx: &Context, api_id: &str) -> Result<Ways, AwsError> {
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
    let mut ways = Ways::default();
    for domain in domains {
        let Some(name) = &domain.domain_name else {
            continue;
        };
        let mode = domain.routing_mode.as_ref();
        if mode != Some(&RoutingMode::RoutingRuleOnly) {
            let found = match is_private(&domain) {
                true => base_paths_of_private(cx, &domain, name, api_id).await?,
                false => mappings(cx, name, api_id).await?,
            };
            ways.mappings.extend(found);
        }
        if mode.is_none_or(|mode| *mode == RoutingMode::BasePathMappingOnly) {
            continue;
        }
        match rules(cx, &domain, name).await {
            Ok(rules) => ways.mappings.extend(led_to(name, rules, api_id)),
            Err(error) if error.class == Class::Denied => ways.unread.push(format!(
                "the routing rules of the custom domain name {name} could not be read: {error}"
            )),
            Err(error) => return Err(error),
        }
    }
    Ok(ways)
}

fn is_private(domain: &DomainName) -> bool {
    let endpoint = domain.endpoint_configuration.as_ref();
    endpoint.is_some_and(|endpoint| endpoint.types().contains(&EndpointType::Private))
}

/// The mappings of a domain name that lead to the API.
async fn mappings(cx: &Context, domain: &str, api_id: &str) -> Result<Vec<Mapping>, AwsError> {
    let request = cx.aws().apigatewayv2.get_api_mappings().domain_name(domain);
    let found = pages(|token| async {
        let request = request.clone().set_next_token(token);
        // Another user may delete the domain name meanwhile.
        let page = optional(
            cx.aws()
                .call_idempotent("apigateway:GetApiMappings", || request.clone().send())
                .await,
        )?;
        Ok(page.map_or((None, None), |page| (page.items, page.next_token)))
    })
    .await?;
    let of_api = found
        .into_iter()
        .filter(|mapping| mapping.api_id.as_deref() == Some(api_id));
    let mapping = |found: aws_sdk_apigatewayv2::types::ApiMapping| Mapping {
        domain: domain.to_owned(),
        base_path: trimmed(found.api_mapping_key.as_deref()),
        stage: found.stage.filter(|stage| !stage.is_empty()),
        is_rule: false,
    };
    Ok(of_api.map(mapping).collect())
}

async fn base_paths_of_private(
    cx: &Context,
    domain: &DomainName,
    name: &str,
    api_id: &str,
) -> Result<Vec<Mapping>, AwsError> {
    let request = cx
        .aws()
        .apigateway
        .get_base_path_mappings()
        .domain_name(name)
        .set_domain_name_id(domain.domain_name_id.clone())
        .limit(500);
    let found = pages(|position| async {
        let request = request.clone().set_position(position);
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
    let mapping = |found: aws_sdk_apigateway::types::BasePathMapping| Mapping {
        domain: name.to_owned(),
        // The service names the root `(none)`.
        base_path: trimmed(found.base_path.as_deref().filter(|path| *path != "(none)")),
        stage: found.stage.filter(|stage| !stage.is_empty()),
        is_rule: false,
    };
    Ok(of_api.map(mapping).collect())
}

async fn rules(
    cx: &Context,
    domain: &DomainName,
    name: &str,
) -> Result<Vec<RoutingRule>, AwsError> {
    let request = cx
        .aws()
        .apigatewayv2
        .list_routing_rules()
        .domain_name(name)
        .set_domain_name_id(domain.domain_name_id.clone().filter(|_| is_private(domain)));
    pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = optional(
            cx.aws()
                .call_idempotent("apigateway:ListRoutingRules", || request.clone().send())
                .await,
        )?;
        Ok(page.map_or((None, None), |page| (page.routing_rules, page.next_token)))
    })
    .await
}

fn trimmed(path: Option<&str>) -> String {
    path.unwrap_or_default().trim_matches('/').to_owned()
}

/// The base paths of routing rules that lead to the API: a rule without one takes every path. Pure.
fn led_to(domain: &str, rules: Vec<RoutingRule>, api_id: &str) -> Vec<Mapping> {
    let mut found = Vec::new();
    for rule in rules {
        let actions = rule.actions.unwrap_or_default().into_iter();
        let invoked = actions.filter_map(|action| action.invoke_api);
        let invoked: Vec<_> = invoked
            .filter(|invoked| invoked.api_id.as_deref() == Some(api_id))
            .collect();
        let conditions = rule.conditions.unwrap_or_default().into_iter();
        let paths = conditions.filter_map(|condition| condition.match_base_paths?.any_of);
        let mut paths: Vec<_> = paths.flatten().collect();
        if paths.is_empty() {
            paths.push(String::new());
        }
        for invoked in invoked {
            found.extend(paths.iter().map(|path| Mapping {
                domain: domain.to_owned(),
                base_path: trimmed(Some(path)),
                stage: invoked.stage.clone(),
                is_rule: true,
            }));
        }
    }
    found
}

/// The base paths of each custom domain name that leads to one of the stages of an HTTP API; only domain names with a base path. Routing
/// rules lead to REST APIs alone. Pure.
pub fn base_paths(mappings: &[Mapping], stages: &[ApiTarget]) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    let leads_here = |mapping: &&Mapping| {
        let mut stages = stages.iter();
        !mapping.is_rule && stages.any(|target| mapping.stage.as_ref() == Some(&target.stage))
    };
    for mapping in mappings.iter().filter(leads_here) {
        let paths = all.entry(mapping.domain.clone()).or_default();
        paths.push(mapping.base_path.clone());
        paths.sort();
    }
    all.retain(|_, paths| paths.iter().any(|path| !path.is_empty()));
    all
}

#[cfg(test)]
mod tests {
    use aws_sdk_apigatewayv2::types::{
        RoutingRuleAction, RoutingRuleActionInvokeApi, RoutingRuleCondition,
        RoutingRuleMatchBasePaths,
    };

    use super::*;
    use crate::api_gateway::{ApiRef, Protocol};

    fn rule(api: &str, stage: &str, paths: &[&str]) -> RoutingRule {
        let invoked = RoutingRuleActionInvokeApi::builder()
            .api_id(api)
            .stage(stage)
            .build();
        let action = RoutingRuleAction::builder().invoke_api(invoked).build();
        let mut rule = RoutingRule::builder().actions(action);
        if !paths.is_empty() {
            let paths = paths.iter().map(|path| (*path).to_owned()).collect();
            let matched = RoutingRuleMatchBasePaths::builder()
                .set_any_of(Some(paths))
                .build();
            let condition = RoutingRuleCondition::builder().match_base_paths(matched);
            rule = rule.conditions(condition.build());
        }
        rule.build()
    }

    #[test]
    fn a_routing_rule_leads_to_its_api_on_each_of_its_base_paths() {
        let rules = vec![
            rule("a1", "dev", &["v1", "v2"]),
            rule("b2", "dev", &["other"]),
            rule("a1", "prod", &[]),
        ];
        let found = led_to("x.example.com", rules, "a1");
        let found: Vec<_> = found
            .iter()
            .map(|found| (found.base_path.as_str(), found.stage.as_deref()))
            .collect();
        assert_eq!(
            found,
            [("v1", Some("dev")), ("v2", Some("dev")), ("", Some("prod"))]
        );
    }

    #[test]
    fn base_paths_are_those_of_the_stage_on_domain_names_that_have_some() {
        let mapping = |domain: &str, base_path: &str, stage: &str, is_rule| Mapping {
            domain: domain.to_owned(),
            base_path: base_path.to_owned(),
            stage: Some(stage.to_owned()),
            is_rule,
        };
        let mappings = [
            mapping("a.example.com", "shop/v2", "prod", false),
            mapping("a.example.com", "", "prod", false),
            mapping("a.example.com", "dev", "dev", false),
            mapping("b.example.com", "", "prod", false),
            mapping("c.example.com", "rule", "prod", true),
        ];
        let protocol = Protocol::Http;
        let target = ApiRef { id: "a1", protocol }.stage("prod");
        let expected = [(
            "a.example.com".to_owned(),
            vec![String::new(), "shop/v2".to_owned()],
        )];
        assert_eq!(base_paths(&mappings, &[target]), expected.into());
    }
}

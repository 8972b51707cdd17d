//! The ways to an API that lead past the authorizer of the stack.

use std::collections::BTreeSet;

use serde::Serialize;

use super::api_attachment::record;
use super::{Context, ResourceError};
use crate::api_gateway::domains::{self, Mapping};
use crate::api_gateway::{self, Api, ApiTarget, AuthorizationType, MethodKey, Protocol, Served};
use crate::aws::Class;

/// A way past the authorizer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Door {
    /// Another stage of the API serves protected methods without authorization.
    Stage {
        stage: String,
        /// The labels of the methods.
        methods: Vec<String>,
        /// The address at the default endpoint; `None` if the endpoint is disabled, or the API is private.
        url: Option<String>,
        /// That of the API.
        #[serde(skip)]
        protocol: Protocol,
    },
    /// A custom domain name leads to such a stage.
    Domain {
        domain: String,
        /// Empty for the root of the domain.
        base_path: String,
        stage: String,
    },
    /// The stage of the stack serves a method that others have opened.
    Method { method: String, stage: String },
}

impl Door {
    /// Describes it in one line.
    pub fn describe(&self) -> String {
        match self {
            Self::Stage {
                stage,
                methods,
                url,
                protocol,
            } => {
                let at = url.as_ref().map(|url| format!(", at {url}"));
                let (count, unit) = (methods.len(), protocol.unit());
                let plural = if count == 1 { "" } else { "s" };
                format!(
                    "stage {stage} serves {count} protected {unit}{plural} without authorization{}: {}",
                    at.unwrap_or_default(),
                    shortened(methods)
                )
            }
            Self::Domain {
                domain,
                base_path,
                stage,
            } => format!("https://{domain}/{base_path} leads to stage {stage}"),
            Self::Method { method, stage } => {
                format!("{method} was opened in stage {stage} by others")
            }
        }
    }
}

/// The first few, and the number of the others.
fn shortened(labels: &[String]) -> String {
    const SHOWN: usize = 3;
    let more = labels.len().saturating_sub(SHOWN);
    let shown = labels[..labels.len() - more].join(", ");
    match more {
        0 => shown,
        more => format!("{shown}, and {more} more"),
    }
}

/// The protected methods that a stage serves without authorization. Pure.
fn open_in(served: &Served, protected: &BTreeSet<MethodKey>) -> Vec<String> {
    let is_open = |key: &&MethodKey| served.get(key) == Some(&AuthorizationType::None);
    protected
        .iter()
        .filter(is_open)
        .map(ToString::to_string)
        .collect()
}

/// The mappings that lead to one of these stages. Pure.
fn leading_to(mappings: Vec<Mapping>, stages: &[String]) -> Vec<Door> {
    let door = |mapping: &Mapping, stage: &str| Door::Domain {
        domain: mapping.domain.clone(),
        base_path: match &mapping.stage {
            Some(_) => mapping.base_path.clone(),
            // Callers name the stage behind the base path.
            None if mapping.base_path.is_empty() => stage.to_owned(),
            None => format!("{}/{stage}", mapping.base_path),
        },
        stage: stage.to_owned(),
    };
    let doors = mappings.iter().flat_map(|mapping| {
        let stages = stages
            .iter()
            .filter(|stage| mapping.stage.as_ref().is_none_or(|of| of == *stage));
        stages.map(|stage| door(mapping, stage))
    });
    doors.collect()
}

/// The other stages of the API that serve the `protected` methods without authorization, and the custom domain names that lead to
/// them. `at`: the address of a stage at the default endpoint. Also returns what is not known.
///
/// # Errors
/// The errors of the services.
pub async fn doors(
    cx: &Context,
    api: &Api,
    target: &ApiTarget,
    protected: &BTreeSet<MethodKey>,
    at: impl Fn(&ApiTarget) -> String,
) -> Result<(Vec<Door>, Vec<String>), ResourceError> {
    let (mut doors, mut unknown, mut open) = (Vec::new(), Vec::new(), Vec::new());
    let is_reachable = !api.private && !api.default_endpoint_disabled;
    let attached = record::targets(cx).await?;
    for stage in api_gateway::stages(cx.aws(), target.api()).await? {
        let Some(deployment) = stage.deployment.filter(|_| stage.name != target.stage) else {
            continue;
        };
        let stage = stage.name;
        let other = target.api().stage(&*stage);
        let Some(served) = api_gateway::served(cx, &other, &deployment).await? else {
            if !attached.contains(&other) {
                unknown.push(format!("what stage {stage} serves is not known"));
            }
            continue;
        };
        let methods = open_in(&served, protected);
        if methods.is_empty() {
            continue;
        }
        open.push(stage.clone());
        doors.push(Door::Stage {
            stage,
            methods,
            url: is_reachable.then(|| at(&other)),
            protocol: target.protocol,
        });
    }
    if open.is_empty() {
        return Ok((doors, unknown));
    }
    match domains::ways(cx, &target.id).await {
        Ok(ways) => {
            doors.extend(leading_to(ways.mappings, &open));
            unknown.extend(ways.unread);
        }
        Err(error) if error.class == Class::Denied => unknown.push(format!(
            "whether a custom domain name leads to a stage without the authorizer is not known: {error}"
        )),
        Err(error) => return Err(error.into()),
    }
    Ok((doors, unknown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_a_door_only_for_protected_methods_without_any_authorization() {
        let key = |path: &str| MethodKey::new(path, "GET");
        let served = Served::from([
            (key("/open"), AuthorizationType::None),
            (key("/iam"), AuthorizationType::AwsIam),
            (key("/ours"), AuthorizationType::Custom),
            (key("/health"), AuthorizationType::None),
        ]);
        let protected = ["/open", "/iam", "/ours", "/not-served"].map(key).into();
        assert_eq!(open_in(&served, &protected), ["GET /open"]);
    }

    #[test]
    fn a_domain_leads_to_its_stage_or_to_all() {
        let mapping = |base_path: &str, stage: Option<&str>| Mapping {
            domain: "api.example.com".to_owned(),
            base_path: base_path.to_owned(),
            stage: stage.map(str::to_owned),
            is_rule: false,
        };
        let mappings = vec![
            mapping("v1", Some("prod")),
            mapping("v2", Some("dev")),
            mapping("", None),
            mapping("all", None),
        ];
        let stages = ["dev".to_owned()];
        let told: Vec<_> = leading_to(mappings, &stages)
            .iter()
            .map(Door::describe)
            .collect();
        assert_eq!(
            told,
            [
                "https://api.example.com/v2 leads to stage dev",
                "https://api.example.com/dev leads to stage dev",
                "https://api.example.com/all/dev leads to stage dev",
            ]
        );
    }

    #[test]
    fn a_door_is_described_in_one_line() {
        let methods = |count: usize| (0..count).map(|n| format!("GET /{n}")).collect();
        let stage = |count, url: Option<&str>, protocol| Door::Stage {
            stage: "dev".to_owned(),
            methods: methods(count),
            url: url.map(str::to_owned),
            protocol,
        };
        assert_eq!(
            stage(1, Some("https://x/dev/"), Protocol::Rest).describe(),
            "stage dev serves 1 protected method without authorization, at https://x/dev/: GET /0"
        );
        assert!(
            stage(5, None, Protocol::Rest)
                .describe()
                .ends_with("GET /0, GET /1, GET /2, and 2 more")
        );
        assert_eq!(
            stage(2, None, Protocol::Http).describe(),
            "stage dev serves 2 protected routes without authorization: GET /0, GET /1"
        );
    }
}

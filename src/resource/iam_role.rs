//! The role of the two functions: it allows only what they do, and only on this stack's resources.
//!
//! EC2 cannot limit the calls with which Lambda creates its network interfaces to one stack, so
//! they are allowed for Lambda and denied to the code of the functions. Source: Lambda guide, VPC
//! permissions, `lambda:SourceFunctionArn`.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::types::Tag;
use serde_json::Value;

use super::{
    Context, Diff, Field, Identity, List, Listing, Resource, ResourceError, ResourceKind,
    Unmanaged, parameter,
};
use crate::aws::{optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::names::Names;

const FURTHER_POLICIES: Field = Field::Property("further policies");
const BOUNDARY: Field = Field::Property("permissions boundary");
const INLINE_POLICY: Field = Field::Property("inline policy");
const TRUST_POLICY: Field = Field::Property("trust policy");

const POLICY: &str = "threescale-gw";
const PATH: &str = "/threescale-gw/";
const DECRYPT: &str = "kms:Decrypt";

/// The actual role.
#[derive(Debug, Clone)]
pub struct Actual {
    id: LogicalId,
    role: String,
    trust: Value,
    policy: Value,
    /// The other policies of the role; read only if the run inspects them.
    further: Vec<Policy>,
    /// The ARN of its permissions boundary.
    boundary: Option<String>,
    /// The ARNs of the KMS keys of the operator that secrets of the stack have.
    keys: BTreeSet<String>,
    tags: BTreeMap<String, String>,
}

/// Whether this policy allows to decrypt with a KMS key.
fn decrypts(policy: &Value) -> bool {
    policy.to_string().contains(DECRYPT)
}

impl Actual {
    /// The policy that the role should have: it may also use the former key, as long as a secret has it.
    fn wanted_policy(&self, cx: &Context) -> String {
        let mut keys = self.keys.clone();
        keys.extend(cx.options().kms_key.clone());
        policy(cx.names(), &keys)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Policy {
    /// A managed policy, by its ARN.
    Attached(String),
    /// An inline policy, by its name.
    Inline(String),
}

impl Policy {
    fn name(&self) -> &str {
        match self {
            Self::Attached(name) | Self::Inline(name) => name,
        }
    }
}

/// Roles of IAM.
#[derive(Debug)]
pub struct IamRoles;

impl IamRoles {
    /// The policies of the role that another user added.
    async fn further(cx: &Context) -> Result<Vec<Policy>, ResourceError> {
        let mut policies = Self::policies(cx, &cx.names().role()).await?;
        policies.retain(|policy| *policy != Policy::Inline(POLICY.to_owned()));
        Ok(policies)
    }

    async fn policies(cx: &Context, role: &str) -> Result<Vec<Policy>, ResourceError> {
        let request = cx.aws().iam.list_attached_role_policies().role_name(role);
        let attached = optional(
            cx.aws()
                .call_idempotent("iam:ListAttachedRolePolicies", || request.clone().send())
                .await,
        )?;
        let attached = attached.and_then(|answer| answer.attached_policies);
        let attached = attached.unwrap_or_default().into_iter();
        let request = cx.aws().iam.list_role_policies().role_name(role);
        let inline = optional(
            cx.aws()
                .call_idempotent("iam:ListRolePolicies", || request.clone().send())
                .await,
        )?;
        let inline = inline.map(|answer| answer.policy_names).unwrap_or_default();
        Ok(attached
            .filter_map(|policy| policy.policy_arn.map(Policy::Attached))
            .chain(inline.into_iter().map(Policy::Inline))
            .collect())
    }

    /// Removes policies from the role.
    async fn take_off(cx: &Context, role: &str, policies: &[Policy]) -> Result<(), ResourceError> {
        for policy in policies {
            match policy {
                Policy::Attached(arn) => {
                    let request = cx.aws().iam.detach_role_policy();
                    let request = request.role_name(role).policy_arn(arn);
                    optional(
                        cx.aws()
                            .call_idempotent("iam:DetachRolePolicy", || request.clone().send())
                            .await,
                    )?;
                }
                Policy::Inline(name) => {
                    let request = cx.aws().iam.delete_role_policy();
                    let request = request.role_name(role).policy_name(name);
                    optional(
                        cx.aws()
                            .call_idempotent("iam:DeleteRolePolicy", || request.clone().send())
                            .await,
                    )?;
                }
            }
        }
        Ok(())
    }

    async fn put_policy(cx: &Context, role: &str, policy: &str) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .iam
            .put_role_policy()
            .role_name(role)
            .policy_name(POLICY)
            .policy_document(policy);
        cx.aws()
            .call_idempotent("iam:PutRolePolicy", || request.clone().send())
            .await?;
        Ok(())
    }
}

/// Takes the permission for KMS keys that no secret has any more from the role. What a killed run leaves, the next one finds
/// as a difference.
///
/// # Errors
/// When the listing or the change fails.
pub(super) async fn release_keys(cx: &Context) -> Result<(), ResourceError> {
    for role in IamRoles::list(cx).await?.owned {
        let wanted = role.wanted_policy(cx);
        if role.policy != document(&wanted) {
            IamRoles::put_policy(cx, &role.role, &wanted).await?;
        }
    }
    Ok(())
}

/// Whether the role can use a KMS key of the operator: a secret may still have it.
///
/// # Errors
/// The error of the service.
pub async fn may_decrypt(cx: &Context) -> Result<bool, ResourceError> {
    let roles = IamRoles::list(cx).await?.owned;
    Ok(roles.iter().any(|role| decrypts(&role.policy)))
}

/// Whether another user gave the role more permissions than desired. This takes two requests, so a
/// run with nothing to do does not check it.
///
/// # Errors
/// The error of the service.
pub async fn may_more(cx: &Context) -> Result<bool, ResourceError> {
    Ok(!IamRoles::further(cx).await?.is_empty())
}

impl ResourceKind for IamRoles {
    type Actual = Actual;
    const KIND: Kind = Kind::IamRole;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let role = cx.names().role();
        let request = cx.aws().iam.get_role().role_name(&role);
        let answer = optional(
            cx.aws()
                .call_idempotent("iam:GetRole", || request.clone().send())
                .await,
        )?;
        let mut listing = Listing::default();
        let Some(found) = answer.and_then(|answer| answer.role) else {
            return Ok(listing);
        };
        let tags = tags::collect(
            found
                .tags
                .iter()
                .flatten()
                .map(|tag| (Some(tag.key()), Some(tag.value()))),
        );
        let Some(id) = tags::owner(&cx.names().stack, &tags) else {
            listing
                .unmanaged
                .push(Unmanaged::named(Kind::IamRole, "authorizer", role, &tags));
            return Ok(listing);
        };
        let request = cx
            .aws()
            .iam
            .get_role_policy()
            .role_name(&role)
            .policy_name(POLICY);
        let policy = optional(
            cx.aws()
                .call_idempotent("iam:GetRolePolicy", || request.clone().send())
                .await,
        )?;
        let policy = policy.map_or(Value::Null, |policy| document(&policy.policy_document));
        let trust = found
            .assume_role_policy_document
            .as_deref()
            .map_or(Value::Null, document);
        let further = if cx.options().inspect_role_policies {
            Self::further(cx).await?
        } else {
            Vec::new()
        };
        // A role that can decrypt keeps that as long as a secret needs it, also if the record of the key was deleted by hand.
        let is_compared = cx.options().secret_names.is_some();
        let may_have_key = cx.options().wanted_kms_key().is_some() || decrypts(&policy);
        let keys = match is_compared && may_have_key {
            true => parameter::known_keys(cx).await?.arns(cx.names()),
            false => BTreeSet::new(),
        };
        listing.owned.push(Actual {
            id,
            role,
            trust,
            policy,
            further,
            boundary: found
                .permissions_boundary
                .and_then(|boundary| boundary.permissions_boundary_arn),
            keys,
            tags,
        });
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        Identity::ready(actual.id.clone(), actual.role.clone())
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        // A role with policies cannot be deleted.
        let policies = Self::policies(cx, &actual.role).await?;
        Self::take_off(cx, &actual.role, &policies).await?;
        let request = cx.aws().iam.delete_role().role_name(&actual.role);
        optional(
            cx.aws()
                .call_idempotent("iam:DeleteRole", || request.clone().send())
                .await,
        )?;
        Ok(())
    }
}

/// The desired role.
#[derive(Debug)]
pub struct IamRole {
    /// The ARN of its permissions boundary. Without one, it keeps the boundary that it has, because an organization may add
    /// one.
    pub boundary: Option<String>,
}

impl Resource for IamRole {
    type Kind = IamRoles;

    fn name(&self) -> &str {
        "authorizer"
    }

    fn needs(&self) -> Vec<LogicalId> {
        Vec::new()
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        let differs = |diff: &mut Diff, field: Field, actual: &Value, wanted: &str| {
            if *actual != document(wanted) {
                let from = if actual.is_null() {
                    "(none)"
                } else {
                    "(differs)"
                };
                diff.field(field, from, "(least privilege)");
            }
        };
        differs(&mut diff, TRUST_POLICY, &actual.trust, TRUST);
        differs(
            &mut diff,
            INLINE_POLICY,
            &actual.policy,
            &actual.wanted_policy(cx),
        );
        let further = actual.further.iter().map(|policy| policy.name().to_owned());
        let none = List::sorted([]).or_none();
        diff.field(FURTHER_POLICIES, List::sorted(further).or_none(), none);
        if let Some(boundary) = &self.boundary {
            let actual = actual.boundary.as_deref().unwrap_or("(none)");
            diff.field(BOUNDARY, actual, boundary);
        }
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let tags = cx.tags(&LogicalId::new(Kind::IamRole, self.name()));
        let request = cx
            .aws()
            .iam
            .create_role()
            .path(PATH)
            .role_name(cx.names().role())
            .description(format!(
                "The authorizer and the reporter of threescale-gw stack {}",
                cx.names().stack
            ))
            .assume_role_policy_document(TRUST)
            .set_permissions_boundary(self.boundary.clone())
            .set_tags(Some(to_tags(tags)?));
        cx.aws()
            .call_non_idempotent("iam:CreateRole", || request.clone().send())
            .await?;
        Ok(())
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        diff: &Diff,
    ) -> Result<(), ResourceError> {
        if let Some(boundary) = self.boundary.as_ref().filter(|_| diff.has(&BOUNDARY)) {
            let request = cx
                .aws()
                .iam
                .put_role_permissions_boundary()
                .role_name(&actual.role)
                .permissions_boundary(boundary);
            cx.aws()
                .call_idempotent("iam:PutRolePermissionsBoundary", || request.clone().send())
                .await?;
        }
        if diff.has(&TRUST_POLICY) {
            let request = cx
                .aws()
                .iam
                .update_assume_role_policy()
                .role_name(&actual.role)
                .policy_document(TRUST);
            cx.aws()
                .call_idempotent("iam:UpdateAssumeRolePolicy", || request.clone().send())
                .await?;
        }
        if diff.has(&INLINE_POLICY) {
            IamRoles::put_policy(cx, &actual.role, &actual.wanted_policy(cx)).await?;
        }
        IamRoles::take_off(cx, &actual.role, &actual.further).await?;
        let missing = tags::missing(&cx.tags(&actual.id), &actual.tags);
        if !missing.is_empty() {
            let request = cx
                .aws()
                .iam
                .tag_role()
                .role_name(&actual.role)
                .set_tags(Some(to_tags(missing)?));
            cx.aws()
                .call_idempotent("iam:TagRole", || request.clone().send())
                .await?;
        }
        Ok(())
    }
}

const TRUST: &str = include_str!("../../templates/role-trust.json");

/// The inline policy for the functions of this stack, which may decrypt with these keys of the operator.
fn policy(names: &Names, keys: &BTreeSet<String>) -> String {
    let own = filled(include_str!("../../templates/role-policy.json"), names);
    if keys.is_empty() {
        return own;
    }
    let more = filled(include_str!("../../templates/role-policy-key.json"), names);
    let (mut own, mut more) = (document(&own), document(&more));
    let Some(statements) = more["Statement"].as_array_mut() else {
        return own.to_string();
    };
    for statement in statements.iter_mut() {
        statement["Resource"] = keys.iter().cloned().collect();
    }
    if let Some(all) = own["Statement"].as_array_mut() {
        all.append(statements);
    }
    own.to_string()
}

/// A policy with the names of the stack's resources.
fn filled(template: &str, names: &Names) -> String {
    let parameters = format!(
        "arn:{}:ssm:{}:{}:parameter{}",
        names.partition(),
        names.region,
        names.account,
        names.parameters()
    );
    template
        .replace(
            "${authorizer_log_group}",
            &names.log_group_arn("authorizer"),
        )
        .replace("${reporter_log_group}", &names.log_group_arn("reporter"))
        .replace("${authorizer}", &names.function_arn("authorizer"))
        .replace("${reporter}", &names.function_arn("reporter"))
        .replace("${parameters}", &parameters)
}

/// Parses a policy document as IAM returns it: URL-encoded JSON.
fn document(text: &str) -> Value {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    serde_json::from_str(&decoded).unwrap_or(Value::Null)
}

fn to_tags(tags: BTreeMap<String, String>) -> Result<Vec<Tag>, ResourceError> {
    Ok(tags
        .into_iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_whole_and_names_this_stack_only() {
        let key = "arn:aws:kms:eu-west-1:123456789012:key/k".to_owned();
        let names = Names::new("orders", "eu-west-1", "123456789012");
        let without = policy(&names, &BTreeSet::new());
        assert!(!without.contains("kms:"), "{without}");
        let text = policy(&names, &BTreeSet::from([key]));
        assert!(!text.contains("${"), "{text}");
        assert_eq!(text.matches("\"kms:Decrypt\"").count(), 2, "{text}");
        let policy: Value = serde_json::from_str(&text).expect("a JSON document");
        for statement in policy["Statement"].as_array().expect("statements") {
            let limited = statement["Resource"] != "*"
                && !statement["Resource"].to_string().contains("\"*\"");
            let of_lambda = statement["Action"].to_string().contains("ec2:");
            assert!(limited || of_lambda, "{statement}");
        }
        assert!(text.contains("parameter/threescale-gw/orders/*"));
    }

    #[test]
    fn a_document_is_read_encoded_or_plain() {
        assert_eq!(
            document("%7B%22a%22%3A%20%22b%2Ac%22%7D"),
            serde_json::json!({"a": "b*c"})
        );
        assert_eq!(
            document("{\"a\": \"b*c\"}"),
            serde_json::json!({"a": "b*c"})
        );
        assert_eq!(document("nonsense"), Value::Null);
    }
}

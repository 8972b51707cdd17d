//! The permissions to invoke the functions' aliases: the authorizer's for this API, the reporter's
//! for the schedule's rule.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use serde_json::Value;

use super::api_attachment::record;
use super::function::NAMES;
use super::{
    Context, Diff, Field, Identity, List, Listing, NEW, Resource, ResourceError, ResourceKind,
};
use crate::aws::optional;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::names::LIVE;

const ACTION: Field = Field::Property("action");
const CONDITIONS: Field = Field::Property("other conditions");
const EFFECT: Field = Field::Property("effect");
const FUNCTION: Field = Field::Property("function");
const PRINCIPAL: Field = Field::Property("principal");
const SOURCE: Field = Field::Property("source");

const STATEMENT: &str = "threescale-gw-";
/// The source of a statement without a source.
pub(super) const ANYONE: &str = "(anyone)";
const INVOKE: &str = "lambda:InvokeFunction";
/// The name suffix of a permission on the function itself, which releases without aliases created.
const UNQUALIFIED: &str = "-unqualified";

/// The actual statement of a function's resource policy.
#[derive(Debug, Clone)]
pub struct Actual {
    pub(super) id: LogicalId,
    pub(super) function: String,
    /// The alias of the statement; `None` for the function itself.
    pub(super) alias: Option<&'static str>,
    pub(super) statement: String,
    pub(super) grant: Grant,
}

/// The contents of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) effect: String,
    pub(super) action: String,
    pub(super) principal: String,
    pub(super) source_arn: String,
    /// The conditions other than the source ARN.
    pub(super) conditions: Vec<String>,
}

impl Grant {
    fn read(statement: &Value) -> Self {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            // A list with one element is the element.
            Value::Array(items) => match items.as_slice() {
                [Value::String(text)] => text.clone(),
                _ => value.to_string(),
            },
            other => other.to_string(),
        };
        let principal = &statement["Principal"];
        let principal = match principal.as_object() {
            Some(members) if members.len() == 1 && members.contains_key("Service") => {
                text(&members["Service"])
            }
            _ => text(principal),
        };
        let mut source_arn = None;
        let mut others = Vec::new();
        for (operator, keys) in statement["Condition"].as_object().into_iter().flatten() {
            for (key, value) in keys.as_object().into_iter().flatten() {
                let is_arn = ["ArnLike", "ArnEquals", "StringLike", "StringEquals"]
                    .contains(&operator.as_str());
                if is_arn && key.eq_ignore_ascii_case("aws:SourceArn") && source_arn.is_none() {
                    source_arn = Some(text(value));
                } else {
                    others.push(format!("{operator} {key} {}", text(value)));
                }
            }
        }
        Self {
            effect: text(&statement["Effect"]),
            action: text(&statement["Action"]),
            principal,
            source_arn: source_arn.unwrap_or_else(|| ANYONE.to_owned()),
            conditions: others,
        }
    }
}

impl Actual {
    /// The API whose authorizer may invoke the authorizer function.
    fn api(&self, cx: &Context) -> Option<&str> {
        if self.function != cx.names().function("authorizer") {
            return None;
        }
        let source = self.grant.source_arn.split(':').collect::<Vec<_>>();
        match source[..] {
            ["arn", _, "execute-api", _, _, resource] => resource.split('/').next(),
            _ => None,
        }
    }
}

/// The APIs whose authorizers may invoke the authorizer function, and that the stack has no record of.
///
/// # Errors
/// The errors of the services.
pub async fn unrecorded_apis(cx: &Context) -> Result<BTreeSet<String>, ResourceError> {
    let targets = record::targets(cx).await?;
    let permissions = FunctionPermissions::list(cx).await?.owned;
    let apis = permissions.iter().filter_map(|found| found.api(cx));
    Ok(apis
        .filter(|api| targets.iter().all(|target| target.id != *api))
        .filter(|api| api.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        .map(str::to_owned)
        .collect())
}

/// Statements in the resource policies of Lambda functions.
#[derive(Debug)]
pub struct FunctionPermissions;

impl FunctionPermissions {
    async fn get(
        cx: &Context,
        name: &str,
        alias: Option<&'static str>,
    ) -> Result<Vec<Actual>, ResourceError> {
        let function = cx.names().function(name);
        let resource = match alias {
            Some(_) => cx.names().live_arn(name),
            None => cx.names().function_arn(name),
        };
        let request = cx
            .aws()
            .lambda
            .get_policy()
            .function_name(&function)
            .set_qualifier(alias.map(str::to_owned));
        let answer = optional(
            cx.aws()
                .call_idempotent("lambda:GetPolicy", || request.clone().send())
                .await,
        )?;
        let policy: Value = answer
            .and_then(|answer| serde_json::from_str(&answer.policy?).ok())
            .unwrap_or_default();
        let statements = policy["Statement"].as_array().cloned().unwrap_or_default();
        Ok(statements
            .iter()
            // Emulators list the statements of the alias together with those of the function.
            .filter(|statement| {
                statement["Resource"]
                    .as_str()
                    .is_none_or(|of| of == resource)
            })
            .filter_map(|statement| {
                let sid = statement["Sid"].as_str()?;
                // A statement of another owner lets others invoke the function. Nothing desires it, so it is
                // deleted.
                let name = sid.strip_prefix(STATEMENT).unwrap_or(sid);
                let of_this_run = |api: &str| cx.api().is_none_or(|target| target.id == api);
                let name = match name.strip_prefix("api-") {
                    Some(api) if of_this_run(api) => "api",
                    _ => name,
                };
                let suffix = if alias.is_some() { "" } else { UNQUALIFIED };
                let id = LogicalId::new(Kind::FunctionPermission, format!("{name}{suffix}"));
                Some(Actual {
                    id,
                    function: function.clone(),
                    alias,
                    statement: sid.to_owned(),
                    grant: Grant::read(statement),
                })
            })
            .collect())
    }

    async fn remove(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .lambda
            .remove_permission()
            .function_name(&actual.function)
            .set_qualifier(actual.alias.map(str::to_owned))
            .statement_id(&actual.statement);
        optional(
            cx.aws()
                .call_idempotent("lambda:RemovePermission", || request.clone().send())
                .await,
        )?;
        Ok(())
    }
}

impl ResourceKind for FunctionPermissions {
    type Actual = Actual;
    const KIND: Kind = Kind::FunctionPermission;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let of = NAMES.map(|name| [(name, Some(LIVE)), (name, None)]);
        let all = of.into_iter().flatten();
        let lists = all.map(|(name, alias)| Self::get(cx, name, alias));
        Ok(Listing {
            owned: try_join_all(lists).await?.into_iter().flatten().collect(),
            unmanaged: Vec::new(),
        })
    }

    fn identify(actual: &Actual) -> Identity {
        Identity::ready(actual.id.clone(), actual.statement.clone())
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        Self::remove(cx, actual).await
    }
}

/// The principal that may invoke a function.
#[derive(Debug)]
pub enum Invoker {
    /// The authorizer of an API, but no other caller of that API.
    Authorizer(LogicalId),
    /// The rule of the schedule.
    Rule,
}

/// The desired permission.
#[derive(Debug)]
pub struct FunctionPermission {
    /// `api` or `schedule`.
    pub name: &'static str,
    /// The function's name.
    pub of: &'static str,
    pub function: LogicalId,
    /// The function's alias that the permission applies to.
    pub alias: LogicalId,
    pub invoker: Invoker,
}

impl FunctionPermission {
    fn principal(&self) -> &'static str {
        match self.invoker {
            Invoker::Authorizer(_) => "apigateway.amazonaws.com",
            Invoker::Rule => "events.amazonaws.com",
        }
    }

    /// The statement id. For an API it contains the API's id: a stack that moves to another API keeps
    /// the former API's permission until that API is restored.
    fn statement(&self, cx: &Context) -> String {
        match (&self.invoker, cx.api()) {
            (Invoker::Authorizer(_), Some(api)) => format!("{STATEMENT}{}-{}", self.name, api.id),
            _ => format!("{STATEMENT}{}", self.name),
        }
    }

    /// The only source ARN that may invoke the function; `None` until the authorizer is created.
    fn source_arn(&self, cx: &Context) -> Option<String> {
        let names = cx.names();
        match &self.invoker {
            Invoker::Rule => Some(names.rule_arn()),
            Invoker::Authorizer(authorizer) => {
                let authorizer = cx.known_output(authorizer)?.physical_id;
                let api = &cx.api()?.id;
                let (partition, region, account) =
                    (names.partition(), &names.region, &names.account);
                Some(format!(
                    "arn:{partition}:execute-api:{region}:{account}:{api}/authorizers/{authorizer}"
                ))
            }
        }
    }
}

impl Resource for FunctionPermission {
    type Kind = FunctionPermissions;

    fn name(&self) -> &str {
        self.name
    }

    fn needs(&self) -> Vec<LogicalId> {
        let mut needs = vec![self.function.clone(), self.alias.clone()];
        if let Invoker::Authorizer(authorizer) = &self.invoker {
            needs.push(authorizer.clone());
        }
        needs
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        // A function that will be recreated loses its permissions.
        if cx.known_output(&self.function).is_none() || cx.known_output(&self.alias).is_none() {
            diff.field(FUNCTION, "(replaced)", NEW);
        }
        let Grant {
            effect,
            action,
            principal,
            source_arn,
            conditions,
        } = &actual.grant;
        diff.field(EFFECT, effect, "Allow");
        diff.field(ACTION, action, INVOKE);
        diff.field(PRINCIPAL, principal, self.principal());
        let wanted = self.source_arn(cx);
        diff.field(SOURCE, source_arn, wanted.as_deref().unwrap_or(NEW));
        let none = List::<String>::new([], ", ");
        diff.field(CONDITIONS, List::new(conditions, ", "), none);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let source = self.source_arn(cx);
        let request = cx
            .aws()
            .lambda
            .add_permission()
            .function_name(cx.names().function(self.of))
            .qualifier(LIVE)
            .statement_id(self.statement(cx))
            .action(INVOKE)
            .principal(self.principal())
            .set_source_arn(source);
        cx.aws()
            .call_non_idempotent("lambda:AddPermission", || request.clone().send())
            .await?;
        Ok(())
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        _diff: &Diff,
    ) -> Result<(), ResourceError> {
        // A statement cannot be changed, so it is removed and then created again.
        FunctionPermissions::remove(cx, actual).await?;
        self.create(cx).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_of_a_statement_counts() {
        let ours = json!({
            "Effect": "Allow", "Action": "lambda:InvokeFunction",
            "Principal": {"Service": "events.amazonaws.com"},
            "Condition": {"ArnLike": {"AWS:SourceArn": "arn:rule"}},
        });
        let grant = Grant::read(&ours);
        let written = [
            &grant.effect,
            &grant.action,
            &grant.principal,
            &grant.source_arn,
        ];
        let expected = ["Allow", INVOKE, "events.amazonaws.com", "arn:rule"];
        assert_eq!(written, expected);
        assert!(grant.conditions.is_empty());
        for (member, value) in [
            ("Effect", json!("Deny")),
            ("Action", json!("lambda:*")),
            ("Principal", json!("*")),
            ("Principal", json!({"AWS": "*"})),
            (
                "Principal",
                json!({"Service": "events.amazonaws.com", "AWS": "1"}),
            ),
            ("Condition", json!({})),
            (
                "Condition",
                json!({"ArnLike": {"AWS:SourceArn": ["arn:rule", "arn:*"]}}),
            ),
            (
                "Condition",
                json!({"ArnLike": {"AWS:SourceArn": "arn:rule"}, "Bool": {"aws:SecureTransport": "false"}}),
            ),
        ] {
            let mut other = ours.clone();
            other[member] = value;
            assert_ne!(Grant::read(&other), grant, "{other}");
        }
        let mut listed = ours.clone();
        listed["Action"] = json!(["lambda:InvokeFunction"]);
        assert_eq!(Grant::read(&listed), grant);
    }
}

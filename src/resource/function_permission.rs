//! The permissions to invoke the functions' aliases: the authorizer's for this API, the reporter's
//! for the schedule's rule.

use futures::future::try_join_all;
use serde_json::Value;

use super::function::NAMES;
use super::{
    Context, Diff, Field, Identity, Listing, NEW, Output, Phase, Resource, ResourceError,
    ResourceKind,
};
use crate::aws::optional;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::names::LIVE;

const FUNCTION: Field = Field::Property("function");
const PRINCIPAL: Field = Field::Property("principal");
const SOURCE: Field = Field::Property("source");

const STATEMENT: &str = "threescale-gw-";
/// The name suffix of a permission on the function itself, which releases without aliases created.
const UNQUALIFIED: &str = "-unqualified";

/// The actual statement of a function's resource policy.
#[derive(Debug, Clone)]
pub struct Actual {
    id: LogicalId,
    function: String,
    /// The alias of the statement; `None` for the function itself.
    alias: Option<&'static str>,
    statement: String,
    principal: String,
    source_arn: String,
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
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
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
                let name = sid.strip_prefix(STATEMENT)?;
                let of_this_run = |api: &str| cx.api().is_none_or(|target| target.id == api);
                let name = match name.strip_prefix("api-") {
                    Some(api) if of_this_run(api) => "api",
                    _ => name,
                };
                let suffix = if alias.is_some() { "" } else { UNQUALIFIED };
                let id = LogicalId::new(Kind::FunctionPermission, format!("{name}{suffix}"));
                let source = &statement["Condition"];
                let source_arn = ["ArnLike", "ArnEquals", "StringLike", "StringEquals"]
                    .iter()
                    .find_map(|operator| {
                        ["AWS:SourceArn", "aws:SourceArn"]
                            .iter()
                            .find_map(|key| source[operator][key].as_str())
                    })
                    .unwrap_or("(anyone)")
                    .to_owned();
                let principal = text(&statement["Principal"]["Service"]);
                Some(Actual {
                    id,
                    function: function.clone(),
                    alias,
                    statement: sid.to_owned(),
                    principal,
                    source_arn,
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
        let output = Output {
            physical_id: actual.statement.clone(),
            ..Output::default()
        };
        Identity {
            id: actual.id.clone(),
            phase: Phase::Ready,
            output,
        }
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
        diff.field(PRINCIPAL, &actual.principal, self.principal());
        diff.field(
            SOURCE,
            &actual.source_arn,
            self.source_arn(cx).as_deref().unwrap_or(NEW),
        );
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
            .action("lambda:InvokeFunction")
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

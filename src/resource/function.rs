//! The two functions, authorizer and reporter: both use one zip, and the environment selects the
//! role.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{
    Architecture, Environment, FunctionCode, FunctionConfiguration, LastUpdateStatus, Runtime,
    State, VpcConfig,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::parameter::BASE_PATHS;
use super::shown::Amount;
use super::{
    Context, Diff, Field, Identity, List, Listing, Phase, Reference, Resource, ResourceError,
    ResourceKind, Shown as _, Unmanaged, listed,
};
use crate::aws::{AwsError, optional, tags};
use crate::hex;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::package::Package;
use crate::printable;

pub const ARCHITECTURE: Field = Field::Property("architecture");
pub const CODE: Field = Field::Property("code");
const KMS_KEY: Field = Field::Property("kms key");
pub const LAST_UPDATE: Field = Field::Property("last update");
const MEMORY: Field = Field::Property("memory");
const ROLE: Field = Field::Property("role");
const RUNTIME: Field = Field::Property("runtime");
pub const SECURITY_GROUPS: Field = Field::Property("security groups");
const SUBNETS: Field = Field::Property("subnets");
const TIMEOUT: Field = Field::Property("timeout");

/// The names of both functions.
pub const NAMES: [&str; 2] = ["authorizer", "reporter"];

/// The tag with the digest of the source that the code was built from; it decides whether a build
/// is needed.
pub(super) const SOURCE_TAG: &str = "threescale-gw:source";
/// The tag with the hash that Lambda returned for the uploaded code; a different hash shows that
/// another user uploaded code.
pub(super) const CODE_TAG: &str = "threescale-gw:code";

/// The properties of a function that a published version keeps: its code and settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    pub role: String,
    pub runtime: String,
    /// In megabytes.
    pub memory: i32,
    /// In seconds.
    pub timeout: i32,
    pub architecture: String,
    pub environment: BTreeMap<String, String>,
    /// Sorted.
    pub subnets: Vec<String>,
    /// Sorted.
    pub security_groups: Vec<String>,
    pub code_sha256: String,
    /// The ARN of the key of the environment; `None` for that of Lambda.
    pub kms_key: Option<String>,
}

/// Checks that the environment can be read, which needs the key of a function that has one. `down` does not need it.
///
/// # Errors
/// When it cannot be read, and the run has a configuration to compare it with.
pub(super) fn ensure_readable(
    cx: &Context,
    found: &FunctionConfiguration,
) -> Result<(), ResourceError> {
    let error = found
        .environment()
        .and_then(|environment| environment.error());
    let Some(error) = error.filter(|_| cx.options().secret_names.is_some()) else {
        return Ok(());
    };
    let text = |text: Option<&str>| printable::line(text.unwrap_or_default()).into_owned();
    Err(ResourceError::KmsKey {
        what: format!(
            "the environment of {} cannot be read: {}: {}",
            text(found.function_arn()),
            text(error.error_code()),
            text(error.message())
        ),
        hint: Some(format!(
            "enable the KMS key {}, and allow kms:Decrypt on it to the calling identity",
            text(found.kms_key_arn())
        )),
    })
}

impl Content {
    /// Reads the properties from a response that describes a function or a version.
    pub(super) fn of(found: &FunctionConfiguration) -> Self {
        let vpc = found.vpc_config.as_ref();
        let sorted_ids = |ids: &[String]| {
            let mut ids = ids.to_vec();
            ids.sort();
            ids
        };
        let variables = found.environment.as_ref().and_then(|e| e.variables.clone());
        Self {
            role: found.role.clone().unwrap_or_default(),
            runtime: found
                .runtime
                .as_ref()
                .map_or_else(String::new, |runtime| runtime.as_str().to_owned()),
            // Absent values are Lambda's defaults. Source: Lambda, `CreateFunction`.
            memory: found.memory_size.unwrap_or(128),
            timeout: found.timeout.unwrap_or(3),
            architecture: match found.architectures() {
                [] => Architecture::X8664.as_str().to_owned(),
                all => List::sorted(all.iter().map(|a| a.as_str().to_owned())).text(),
            },
            environment: variables.unwrap_or_default().into_iter().collect(),
            subnets: vpc
                .map(|vpc| sorted_ids(vpc.subnet_ids()))
                .unwrap_or_default(),
            security_groups: vpc
                .map(|vpc| sorted_ids(vpc.security_group_ids()))
                .unwrap_or_default(),
            code_sha256: found.code_sha256.clone().unwrap_or_default(),
            kms_key: found.kms_key_arn.clone().filter(|key| !key.is_empty()),
        }
    }
}

/// The actual function.
#[derive(Debug, Clone)]
pub struct Actual {
    pub(super) id: LogicalId,
    pub(super) name: String,
    pub(super) phase: Phase,
    /// Why the last update failed, if it did.
    update_failure: Option<String>,
    pub(super) content: Content,
    /// The executions that are reserved for the function; `None` without a reservation.
    reserved: Option<i32>,
    tags: BTreeMap<String, String>,
}

/// The phase of a function. Only its versions are invoked and not the function itself, so `Inactive` is a
/// normal state of it.
fn phase_of(found: &FunctionConfiguration) -> Phase {
    match (&found.state, &found.last_update_status) {
        (Some(State::Pending), _) => Phase::Pending("pending".to_owned()),
        (Some(State::Deleting), _) => Phase::Deleting("deleting".to_owned()),
        (Some(State::Failed), _) => Phase::Failed(found.state_reason.clone().unwrap_or_default()),
        (_, Some(LastUpdateStatus::InProgress)) => Phase::Pending("update in progress".to_owned()),
        (Some(State::Active | State::Inactive) | None, _) => Phase::Ready,
        (Some(other), _) => Phase::Unknown(other.as_str().to_owned()),
    }
}

/// Lambda functions.
#[derive(Debug)]
pub struct Functions;

impl Functions {
    async fn get(
        cx: &Context,
        name: &'static str,
    ) -> Result<Option<Result<Actual, Unmanaged>>, ResourceError> {
        let function = cx.names().function(name);
        let request = cx.aws().lambda.get_function().function_name(&function);
        let answer = optional(
            cx.aws()
                .call_idempotent("lambda:GetFunction", || request.clone().send())
                .await,
        )?;
        let Some(answer) = answer else {
            return Ok(None);
        };
        let tags: BTreeMap<_, _> = answer.tags.unwrap_or_default().into_iter().collect();
        let Some(id) = tags::owner(&cx.names().stack, &tags) else {
            return Ok(Some(Err(Unmanaged::named(
                Kind::Function,
                name,
                function,
                &tags,
            ))));
        };
        let found = answer
            .configuration
            .unwrap_or_else(|| FunctionConfiguration::builder().build());
        ensure_readable(cx, &found)?;
        let phase = phase_of(&found);
        let update_failure = (found.last_update_status == Some(LastUpdateStatus::Failed))
            .then(|| found.last_update_status_reason.clone().unwrap_or_default());
        Ok(Some(Ok(Actual {
            id,
            name: function,
            phase,
            update_failure,
            content: Content::of(&found),
            reserved: answer
                .concurrency
                .and_then(|concurrency| concurrency.reserved_concurrent_executions),
            tags,
        })))
    }

    /// The functions with a reserved concurrency of 0, which Lambda does not run.
    ///
    /// # Errors
    /// The errors of the service.
    pub async fn stopped(cx: &Context) -> Result<Vec<String>, ResourceError> {
        let all = Self::list(cx).await?.owned.into_iter();
        let stopped = all.filter(|function| function.reserved == Some(0));
        Ok(stopped.map(|function| function.name).collect())
    }

    /// The hexadecimal SHA-256 of the code of each function.
    ///
    /// # Errors
    /// The errors of the service.
    pub async fn code_digests(cx: &Context) -> Result<Vec<String>, ResourceError> {
        let all = Self::list(cx).await?.owned.into_iter();
        let digests = all.filter_map(|function| {
            let digest = STANDARD.decode(&function.content.code_sha256).ok()?;
            (!digest.is_empty()).then(|| hex::encode(&digest))
        });
        Ok(digests.collect())
    }

    /// Detaches the function from its VPC, so that Lambda starts to release the network interfaces.
    pub(super) async fn leave_vpc(cx: &Context, name: &str) -> Result<(), ResourceError> {
        Self::detach_from_vpc(cx, name, false).await
    }

    /// [`Self::leave_vpc`]; `without_key` also removes the environment, so that its key is not needed.
    async fn detach_from_vpc(
        cx: &Context,
        name: &str,
        without_key: bool,
    ) -> Result<(), ResourceError> {
        let nowhere = VpcConfig::builder()
            .set_subnet_ids(Some(Vec::new()))
            .set_security_group_ids(Some(Vec::new()));
        let request = cx
            .aws()
            .lambda
            .update_function_configuration()
            .function_name(name)
            .set_kms_key_arn(without_key.then(String::new))
            .set_environment(without_key.then(|| variables(&BTreeMap::new())))
            .vpc_config(nowhere.build());
        optional(
            cx.aws()
                .call_idempotent("lambda:UpdateFunctionConfiguration", || {
                    request.clone().send()
                })
                .await,
        )?;
        Ok(())
    }
}

impl ResourceKind for Functions {
    type Actual = Actual;
    const KIND: Kind = Kind::Function;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let (authorizer, reporter) =
            tokio::try_join!(Self::get(cx, NAMES[0]), Self::get(cx, NAMES[1]))?;
        let mut listing = Listing::default();
        for found in [authorizer, reporter].into_iter().flatten() {
            match found {
                Ok(actual) => listing.owned.push(actual),
                Err(unmanaged) => listing.unmanaged.push(unmanaged),
            }
        }
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        Identity::new(actual.id.clone(), actual.phase.clone(), actual.name.clone())
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        // If the function is deleted while the interfaces are attached, they are left behind. It is
        // therefore detached from its VPC first; this code runs again after that update. A function that
        // was never ready has nothing to detach.
        if !actual.content.subnets.is_empty() && actual.phase == Phase::Ready {
            let left = Self::leave_vpc(cx, &actual.name).await;
            let is_about_key =
                |error: &ResourceError| error.aws().is_some_and(AwsError::is_about_key);
            return match left {
                Err(error) if actual.content.kms_key.is_some() && is_about_key(&error) => {
                    Self::detach_from_vpc(cx, &actual.name, true).await
                }
                left => left,
            };
        }
        let request = cx
            .aws()
            .lambda
            .delete_function()
            .function_name(&actual.name);
        optional(
            cx.aws()
                .call_idempotent("lambda:DeleteFunction", || request.clone().send())
                .await,
        )?;
        Ok(())
    }
}

/// The desired function.
#[derive(Debug)]
pub struct Function {
    pub name: &'static str,
    pub package: Arc<Package>,
    /// `x86_64` or `arm64`.
    pub architecture: &'static str,
    pub memory: i32,
    /// In seconds.
    pub timeout: i32,
    pub environment: BTreeMap<String, String>,
    pub subnets: Vec<Reference>,
    /// None outside a VPC.
    pub security_groups: Vec<Reference>,
    /// A given one is an ARN.
    pub role: Reference,
    pub log_group: LogicalId,
    /// As that of a parameter.
    pub key_record: Option<LogicalId>,
}

impl Function {
    /// The key to set; an empty one is that of Lambda. `None` leaves it as it is.
    fn kms_key(cx: &Context) -> Option<String> {
        let wanted = cx.options().wanted_kms_key();
        wanted.map(|key| key.unwrap_or_default().to_owned())
    }

    fn vpc_config(&self, cx: &Context) -> Result<VpcConfig, ResourceError> {
        let resolved = |references: &[Reference]| -> Result<Vec<_>, ResourceError> {
            let ids = references.iter().map(|reference| reference.resolve(cx));
            ids.collect()
        };
        Ok(VpcConfig::builder()
            .set_subnet_ids(Some(resolved(&self.subnets)?))
            .set_security_group_ids(Some(resolved(&self.security_groups)?))
            .build())
    }

    fn role_arn(&self, cx: &Context) -> String {
        match &self.role {
            Reference::Given(arn) => arn.clone(),
            Reference::Managed(_) => cx.names().role_arn(),
        }
    }

    /// Updates the function's settings, with this environment.
    pub(super) async fn configure(
        &self,
        cx: &Context,
        environment: &BTreeMap<String, String>,
    ) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .lambda
            .update_function_configuration()
            .function_name(cx.names().function(self.name))
            .runtime(Runtime::Providedal2023)
            .role(self.role_arn(cx))
            .memory_size(self.memory)
            .timeout(self.timeout)
            .environment(variables(environment))
            .set_kms_key_arn(Self::kms_key(cx))
            .vpc_config(self.vpc_config(cx)?);
        cx.aws()
            .call_idempotent("lambda:UpdateFunctionConfiguration", || {
                request.clone().send()
            })
            .await?;
        Ok(())
    }

    async fn zip(&self) -> Result<Arc<[u8]>, ResourceError> {
        self.package
            .zip()
            .await
            .map_err(|error| ResourceError::Build(format!("{error:#}")))
    }

    async fn upload(&self, cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let zip = self.zip().await?;
        let request = cx
            .aws()
            .lambda
            .update_function_code()
            .function_name(&actual.name)
            .architectures(Architecture::from(self.architecture))
            .zip_file(Blob::new(zip.to_vec()));
        cx.aws()
            .call_idempotent("lambda:UpdateFunctionCode", || request.clone().send())
            .await?;
        self.tag(
            cx,
            BTreeMap::from([
                (SOURCE_TAG.to_owned(), self.package.source().to_owned()),
                (CODE_TAG.to_owned(), code_sha256(&zip)),
            ]),
        )
        .await
    }

    async fn tag(&self, cx: &Context, tags: BTreeMap<String, String>) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .lambda
            .tag_resource()
            .resource(cx.names().function_arn(self.name))
            .set_tags(Some(tags.into_iter().collect()));
        cx.aws()
            .call_idempotent("lambda:TagResource", || request.clone().send())
            .await?;
        Ok(())
    }
}

impl Resource for Function {
    type Kind = Functions;

    fn name(&self) -> &str {
        self.name
    }

    fn needs(&self) -> Vec<LogicalId> {
        let mut needs = vec![self.log_group.clone()];
        needs.extend(self.role.need());
        needs.extend(self.key_record.clone());
        let network = self.security_groups.iter().chain(&self.subnets);
        needs.extend(network.filter_map(Reference::need));
        needs
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        let none = "(none)".to_owned();
        let source = actual.tags.get(SOURCE_TAG).unwrap_or(&none);
        diff.field(CODE, short(source), short(self.package.source()));
        let uploaded = Some(&actual.content.code_sha256).filter(|hash| !hash.is_empty());
        if source == self.package.source()
            && uploaded.is_some_and(|hash| actual.tags.get(CODE_TAG) != Some(hash))
        {
            diff.field(CODE, "uploaded by someone else", short(source));
        }
        diff.field(
            ARCHITECTURE,
            &actual.content.architecture,
            self.architecture,
        );
        let runtime = Some(&actual.content.runtime).filter(|runtime| !runtime.is_empty());
        diff.known(RUNTIME, runtime, Runtime::Providedal2023.as_str());
        let role = Some(&actual.content.role).filter(|role| !role.is_empty());
        diff.known(ROLE, role, self.role_arn(cx));
        diff.field(
            MEMORY,
            Amount(actual.content.memory, "MB"),
            Amount(self.memory, "MB"),
        );
        diff.field(
            TIMEOUT,
            Amount(actual.content.timeout, "s"),
            Amount(self.timeout, "s"),
        );
        for (key, value) in &self.environment {
            diff.field(
                variable(key),
                actual.content.environment.get(key).unwrap_or(&none),
                value,
            );
        }
        for key in actual
            .content
            .environment
            .keys()
            .filter(|key| !self.environment.contains_key(*key))
        {
            // A value that another user set may be a secret.
            diff.field(variable(key), "(set)", &none);
        }
        diff.field(
            SUBNETS,
            List::sorted(actual.content.subnets.clone()).or_none(),
            listed(&self.subnets, cx).or_none(),
        );
        diff.field(
            SECURITY_GROUPS,
            List::sorted(actual.content.security_groups.clone()).or_none(),
            listed(&self.security_groups, cx).or_none(),
        );
        if let Some(wanted) = cx.options().wanted_kms_key() {
            let key = |key: Option<&str>| key.unwrap_or(&none).to_owned();
            diff.field(KMS_KEY, key(actual.content.kms_key.as_deref()), key(wanted));
        }
        if let Some(reason) = &actual.update_failure {
            diff.field(LAST_UPDATE, format!("failed: {reason}"), "successful");
        }
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn prepare(&self, _cx: &Context, diff: Option<&Diff>) -> Result<(), ResourceError> {
        if diff.is_none_or(uploads) {
            self.zip().await?;
        }
        Ok(())
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let zip = self.zip().await?;
        let mut tags = cx.tags(&LogicalId::new(Kind::Function, self.name));
        tags.insert(SOURCE_TAG.to_owned(), self.package.source().to_owned());
        tags.insert(CODE_TAG.to_owned(), code_sha256(&zip));
        let request = cx
            .aws()
            .lambda
            .create_function()
            .function_name(cx.names().function(self.name))
            .description(format!(
                "threescale-gw stack {}: {}",
                cx.names().stack,
                self.name
            ))
            .runtime(Runtime::Providedal2023)
            .handler("bootstrap")
            .architectures(Architecture::from(self.architecture))
            .role(self.role_arn(cx))
            .memory_size(self.memory)
            .timeout(self.timeout)
            .environment(variables(&self.environment))
            .set_kms_key_arn(Self::kms_key(cx).filter(|key| !key.is_empty()))
            .vpc_config(self.vpc_config(cx)?)
            // The first version becomes ready together with the function, and not after it.
            .publish(true)
            .code(
                FunctionCode::builder()
                    .zip_file(Blob::new(zip.to_vec()))
                    .build(),
            )
            .set_tags(Some(tags.into_iter().collect()));
        cx.aws()
            .call_non_idempotent("lambda:CreateFunction", || request.clone().send())
            .await?;
        Ok(())
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        diff: &Diff,
    ) -> Result<(), ResourceError> {
        if uploads(diff) {
            // Lambda rejects a second update while this one is in progress: the other changes follow after it.
            return self.upload(cx, actual).await;
        }
        let of_tags_alone = diff
            .changes
            .iter()
            .all(|change| matches!(change.field, Field::Tag(_)));
        if !of_tags_alone {
            self.configure(cx, &self.environment).await?;
        }
        let missing = tags::missing(&cx.tags(&actual.id), &actual.tags);
        if missing.is_empty() {
            Ok(())
        } else {
            self.tag(cx, missing).await
        }
    }

    async fn detach(&self, cx: &Context, actual: &Actual) -> Result<bool, ResourceError> {
        if actual.content.subnets.is_empty() {
            return Ok(false);
        }
        Functions::leave_vpc(cx, &actual.name).await?;
        Ok(true)
    }
}

/// An environment variable in a difference.
fn variable(key: &str) -> Field {
    match key {
        BASE_PATHS => Field::Property("base paths"),
        key => Field::Item("environment", key.to_owned()),
    }
}

fn variables(environment: &BTreeMap<String, String>) -> Environment {
    Environment::builder()
        .set_variables(Some(environment.clone().into_iter().collect()))
        .build()
}

/// Whether a change requires a code upload.
fn uploads(diff: &Diff) -> bool {
    diff.has(&CODE) || diff.has(&ARCHITECTURE)
}

/// The hash that Lambda reports for a zip.
fn code_sha256(zip: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(zip))
}

/// The prefix of a hash, for reports.
fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}

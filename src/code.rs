//! The stable codes of errors, each with its explanation. A code never changes its meaning.

/// What `explain` says about a code or a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// What happened.
    pub cause: &'static str,
    /// What that means for the stack and for callers.
    pub effect: &'static str,
    /// What to do.
    pub action: &'static str,
}

macro_rules! codes {
    (
        $(#[$about:meta])*
        $name:ident
        $($variant:ident $code:literal { $cause:literal $effect:literal $action:literal })+
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $(#[doc = $cause] $variant,)+
        }

        impl $name {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code as it is printed.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// Its explanation.
            pub fn explanation(self) -> $crate::code::Explanation {
                match self {
                    $(Self::$variant => $crate::code::Explanation {
                        cause: $cause,
                        effect: $effect,
                        action: $action,
                    },)+
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

pub(crate) use codes;

codes! {
    /// What kind of error it is. Several errors have the same code if the same has to be done.
    Code
    Usage "usage" {
        "The command line, an environment variable or a file that a flag names is wrong."
        "Nothing was sent and nothing was changed."
        "Correct what the message names. `threescale-gw help <command>` lists the options."
    }
    ConfigUnreadable "config-unreadable" {
        "The configuration file cannot be read."
        "Nothing was sent and nothing was changed."
        "Name the file with --file or THREESCALE_GW_FILE, or write one with `threescale-gw init`. With --stack, `status`, `verify`, `logs`, `report`, `doctor --request`, `rollback`, `release`, `unlock` and `down` need none."
    }
    ConfigInvalid "config-invalid" {
        "The configuration, or a file that it names, has problems, or a key that the kind of the API cannot have. Each one is listed with file, line and column."
        "Nothing was changed."
        "Correct the problems. `threescale-gw validate` checks the file offline, and `threescale-gw schema` lets an editor check it."
    }
    FileExists "file-exists" {
        "`init`, or `release --out`, would write a file that exists already."
        "The file was not changed."
        "Name another file with --file or --out, or remove the old one."
    }
    ApiNotFound "api-not-found" {
        "The account has no API with the id or name of the configuration in this Region, or several have this name, or it has none at all."
        "Nothing was changed."
        "Check `api.id` or `api.name`, the account and the Region. With several APIs of one name, use the id."
    }
    StackMismatch "stack-mismatch" {
        "--stack names another stack than the configuration file."
        "Nothing was sent and nothing was changed."
        "Leave out --stack, or name the file of that stack with --file."
    }
    RegionUnknown "region-unknown" {
        "Neither --region, nor AWS_REGION, nor the profile names a Region."
        "Nothing was sent and nothing was changed."
        "Give --region, or set AWS_REGION."
    }
    ProfileUnknown "profile-unknown" {
        "The AWS configuration has no profile with the name of --profile or AWS_PROFILE, or it cannot be read."
        "Nothing was sent and nothing was changed."
        "Use one of the profiles that the message lists, or create it with `aws configure`."
    }
    Refused "refused" {
        "The command would not do what is intended. The message says why."
        "Nothing was changed."
        "Do what the hint says, then run the command again."
    }
    Preflight "preflight" {
        "Checks before the first change found what would make the plan fail. Each finding is listed with a code of its own."
        "Nothing was changed."
        "Remove the cause of each finding: `threescale-gw explain` says more about its code. `threescale-gw plan` runs the same checks and changes nothing."
    }
    ResourceStuck "resource-stuck" {
        "A resource of the stack is in a state that does not end by itself."
        "Nothing was changed."
        "Do what the finding says. Then run the same command again."
    }
    ZonesMissing "zones-missing" {
        "The Region offers fewer Availability Zones than `network.zones`."
        "Nothing was changed."
        "Reduce `network.zones`, or use another Region."
    }
    AddressUnusable "address-unusable" {
        "An address of `network.elastic_ips` does not exist, is in use, or belongs to the stack."
        "Nothing was changed."
        "Disassociate the address, or name another one in `network.elastic_ips`."
    }
    QuotaExceeded "quota-exceeded" {
        "The resources to create would exceed a quota of the account or of the API."
        "Nothing was changed."
        "Request an increase in Service Quotas, or delete what is not used."
    }
    EncryptionEnforced "encryption-enforced" {
        "The VPC, or the account, enforces encryption in transit, and what the stack needs is not excluded from it."
        "Nothing was changed."
        "Add the exclusions that the finding names, or use a VPC of your own in `network.vpc`."
    }
    PublicAccessBlocked "public-access-blocked" {
        "VPC Block Public Access of the account blocks NAT gateways, so that the functions could not reach 3scale."
        "Nothing was changed."
        "Set it to block-ingress, or exclude a VPC of your own and name it in `network.vpc`."
    }
    VpcNotFound "vpc-not-found" {
        "The VPC of `network.vpc` does not exist in this account and Region."
        "Nothing was changed."
        "Correct `network.vpc`, or use the account and Region of that VPC."
    }
    NetworkUnfit "network-unfit" {
        "Your own network lacks what the functions and the cache need: subnets, free addresses, a route, DNS, or a rule of a network ACL."
        "Nothing was changed."
        "Change the network as the finding says, or name other subnets. docs/network.md lists what a network needs."
    }
    TopicUnusable "topic-unusable" {
        "The topic of `monitoring.topic` is of another Region or partition than the stack."
        "Nothing was changed."
        "Name a topic of the Region of the stack."
    }
    RouteConflict "route-conflict" {
        "A subnet of yours would lose routes that others use if the stack associated its own route table."
        "Nothing was changed."
        "Use other subnets, or add the route to your own route table and remove `network.route`."
    }
    EndpointExists "endpoint-exists" {
        "The VPC has an endpoint of the Parameter Store with private DNS names already. EC2 refuses a second one."
        "Nothing was changed."
        "Remove `network.endpoints`: the functions use the existing endpoint."
    }
    BoundaryUnusable "boundary-unusable" {
        "The policy of `authorizer.permissions_boundary` does not exist, or is of another account."
        "Nothing was changed."
        "Correct `authorizer.permissions_boundary`."
    }
    RoleUnusable "role-unusable" {
        "The role of `authorizer.role_arn` is of another account, Lambda may not assume it, or its policies lack what the functions need."
        "Nothing was changed."
        "Correct the trust policy or the policies of the role. docs/permissions.md has the policy that it needs."
    }
    KmsKeyUnfit "kms-key-unfit" {
        "The KMS key of `authorizer.kms_key` does not exist, is disabled, or cannot encrypt the secrets."
        "Nothing was changed."
        "Enable the key, or name a symmetric key of your own in this Region."
    }
    SecurityGroupsUnfit "security-groups-unfit" {
        "The security groups of `authorizer.security_groups` do not exist, are of another VPC, or do not allow what the functions send."
        "Nothing was changed."
        "Change the groups as the finding says, or name others."
    }
    TagsRequired "tags-required" {
        "The tag policy of the organization requires tags that the configuration lacks."
        "Nothing was changed."
        "Add the keys that the finding names to `tags`."
    }
    NodeTypeUnavailable "node-type-unavailable" {
        "ElastiCache does not offer the node type of `cache.node_type` in this Region."
        "Nothing was changed."
        "Choose another node type, or `cache.kind: serverless`."
    }
    InstanceTypeUnavailable "instance-type-unavailable" {
        "Amazon EC2 does not offer the instance type of NAT instances in a zone of the stack."
        "Nothing was changed."
        "Use `network.nat: single`, or subnets in other zones."
    }
    StageNotFound "stage-not-found" {
        "The API has no stage with the name of `api.stage`, or the stage has no deployment."
        "Nothing was changed."
        "Correct `api.stage`, or deploy the API to that stage first."
    }
    OtherStageDeploys "other-stage-deploys" {
        "Another stage of the HTTP or WebSocket API deploys automatically, and would serve the authorizer of this stack as soon as the routes change."
        "Nothing was changed."
        "Turn off the automatic deployment of the stage that the finding names, add the stage to `api.stage`, or delete it. A stage of quick create cannot be one of several: name it alone, or leave it out."
    }
    AttachedToOtherStage "attached-to-other-stage" {
        "The stack protects another stage of the same API. The stages share one draft, whose methods cannot have the authorizer for one stage and be restored for the other. Only a stage of a REST API can leave: it serves the deployment again that it served before the stack. This is not possible if others have deleted that deployment, or have published changes since."
        "Nothing was changed."
        "Add the former stage to the list of `api.stage`. Or run `threescale-gw down` first, then `threescale-gw up` with the new stage."
    }
    MethodOfAnotherStack "method-of-another-stack" {
        "Another stack protects a method in the same stage that `api.protect` of this one names exactly. A method has one authorizer in a stage."
        "Nothing was changed."
        "Take the method out of `api.protect` of one of the two stacks. To move it from one to the other, run `threescale-gw up` for the other one first."
    }
    CanaryActive "canary-active" {
        "The stage has a canary release, whose requests would bypass the authorizer."
        "Nothing was changed."
        "Promote or delete the canary release first."
    }
    NothingProtected "nothing-protected" {
        "`api.protect` and `api.except` select no method or route of the API."
        "Nothing was changed."
        "Correct `api.protect` and `api.except`. The finding says what is left out, and why."
    }
    MethodUnknown "method-unknown" {
        "`api.protect` names a method or route exactly that the API does not have, so that the intended one would stay open."
        "Nothing was changed."
        "Correct the name. The finding has the one that was probably meant."
    }
    MethodIncomplete "method-incomplete" {
        "A method of the API has no integration. API Gateway deploys no API with such a method."
        "Nothing was changed."
        "Add an integration to the method, or delete the method."
    }
    LimitsConflict "limits-conflict" {
        "Another stack on the API responds to a passed limit with another status, and all stages of an API share this gateway response."
        "Nothing was changed."
        "Set `api.responses.limits` to the status of the other stack."
    }
    ModeConflict "mode-conflict" {
        "The mode observe cannot begin while the stack moves to another API or stage: the former one would refuse requests without a key."
        "Nothing was changed."
        "Change `api` and `authorizer.mode` one after the other."
    }
    PermissionsMissing "permissions-missing" {
        "The policies of the user or role do not allow what the plan needs."
        "Nothing was changed."
        "Grant the actions that the finding names. `threescale-gw iam-policy --for up` prints the policy."
    }
    ThreescaleRefuses "threescale-refuses" {
        "3scale does not accept the service token, the product, the kind of the credentials, a metric of the mapping rules, or the application of --key."
        "Nothing was changed: the authorizer would refuse callers."
        "Correct the key that the finding names."
    }
    CannotImport "cannot-import" {
        "The network does not have the shape of a network of the stack."
        "Nothing was changed."
        "Change the configuration as the hint says, or use the network without an import in `network.vpc`."
    }
    PlanRefused "plan-refused" {
        "The plan contains a change that cannot be made in this state of the account."
        "Nothing was changed."
        "Do what the message says, then run `threescale-gw plan` again."
    }
    PlanStale "plan-stale" {
        "The account changed between the plan that was shown, or written with `plan --out`, and its confirmation. Each resource is named."
        "Nothing was changed, because another plan was confirmed."
        "Read the new plan: run the same command again, or `threescale-gw plan --out` if the plan is a file."
    }
    PlanFileInvalid "plan-file-invalid" {
        "The file of `up --plan` cannot be used: it cannot be read, is no file of `plan --out`, was changed after it was written, or another version of the program wrote it."
        "Nothing was sent and nothing was changed."
        "Write the file again with `threescale-gw plan --out`, with the same version of the program, and have the new plan approved."
    }
    PlanMismatch "plan-mismatch" {
        "The file of `up --plan` is of another stack, account, Region, API, configuration or authorizer than this run."
        "Nothing was changed."
        "Use the credentials, the configuration and the authorizer that the plan was made with, or make a new plan with `threescale-gw plan --out`."
    }
    NotConfirmed "not-confirmed" {
        "The question was not answered with yes, or there is no terminal to ask on."
        "Nothing was changed."
        "Answer `y`, or give --yes where there is no terminal."
    }
    PendingEdits "pending-edits" {
        "Others have changed the draft of the API and not deployed it. A deployment would publish their edits. Whether there are any in a WebSocket API is not known, because API Gateway does not list them."
        "Nothing was changed."
        "Publish or revert these edits first, or accept them with --publish-pending."
    }
    LockHeld "lock-held" {
        "Another run holds the lock of the stack or of the API, or is taking it at this moment."
        "Nothing was changed."
        "Wait for that run. If it no longer exists, its lock expires by itself; `threescale-gw unlock --stack <stack>` releases it at once."
    }
    WrongPlace "wrong-place" {
        "The credentials are of another account, or the Region is another one, than `account` and `region` of the configuration."
        "Nothing was changed."
        "Use a profile of that account and that Region, or correct the configuration."
    }
    NotManaged "not-managed" {
        "A resource has the name or the tags of the stack, and does not belong to it, or cannot be told from its own."
        "It was not changed."
        "Rename or delete that resource, or remove its copied tags; or give the stack another name."
    }
    DeletionProtected "deletion-protected" {
        "The stack has `deletion_protection: true`."
        "Nothing was deleted."
        "Set `deletion_protection: false`, run `threescale-gw up`, then `threescale-gw down`."
    }
    NetworkInUse "network-in-use" {
        "Others have something in the network of the stack, so that it cannot be deleted."
        "Nothing was deleted."
        "Remove what is named, or delete everything except the network with `threescale-gw down --leave-network`."
    }
    UnknownGuard "unknown-guard" {
        "Methods or routes use the authorizer, and the record of their original authorization is lost."
        "Nothing was deleted: without the authorizer, they would answer 500."
        "Set their authorization yourself, deploy the API, and run `threescale-gw down` again."
    }
    KmsKeyUnusable "kms-key-unusable" {
        "The secrets of the stack, or the environments of its functions, have a KMS key that cannot be used: it is disabled or pending deletion, or you or the functions may not use it."
        "Nothing was changed. Functions that start cannot read their secrets, and callers are refused."
        "Enable the key, or cancel its deletion and enable it, and allow kms:Decrypt on it. `threescale-gw status` and `threescale-gw down` work without the key."
    }
    StackExpired "stack-expired" {
        "The stack was created with --ttl, and has expired, so that the next `sweep` would delete it."
        "Nothing was changed."
        "Renew it with `threescale-gw up --ttl <duration>`, or keep it with `--ttl none`."
    }
    StackNotFound "stack-not-found" {
        "The stack has nothing of what the command works on: it was not created, or is in another account or Region."
        "Nothing was changed."
        "Check --stack, --region and --profile. `threescale-gw up` creates the stack."
    }
    StackReleased "stack-released" {
        "The stack was released with `threescale-gw release`, or a release of it was interrupted."
        "Nothing was changed: the resources of the stack are no longer managed by this program."
        "Change and delete the resources with the tool that manages them now. Complete an interrupted release with `threescale-gw release`. A new stack needs another name."
    }
    CannotRollBack "cannot-roll-back" {
        "The deployment before that of the stack no longer exists, others have published since, or API Gateway could not deploy the restored routes."
        "The stage stays on its deployment."
        "Move the stage to a deployment that you name with `threescale-gw rollback --to <deployment>`, or restore the API with `threescale-gw down`. If a deployment failed, remove its cause and run the same command again."
    }
    AwsCredentials "aws-credentials" {
        "AWS does not accept the credentials: they are missing, wrong or expired, or the clock of this machine is wrong."
        "The call was not carried out. What was done before stays."
        "Renew the credentials, for example with `aws sso login`, then run the same command again."
    }
    AwsDenied "aws-denied" {
        "The credentials lack a permission, or a policy denies the call."
        "The call was not carried out. What does not depend on it was done."
        "Grant the action that the message names. docs/permissions.md lists the actions of every command. Then run the same command again."
    }
    AwsThrottled "aws-throttled" {
        "AWS limits the rate of calls, and refused this one for three minutes."
        "The call was not carried out."
        "Run the same command again, if necessary with a smaller --parallelism."
    }
    AwsUnreachable "aws-unreachable" {
        "No connection to AWS, or to the endpoint that takes its place, could be made."
        "The request was not sent."
        "Check the Region, --endpoint-url and AWS_ENDPOINT_URL, the connection of this machine, its DNS servers, and HTTPS_PROXY."
    }
    AwsUnanswered "aws-unanswered" {
        "AWS did not answer, or its answer cannot be read, so that it is not known whether the call was carried out."
        "The next run reads what exists, and creates nothing twice."
        "Check the connection and the proxy, then run the same command again."
    }
    AwsNotFound "aws-not-found" {
        "What the call names does not exist, or no longer."
        "The call was not carried out."
        "Run the same command again: it looks again at what exists."
    }
    AwsFailed "aws-failed" {
        "AWS refused the call for another reason, which the message contains."
        "The call was not carried out. What does not depend on it was done."
        "Remove the cause, for example a quota, then run the same command again."
    }
    ConcurrentChange "concurrent-change" {
        "Another user or program changes the same resource during the run."
        "What others changed was not overwritten."
        "Wait until the other change is complete, then run the same command again."
    }
    NotVisible "not-visible" {
        "AWS does not show what was written."
        "The run stopped there. Nothing is lost."
        "Run the same command again: it continues where it stopped."
    }
    NotConverging "not-converging" {
        "A resource still differs after several updates: something else changes it back."
        "The run stopped at this resource."
        "Find what changes it, such as another tool or an automation of the account."
    }
    ResourceTimeout "resource-timeout" {
        "A resource did not become ready in time."
        "AWS may still be working on it."
        "Run the same command again: it waits for the same resource."
    }
    ResourceFailed "resource-failed" {
        "AWS reports that a resource failed."
        "What depends on it was not created."
        "Read the reason in the message, remove the cause, and run the same command again, which replaces the resource."
    }
    Blocked "blocked" {
        "Something must be changed by you first."
        "The run stopped at this resource."
        "Do what the message and the hint say, then run the same command again."
    }
    SelfTest "self-test" {
        "The authorizer cannot decide: its self-test found that it does not reach Redis or 3scale, or that 3scale refuses the service token or the product."
        "The API was not changed, and callers notice nothing: what was live stays live."
        "Do what the hint says. `threescale-gw status` runs the self-test again. authorizer/README.md lists the causes."
    }
    Build "build" {
        "The authorizer was not built, or the file of the release or of `authorizer.artifact` cannot be used."
        "The functions were not changed."
        "Install what the message names, use the file of the release, or use a zip file with `authorizer.artifact`."
    }
    Verification "verification" {
        "A real request to the API received a response that it should not receive."
        "`up` has moved the stage back if that helps, and says so."
        "Read which method received which response. `threescale-gw verify` sends the requests again."
    }
    Partial "partial" {
        "A part of the work is done."
        "What is done stays and is used by the next run."
        "Run the same command again."
    }
    Interrupted "interrupted" {
        "The run received a signal."
        "Calls in progress were completed. What is done stays and is used by the next run."
        "Run the same command again."
    }
    TimedOut "timed-out" {
        "The time of --timeout has passed."
        "What is done stays and is used by the next run."
        "Run the same command again, if necessary with a longer --timeout."
    }
    Failed "failed" {
        "The command failed. The message says why."
        "What is done stays and is used by the next run."
        "Remove the cause, then run the same command again."
    }
    Internal "internal-error" {
        "An error of this program."
        "What is done stays and is used by the next run."
        "Run the same command again. If it repeats, report the message with the output of `threescale-gw version --verbose`."
    }
}

//! The stable codes of errors, each with its explanation. A code never changes its meaning.

use serde::{Serialize, Serializer};

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
    ($($variant:ident $code:literal { $cause:literal $effect:literal $action:literal })+) => {
        /// What kind of error it is. Several errors have the same code if the same has to be done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $cause] $variant,)+
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code as it is printed.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// Its explanation.
            pub fn explanation(self) -> Explanation {
                match self {
                    $(Self::$variant => Explanation { cause: $cause, effect: $effect, action: $action },)+
                }
            }
        }
    };
}

codes! {
    Usage "usage" {
        "The command line, an environment variable or a file that a flag names is wrong."
        "Nothing was sent and nothing was changed."
        "Correct what the message names. `threescale-gw help <command>` lists the options."
    }
    ConfigUnreadable "config-unreadable" {
        "The configuration file cannot be read."
        "Nothing was sent and nothing was changed."
        "Name the file with --file or THREESCALE_GW_FILE, or write one with `threescale-gw init`. With --stack, `down`, `rollback`, `unlock` and `logs` need none."
    }
    ConfigInvalid "config-invalid" {
        "The configuration, or a file that it names, has problems. Each one is listed with file, line and column."
        "Nothing was sent and nothing was changed."
        "Correct the problems. `threescale-gw validate` checks the file offline, and `threescale-gw schema` lets an editor check it."
    }
    FileExists "file-exists" {
        "`init` would write a file that exists already."
        "The file was not changed."
        "Name another file with --file, or remove the old one."
    }
    ApiNotFound "api-not-found" {
        "The account has no REST API with the id or name of the configuration in this Region, or several have this name, or it has none at all."
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
        "A check before the first change found what would make the plan fail: an API or stage that does not exist, a quota, a name that is in use, a network that does not fit, a missing tool. Each finding is listed."
        "Nothing was changed."
        "Remove each finding. `threescale-gw plan` runs the same checks and changes nothing."
    }
    PlanRefused "plan-refused" {
        "The plan contains a change that cannot be made in this state of the account."
        "Nothing was changed."
        "Do what the message says, then run `threescale-gw plan` again."
    }
    PlanStale "plan-stale" {
        "The account changed between the plan that was shown and the confirmation."
        "Nothing was changed, because you confirmed another plan."
        "Run the same command again, and read the new plan."
    }
    NotConfirmed "not-confirmed" {
        "The question was not answered with yes, or there is no terminal to ask on."
        "Nothing was changed."
        "Answer `y`, or give --yes where there is no terminal."
    }
    PendingEdits "pending-edits" {
        "Others have changed the draft of the API and not deployed it. A deployment would publish their edits."
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
        "Methods use the authorizer, and the record of their original authorization is lost."
        "Nothing was deleted: without the authorizer, these methods would answer 500."
        "Set the authorization of these methods yourself, deploy the API, and run `threescale-gw down` again."
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
    CannotRollBack "cannot-roll-back" {
        "The deployment before that of the stack no longer exists, or others have published since."
        "The stage stays on its deployment."
        "Move the stage to a deployment that you name with `threescale-gw rollback --to <deployment>`, or restore the methods with `threescale-gw down`."
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
        "The authorizer was not built, or the file of `authorizer.artifact` cannot be used."
        "The functions were not changed."
        "Install what the message names, or use a zip file with `authorizer.artifact`."
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

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

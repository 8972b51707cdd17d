//! The command line: types only.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{self, Answer, StackName};
use crate::decision;
use crate::expiry::Ttl;
use crate::sandbox::ApiType;
use crate::sandbox::load_run::Chaos;
use crate::secret::{AccessKey, Secret};

/// Adds 3scale API management to an API on Amazon API Gateway, and removes it again.
#[derive(Debug, Parser)]
#[command(name = "threescale-gw", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done or nothing to do, 1 failed, 2 wrong usage or configuration, 3 there is something \
    to do (--exit-code), 4 refused before anything was changed, 5 partial: run it again, 130 interrupted."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// The variable that names the configuration file.
pub const FILE: &str = "THREESCALE_GW_FILE";
const DEFAULT_FILE: &str = "threescale-gw.yaml";

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The configuration file; `-` reads standard input
    #[arg(short, long, global = true, env = FILE, default_value = DEFAULT_FILE)]
    pub file: PathBuf,
    /// The stack name, if there is no configuration file
    #[arg(long, global = true, value_parser = parse_stack)]
    pub stack: Option<StackName>,
    /// The AWS region
    #[arg(long, global = true)]
    pub region: Option<String>,
    /// The profile of the AWS configuration
    #[arg(long, global = true)]
    pub profile: Option<String>,
    /// Override the endpoint of all AWS services
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// Output format; markdown for `plan`, `up`, `down`, `verify` and `status`
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Print every AWS request
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Print results and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// When to use colors (also NO_COLOR, FORCE_COLOR)
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorWhen::Auto)]
    pub color: ColorWhen,
    /// The same as `--color never`
    #[arg(long, global = true, conflicts_with = "color")]
    pub no_color: bool,
    /// Use a running sandbox: its AWS endpoint and, unless --file is given, its configuration
    #[arg(long, global = true, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "0", value_parser = parse_sandbox)]
    pub sandbox: Option<u16>,
    /// Set by `sandbox`, whose AWS has an access key of its own.
    #[arg(skip)]
    pub access_key: Option<AccessKey>,
}

impl Global {
    /// Whether the command works in a sandbox.
    pub fn is_sandbox(&self) -> bool {
        self.sandbox.is_some() || self.access_key.is_some()
    }

    /// Whether `--file` names the configuration: not the environment, and not the default.
    pub fn names_file(&self) -> bool {
        let of_environment = std::env::var_os(FILE);
        self.file != Path::new(DEFAULT_FILE)
            && of_environment.is_none_or(|file| self.file != Path::new(&file))
    }
}

/// When text has colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    Auto,
    Always,
    Never,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
    // A documentation comment would make clap print the long form of the help of every command.
    Markdown,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a small configuration; on a terminal, ask for what is not given
    Init(InitArgs),
    /// Show what `up` would change; change nothing
    Plan(PlanArgs),
    /// Create, update or repair the stack
    Up(UpArgs),
    /// Show the resources, their health and drift, the endpoints, and which methods are protected
    Status(StatusArgs),
    /// Verify with real requests that the API is protected
    Verify(VerifyArgs),
    /// Show the logs of the authorizer and the reporter
    Logs(LogsArgs),
    /// Show which callers are refused, or would be refused in the mode observe, and why
    Report(ReportArgs),
    /// Check what `up` depends on; with --request or --key, show why a request or a key is refused
    Doctor(DoctorArgs),
    /// Delete the stack and restore the API
    Down(DownArgs),
    /// Forget the stack without deleting anything: other tools manage it from then on
    Release(ReleaseArgs),
    /// Move the stage and the functions back to what they served before
    Rollback(RollbackArgs),
    /// List the stacks of this account
    List(ListArgs),
    /// Delete the stacks that have expired, and restore their APIs
    Sweep(SweepArgs),
    /// Take over a network that was made by hand: tag it into the stack
    Import(ImportArgs),
    /// Write the stack as Terraform configuration or as a CloudFormation template, to move to that
    Export(ExportArgs),
    /// Release the lock of a run that no longer exists
    Unlock(UnlockArgs),
    /// Print the IAM policy that an operator needs, or the trust policy of a pipeline's role
    IamPolicy(IamPolicyArgs),
    /// Run everything on this machine, without an AWS or a 3scale account
    Sandbox(SandboxArgs),
    #[command(flatten)]
    Offline(Offline),
}

/// What needs neither an account nor a network.
#[derive(Debug, Subcommand)]
pub enum Offline {
    /// Check the configuration, without an account, and without the environment variables it refers to
    Validate,
    /// Print the JSON Schema of the configuration, for editors, or of a document
    Schema(SchemaArgs),
    /// Show the version; with --verbose also the commit, the target, and the authorizer it contains
    Version,
    /// Explain an error code, or a reason of the authorizer; without one, list all
    Explain(ExplainArgs),
    /// Print a script that completes commands and options in a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write one page per command
    Man(ManArgs),
}

/// Flags of `plan`.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// Exit with 3 if there are changes
    #[arg(long)]
    pub exit_code: bool,
    /// Also check whether 3scale has the metrics, with this valid user key or `<app_id>:<app_key>`
    #[arg(long, value_name = "KEY", env = "THREESCALE_TEST_KEY", hide_env_values = true, value_parser = parse_secret)]
    pub key: Option<Secret>,
    /// Also write the plan to this file, for `up --plan`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print the resources and their dependencies as a Mermaid flowchart instead
    #[arg(long, conflicts_with_all = ["exit_code", "out"])]
    pub graph: bool,
    /// Also write how many resources change, as a Terraform report of GitLab
    #[arg(long, value_name = "FILE", conflicts_with = "graph")]
    pub gitlab_report: Option<PathBuf>,
    /// Plan with an authorizer that is built on this machine, and not the zip file of the release
    #[arg(long)]
    pub build: bool,
}

/// Flags of `status`.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// Exit with 3 if something is unhealthy or has drifted
    #[arg(long)]
    pub exit_code: bool,
    /// Skip the authorizer's self-test: whether it reaches Redis and 3scale
    #[arg(long)]
    pub no_deep: bool,
    /// Also show what is healthy; -o json always shows everything
    #[arg(long)]
    pub all: bool,
    /// What is done without being asked for.
    #[arg(long, hide = true, overrides_with = "no_deep")]
    pub deep: bool,
}

/// Flags of `verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub requests: RequestArgs,
    /// Verify only this stage
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
    /// Base URL of the API instead of its default endpoint: a custom domain name with its base path
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    pub url: Option<String>,
}

/// Flags of requests to the API itself.
#[derive(Debug, Clone, Args)]
pub struct RequestArgs {
    /// Also call safe methods with this valid user key or `<app_id>:<app_key>`
    #[arg(long, value_name = "KEY", env = "THREESCALE_TEST_KEY", hide_env_values = true, value_parser = parse_secret)]
    pub key: Option<Secret>,
    /// How long to wait until a new deployment takes effect
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    pub settle: Duration,
}

/// Flags of `rollback`.
#[derive(Debug, Clone, Args)]
pub struct RollbackArgs {
    /// Roll back only this stage, and no function
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
    /// Roll back to this deployment of the API
    #[arg(long, value_name = "DEPLOYMENT")]
    pub to: Option<String>,
    /// How long to wait for a run of another stack on the same API
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub lock_timeout: Duration,
}

/// Flags of `import`.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// The VPC; by default the only one with a NAT gateway that belongs to no stack
    #[arg(long, value_name = "VPC", value_parser = parse_vpc)]
    pub vpc: Option<String>,
    /// Skip confirmation
    #[arg(short, long)]
    pub yes: bool,
    /// How long to wait for another run on the stack
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    pub lock_timeout: Duration,
}

/// Flags of `export`.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// The language
    #[arg(long, value_enum)]
    pub format: ExportFormat,
    /// The folder for the files, created if needed; without it, Terraform configuration is printed
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace the files of an earlier export
    #[arg(long, requires = "out")]
    pub force: bool,
}

/// The language of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    Terraform,
    Cloudformation,
}

/// Flags of `list`.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// List the stacks of all enabled Regions
    #[arg(long)]
    pub all_regions: bool,
    /// List only stacks that have expired, which `sweep` deletes
    #[arg(long)]
    pub expired: bool,
}

/// Flags of `sweep`.
#[derive(Debug, Clone, Args)]
pub struct SweepArgs {
    #[command(flatten)]
    pub change: ChangeArgs,
    /// Delete the expired stacks of all enabled Regions
    #[arg(long)]
    pub all_regions: bool,
    /// Delete only stacks that expired at least this long ago
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub older_than: Option<Duration>,
    /// Only list what would be deleted
    #[arg(long)]
    pub dry_run: bool,
    /// Publish undeployed changes of others in the drafts of the APIs
    #[arg(long)]
    pub publish_pending: bool,
}

/// Flags of `logs`.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// The function; both by default
    #[arg(value_enum)]
    pub functions: Vec<LogFunction>,
    /// How far back to read the logs
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "10m")]
    pub since: Duration,
    /// Follow the logs until Ctrl-C
    #[arg(long)]
    pub follow: bool,
    /// A CloudWatch Logs filter pattern, for example limits_exceeded
    #[arg(long, value_name = "PATTERN")]
    pub filter: Option<String>,
    /// Show the lines about the requests of a trace: the header X-Amzn-Trace-Id or traceparent, or the id in it
    #[arg(long, value_name = "ID", value_parser = decision::parse_trace, conflicts_with = "filter")]
    pub trace: Option<String>,
    /// Include metrics and Lambda's own lines; -o json always includes them
    #[arg(long)]
    pub all: bool,
}

/// Flags of `report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// How far back to read the authorizer's log
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "24h")]
    pub since: Duration,
}

/// Flags of `doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Show the decision about this request: the header x-amzn-RequestId (of an HTTP API, apigw-requestid) of its response, or
    /// the header X-Amzn-Trace-Id or traceparent of the request
    #[arg(long, value_name = "ID", value_parser = decision::parse_id)]
    pub request: Option<String>,
    /// Ask 3scale about a key: which application, state, metric or limit refuses it. The key is read from
    /// THREESCALE_TEST_KEY or standard input, so that no process list shows it
    #[arg(long, conflicts_with = "request")]
    pub key: bool,
    /// How far back to read the authorizer's log
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "24h", requires = "request")]
    pub since: Duration,
}

/// A function of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum LogFunction {
    Authorizer,
    Reporter,
}

impl LogFunction {
    /// Its logical name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Authorizer => "authorizer",
            Self::Reporter => "reporter",
        }
    }
}

/// Flags of `down`.
#[derive(Debug, Clone, Args)]
pub struct DownArgs {
    #[command(flatten)]
    pub change: ChangeArgs,
    /// Set methods that had no authorization before to AWS_IAM instead of opening them
    #[arg(long)]
    pub keep_protected: bool,
    /// Publish undeployed changes of others in the API's draft without asking
    #[arg(long)]
    pub publish_pending: bool,
    /// Keep the VPC, its subnets, route tables and gateways, because others use them
    #[arg(long)]
    pub leave_network: bool,
    /// Exit with 4 if the stack does not exist
    #[arg(long)]
    pub must_exist: bool,
    /// Do not wait until AWS has deleted what takes long; `sweep` deletes the rest
    #[arg(long, conflicts_with = "leave_network")]
    pub no_wait: bool,
}

/// Flags of `release`.
#[derive(Debug, Clone, Args)]
pub struct ReleaseArgs {
    /// Skip confirmation
    #[arg(short, long)]
    pub yes: bool,
    /// Write what is forgotten to this new file, with what each method was before the stack
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Stop after this duration, for example 5m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
}

/// Flags of `unlock`.
#[derive(Debug, Clone, Copy, Args)]
pub struct UnlockArgs {
    /// Do not ask, even if the run may be in progress
    #[arg(short, long)]
    pub yes: bool,
}

/// Flags of commands that change something.
#[derive(Debug, Clone, Args)]
pub struct ChangeArgs {
    /// Skip confirmation
    #[arg(short, long)]
    pub yes: bool,
    /// Stop after this duration, for example 30m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// How long to wait for another run: by default 0s for one on the stack, and 4m for one of another stack on the API
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub lock_timeout: Option<Duration>,
    /// Maximum number of concurrent AWS requests
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = |text: &str| parse_whole::<u16>(text, 100))]
    pub parallelism: u16,
}

impl ChangeArgs {
    /// How long to wait for another run on the stack.
    pub fn patience(&self) -> Duration {
        self.lock_timeout.unwrap_or_default()
    }

    /// How long to wait for another stack on the API: longer than the lock of a killed run lasts.
    pub fn api_patience(&self) -> Duration {
        self.lock_timeout.unwrap_or(Duration::from_secs(240))
    }
}

/// Flags of `up`.
#[derive(Debug, Clone, Args)]
pub struct UpArgs {
    #[command(flatten)]
    pub change: ChangeArgs,
    /// Do what this file of `plan --out` says, without a question; refuse if anything has changed since
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only", "publish_pending", "rotate_cache_token"])]
    pub plan: Option<PathBuf>,
    /// Update only this part: `authorizer` replaces the code of the functions
    #[arg(long, value_enum, value_name = "PART")]
    pub only: Option<Only>,
    /// Build the authorizer on this machine, and do not use the zip file of the release
    #[arg(long)]
    pub build: bool,
    /// Let the stack expire after this duration, at least 1m: `sweep` deletes it then. `none`: it does not expire
    #[arg(long, value_name = "DURATION", value_parser = Ttl::parse)]
    pub ttl: Option<Ttl>,
    /// Publish undeployed changes of others in the API's draft without asking
    #[arg(long)]
    pub publish_pending: bool,
    /// Replace the AUTH token of the cache, without an interruption
    #[arg(long, conflicts_with = "only")]
    pub rotate_cache_token: bool,
    /// Skip the requests that verify a deployment
    #[arg(long, conflicts_with_all = ["key", "settle"])]
    pub no_verify: bool,
    #[command(flatten)]
    pub requests: RequestArgs,
}

impl UpArgs {
    /// With no flags but those of every change.
    pub fn new(change: ChangeArgs) -> Self {
        Self {
            change,
            plan: None,
            only: None,
            build: false,
            ttl: None,
            publish_pending: false,
            rotate_cache_token: false,
            no_verify: false,
            requests: RequestArgs {
                key: None,
                settle: Duration::from_secs(60),
            },
        }
    }
}

/// A part of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Only {
    Authorizer,
}

/// Flags of `iam-policy`.
#[derive(Debug, Clone, Args)]
pub struct IamPolicyArgs {
    /// The command that the policy is for
    #[arg(
        long = "for",
        value_enum,
        value_name = "COMMAND",
        required_unless_present = "trust"
    )]
    pub purpose: Option<PolicyCommand>,
    /// How the policy is written
    #[arg(long, value_enum, default_value_t = PolicyFormat::Json)]
    pub format: PolicyFormat,
    /// Print only this part of a policy that is too large for one managed policy
    #[arg(long, value_name = "N", value_parser = |text: &str| parse_whole::<u8>(text, 9), conflicts_with = "trust")]
    pub part: Option<u8>,
    /// The account, if the configuration does not name it
    #[arg(long, value_name = "ACCOUNT", value_parser = parse_account)]
    pub account: Option<String>,
    /// A KMS key that the stack has, beside the key of the configuration; can be repeated
    #[arg(long, value_name = "ARN", value_parser = config::kms_key, conflicts_with = "trust")]
    pub kms_key: Vec<String>,
    /// Print the trust policy of a role for the jobs of this service instead
    #[arg(
        long,
        value_enum,
        value_name = "SERVICE",
        conflicts_with = "purpose",
        requires = "repository"
    )]
    pub trust: Option<TrustProvider>,
    /// The repository whose jobs may assume the role
    #[arg(long, value_name = "OWNER/NAME", value_parser = parse_repository, requires = "trust")]
    pub repository: Option<String>,
    /// The branch whose jobs may assume the role
    #[arg(long, value_name = "BRANCH", value_parser = parse_branch, default_value = "main")]
    pub branch: String,
}

/// A command with a policy of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PolicyCommand {
    Plan,
    Up,
    Down,
    Status,
    Export,
    // For all stacks, unless --stack names one.
    Sweep,
}

/// How a policy is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PolicyFormat {
    Json,
    Terraform,
}

/// Who signs the tokens of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TrustProvider {
    #[value(name = "github")]
    GitHub,
    #[value(name = "gitlab")]
    GitLab,
}

/// Flags of `sandbox`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SandboxArgs {
    /// Manage running sandboxes
    #[command(subcommand)]
    pub action: Option<SandboxAction>,
    /// Run in the background, and return when it is ready
    #[arg(long)]
    pub detach: bool,
    /// The former name of `--detach`; not an alias, so that a conflict names what was typed.
    #[arg(long, hide = true)]
    pub keep: bool,
    /// Your configuration; its API, addresses, service token, cache, networks and architecture are replaced
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Applications, keys and limits of the 3scale stand-in (see stand-in/limits.yaml)
    #[arg(long, value_name = "FILE")]
    pub limits: Option<PathBuf>,
    /// An OpenAPI description of the API instead of the example
    #[arg(long, value_name = "FILE")]
    pub api: Option<PathBuf>,
    /// Create a REST API or an HTTP API
    #[arg(long, value_enum, value_name = "TYPE", default_value_t)]
    pub api_type: ApiType,
    /// Port of the AWS endpoint and the API; a free port by default
    #[arg(long, value_name = "PORT", value_parser = |text: &str| parse_whole::<u16>(text, u16::MAX))]
    pub port: Option<u16>,
    /// Build the authorizer on this machine, and do not use the zip file of the release
    #[arg(long)]
    pub build: bool,
    /// Send this many requests per second, show the results, and exit
    #[arg(long, value_name = "RATE", value_parser = |text: &str| parse_whole::<u32>(text, 100_000))]
    pub load: Option<u32>,
    /// How long to send requests
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    pub duration: Duration,
    /// Stop this part for a third of the time under load
    #[arg(long, value_enum, value_name = "PART")]
    pub chaos: Option<Chaos>,
    /// Exit as soon as everything is ready, for tests
    #[arg(long, conflicts_with_all = ["detach", "keep", "load", "chaos"])]
    pub once: bool,
    /// What `--detach` starts.
    #[arg(long, hide = true)]
    pub background: bool,
}

/// What to do with a sandbox that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum SandboxAction {
    /// List running sandboxes
    Status,
    /// Stop the running sandboxes, or the one that --sandbox=N names
    Stop,
    /// Show the usage that 3scale has counted; on a terminal, live until Ctrl-C
    Usage,
    /// Print variables for `eval`, which point all tools to the sandbox
    Env,
}

/// Flags of `init`.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// The name of the new stack
    #[arg(long, value_parser = parse_stack)]
    pub stack: Option<StackName>,
    /// The file to write; `-` prints the configuration
    #[arg(short, long, env = FILE, default_value = DEFAULT_FILE)]
    pub file: PathBuf,
    /// The id of the API
    #[arg(long, value_name = "ID", value_parser = |text: &str| parse_answer(Answer::ApiId, text))]
    pub api_id: Option<String>,
    /// The name of the API, in place of its id
    #[arg(long, value_name = "NAME", conflicts_with = "api_id", value_parser = |text: &str| parse_answer(Answer::ApiName, text))]
    pub api_name: Option<String>,
    /// The stage to protect. A shell needs quotes around '$default'
    #[arg(long, value_parser = |text: &str| parse_answer(Answer::Stage, text))]
    pub stage: Option<String>,
    /// The id of the 3scale product, a number
    #[arg(long, value_name = "ID", value_parser = |text: &str| parse_answer(Answer::ServiceId, text))]
    pub service_id: Option<String>,
    /// What callers send: a user key, or an application id and key
    #[arg(long, value_name = "KIND", value_parser = ["user_key", "app_id"])]
    pub credentials: Option<String>,
    /// Where they send it
    #[arg(long = "in", value_name = "PLACE", value_parser = ["header", "query"])]
    pub place: Option<String>,
    /// The name of the header or query parameter
    #[arg(long)]
    pub name: Option<String>,
    /// The name of the header or query parameter of the application key
    #[arg(long, value_name = "NAME")]
    pub key_name: Option<String>,
}

/// Flags of `completions`.
#[derive(Debug, Clone, Copy, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Flags of `man`.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Write a page per command into this folder instead
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

/// Flags of `schema`.
#[derive(Debug, Clone, Copy, Args)]
pub struct SchemaArgs {
    /// The configuration, the output of a command with -o json, or the file of `plan --out`
    #[arg(long, value_enum, value_name = "DOCUMENT", default_value_t = Document::Configuration)]
    pub of: Document,
}

/// What has a JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum Document {
    Configuration,
    Plan,
    PlanFile,
    Up,
    Down,
    Sweep,
    Status,
    Verify,
    Rollback,
    Report,
    Logs,
    List,
    Import,
    Release,
    Export,
    Unlock,
    Doctor,
    IamPolicy,
    Validate,
    Version,
    Explain,
    Init,
    Sandbox,
    Error,
}

/// Flags of `explain`.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// For example lock-held or limits_exceeded
    pub code: Option<String>,
}

fn parse_answer(answer: Answer, text: &str) -> Result<String, String> {
    let checked = answer.check(text).map(|()| text.to_owned());
    checked.map_err(|invalid| invalid.to_string())
}

fn parse_stack(text: &str) -> Result<StackName, String> {
    text.parse()
        .map_err(|invalid: crate::config::Invalid| invalid.to_string())
}

fn parse_secret(text: &str) -> Result<Secret, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(Secret::from(text.to_owned()))
}

fn parse_vpc(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("vpc-").unwrap_or_default();
    let is_id = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_alphanumeric());
    match is_id {
        true => Ok(text.to_owned()),
        false => Err("it must be the id of a VPC, vpc-...".to_owned()),
    }
}

fn parse_account(text: &str) -> Result<String, String> {
    match text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err("it must be the id of an account, twelve digits".to_owned()),
    }
}

/// A name in the subject of a token. Characters with a meaning in policies are refused.
fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

fn parse_repository(text: &str) -> Result<String, String> {
    let parts: Vec<_> = text.split('/').collect();
    match parts.len() > 1 && parts.iter().all(|part| is_name(part)) {
        true => Ok(text.to_owned()),
        false => Err("it must be <owner>/<name>".to_owned()),
    }
}

fn parse_branch(text: &str) -> Result<String, String> {
    match is_name(text) {
        true => Ok(text.to_owned()),
        false => Err("it must be the name of one branch: letters, digits, and `._-/`".to_owned()),
    }
}

fn parse_sandbox(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| "it must be the number of a sandbox".to_owned())
}

/// A whole number from 1 to `most`.
fn parse_whole<T>(text: &str, most: T) -> Result<T, String>
where
    T: Copy + std::str::FromStr + PartialOrd + From<u8> + std::fmt::Display,
{
    let number = text.parse().ok();
    number
        .filter(|number| (T::from(1)..=most).contains(number))
        .ok_or_else(|| format!("it must be a whole number from 1 to {most}"))
}

fn parse_url(text: &str) -> Result<String, String> {
    match url::Url::parse(text) {
        Ok(url) if ["http", "https", "ws", "wss"].contains(&url.scheme()) => Ok(text.to_owned()),
        Ok(_) | Err(url::ParseError::RelativeUrlWithoutBase) => {
            Err("it must begin with https://, http://, wss:// or ws://".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "it must be a duration, such as 30s, 10m or 1h".to_owned())
}

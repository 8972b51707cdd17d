//! The profile that the user names: it must exist, and it is then the only source of credentials.
//!
//! The SDK's default chain reads the environment first and ignores a missing profile. Source:
//! aws-config, `default_provider/credentials.rs` and `profile/credentials.rs`.

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, profile};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::code::Code;
use crate::error::Error;
use crate::nearest::nearest;

/// The variable that names a profile. Access keys in the environment take precedence over it, as in
/// every AWS tool.
const VARIABLE: &str = "AWS_PROFILE";
/// The profile that the SDK reads when no profile is named; it may be missing.
const DEFAULT: &str = "default";

/// Checks that the profile from `--profile`, or else from the environment, exists.
///
/// # Errors
/// When it does not exist, or the profile files cannot be read; no request may then be sent with
/// other credentials.
pub(super) async fn check(named: Option<&str>) -> Result<(), Error> {
    let set = std::env::var(VARIABLE).ok();
    let (source, name) = match (named, set.as_deref()) {
        (Some(name), _) => ("--profile", name),
        (None, None | Some("" | DEFAULT)) => return Ok(()),
        (None, Some(name)) => (VARIABLE, name),
    };
    // The files that the environment names, or those in the home directory.
    let (files, env, which) = Default::default();
    let found = profile::load(&files, &env, &which, None).await;
    let found = found.map_err(|error| {
        // The error names a file and a line, and shows none of the content.
        let error =
            anyhow::Error::new(error).context("reading the profiles of the AWS configuration");
        Error::usage(format!("{error:#}")).with_code(Code::ProfileUnknown)
    })?;
    choose(source, name, found.profiles())
}

/// Checks that `name`, which comes from `source`, is one of the profiles.
fn choose<'a>(
    source: &str,
    name: &str,
    profiles: impl Iterator<Item = &'a str>,
) -> Result<(), Error> {
    let mut profiles: Vec<_> = profiles.collect();
    if profiles.contains(&name) {
        return Ok(());
    }
    profiles.sort_unstable();
    let meant = nearest(name, profiles.iter().copied())
        .map(|meant| format!("; did you mean `{meant}`?"))
        .unwrap_or_default();
    let error = Error::usage(format!(
        "{source}: the AWS configuration has no profile `{name}`{meant}"
    ))
    .with_code(Code::ProfileUnknown);
    Err(error.hint(match profiles[..] {
        [] => "there are no profiles: run `aws configure`, or check AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE".to_owned(),
        _ => format!("the profiles are {}", profiles.join(", ")),
    }))
}

/// What is wrong with the credentials of this machine if one half of an access key is missing, and what to do. Reads the
/// environment and the profiles, and sends nothing.
pub async fn half_set(named: Option<&str>) -> Option<(String, String)> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if named.is_none()
        && let Some(problem) = half_of(|name| variable(&name.to_uppercase()).is_some())
    {
        let (set, missing) = (problem.0.to_uppercase(), problem.1.to_uppercase());
        return Some((
            format!("{set} is set in the environment, but {missing} is not"),
            format!("set {missing}, too; or unset {set}, and give --profile"),
        ));
    }
    let (files, env, which) = Default::default();
    let found = profile::load(&files, &env, &which, None).await.ok()?;
    let set = variable(VARIABLE);
    let name = named.or(set.as_deref()).unwrap_or(DEFAULT);
    let profile = found.get_profile(name)?;
    let (set, missing) = half_of(|key| profile.get(key).is_some())?;
    Some((
        format!("profile `{name}` has {set}, but not {missing}"),
        format!("`aws configure --profile {name}` writes both"),
    ))
}

/// The half of an access key that is set, and the one that is missing.
fn half_of(is_set: impl Fn(&str) -> bool) -> Option<(&'static str, &'static str)> {
    let [id, secret] = ["aws_access_key_id", "aws_secret_access_key"];
    match (is_set(id), is_set(secret)) {
        (true, false) => Some((id, secret)),
        (false, true) => Some((secret, id)),
        _ => None,
    }
}

/// Where the credentials come from, and how they are renewed: the next step for the user if AWS does not accept them. Reads the
/// profiles, and sends nothing.
pub async fn renewal(named: Option<&str>) -> String {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    if named.is_none() && variable("AWS_ACCESS_KEY_ID").is_some() {
        return "the credentials are those of AWS_ACCESS_KEY_ID in the environment: set new ones, or unset them and give --profile"
            .to_owned();
    }
    let (files, env, which) = Default::default();
    let found = profile::load(&files, &env, &which, None).await.ok();
    let set = variable(VARIABLE);
    let name = named.or(set.as_deref()).unwrap_or(DEFAULT);
    let profile = found.as_ref().and_then(|found| found.get_profile(name));
    how_to_renew(name, profile.is_some(), |key| profile?.get(key))
}

/// How the credentials of this profile are renewed. `value` reads a key of the profile.
fn how_to_renew<'a>(name: &str, exists: bool, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let has = |key| value(key).is_some();
    match () {
        () if has("sso_session") || has("sso_start_url") => {
            format!("the credentials are those of profile `{name}`: run `aws sso login --profile {name}`")
        }
        () if has("login_session") => {
            format!("the credentials are those of profile `{name}`: run `aws login --profile {name}`")
        }
        () if has("credential_process") => format!(
            "profile `{name}` gets its credentials from the program in `credential_process`: run it, and see what it reports"
        ),
        () if has("role_arn") => {
            let source = value("source_profile").map(|source| format!(" with the credentials of profile `{source}`"));
            format!(
                "profile `{name}` assumes a role{}: `aws sts get-caller-identity --profile {name}` shows whether it may",
                source.unwrap_or_default()
            )
        }
        () if has("aws_access_key_id") => format!(
            "the credentials are the access key of profile `{name}`: `aws configure --profile {name}` replaces it"
        ),
        () if exists && name != DEFAULT => format!(
            "profile `{name}` has no credentials: run `aws configure --profile {name}`, or `aws configure sso --profile {name}`"
        ),
        () => "no credentials are found: name a profile with --profile or AWS_PROFILE (`aws configure sso` makes one), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            .to_owned(),
    }
}

/// A credentials provider that uses only this profile, of any type.
pub(super) fn credentials(
    name: &str,
    region: Option<&Region>,
    http: SharedHttpClient,
    timeouts: TimeoutConfig,
) -> ProfileFileCredentialsProvider {
    let config = ProviderConfig::without_region()
        .with_region(region.cloned())
        .with_http_client(http)
        .with_timeout_config(timeouts);
    ProfileFileCredentialsProvider::builder()
        .configure(&config)
        .profile_name(name)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitStatus;

    #[test]
    fn a_half_of_an_access_key_is_named() {
        let [id, secret] = ["aws_access_key_id", "aws_secret_access_key"];
        let half = |set: &[&str]| half_of(|key| set.contains(&key));
        assert_eq!(half(&[id]), Some((id, secret)));
        assert_eq!(half(&[secret]), Some((secret, id)));
        assert_eq!(half(&[id, secret]), None);
        assert_eq!(half(&[]), None);
    }

    #[test]
    fn each_kind_of_profile_has_a_command_that_renews_it() {
        let of = |name, pairs: &[(&'static str, &'static str)]| {
            how_to_renew(name, true, |key| {
                let mut pairs = pairs.iter();
                pairs.find(|(of, _)| *of == key).map(|(_, value)| *value)
            })
        };
        for (pairs, text) in [
            (
                &[("sso_session", "acme"), ("sso_role_name", "admin")][..],
                "run `aws sso login --profile prod`",
            ),
            (
                &[("sso_start_url", "https://acme")],
                "run `aws sso login --profile prod`",
            ),
            (
                &[("credential_process", "/opt/keys")],
                "the program in `credential_process`",
            ),
            (
                &[("role_arn", "arn"), ("source_profile", "main")],
                "with the credentials of profile `main`",
            ),
            (
                &[("aws_access_key_id", "AKIA")],
                "`aws configure --profile prod` replaces it",
            ),
            (
                &[("region", "eu-west-1")],
                "profile `prod` has no credentials",
            ),
        ] {
            let hint = of("prod", pairs);
            assert!(
                hint.contains(text) && hint.contains("profile `prod`"),
                "{hint}"
            );
        }
        assert!(how_to_renew("default", false, |_| None).starts_with("no credentials are found"));
    }

    #[test]
    fn only_a_profile_that_is_there_is_taken() {
        let chosen = |name, profiles: &[&'static str]| {
            choose("--profile", name, profiles.iter().copied()).map_err(|error| {
                assert_eq!(error.status(), ExitStatus::Usage);
                format!("{error} | {}", error.hints().join(" "))
            })
        };
        let profiles = ["staging", "prod", "default"];
        assert_eq!(chosen("prod", &profiles), Ok(()));
        for (name, texts) in [
            (
                "prdo",
                [
                    "no profile `prdo`; did you mean `prod`?",
                    "are default, prod, staging",
                ],
            ),
            ("Prod", ["did you mean `prod`?", "--profile: "]),
            ("payments", ["has no profile `payments` |", "are default"]),
            ("", ["no profile ``", "are default"]),
        ] {
            let text = chosen(name, &profiles).expect_err("a refusal");
            assert!(texts.iter().all(|part| text.contains(part)), "{text}");
        }
        let text = chosen("default", &[]).expect_err("a refusal");
        assert!(text.contains("there are no profiles"), "{text}");
    }
}

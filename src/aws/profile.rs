//! The profile that the user names: it must be there, and then nothing but it gives credentials.
//!
//! The SDK's own chain asks the environment first, and passes over a profile that is not there. Source: aws-config,
//! `default_provider/credentials.rs` and `profile/credentials.rs`.

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, profile};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::error::Error;
use crate::nearest::nearest;

/// The variable that names a profile. Keys in the environment go before it, as in every AWS tool.
const VARIABLE: &str = "AWS_PROFILE";
/// What the SDK looks for when nobody names a profile; it need not be there.
const DEFAULT: &str = "default";

/// Checks that the profile of `--profile`, or else of the environment, is there.
///
/// # Errors
/// It is not, or the files of profiles cannot be read; then no request may be sent with other credentials.
pub(super) async fn check(named: Option<&str>) -> Result<(), Error> {
    let set = std::env::var(VARIABLE).ok();
    let (source, name) = match (named, set.as_deref()) {
        (Some(name), _) => ("--profile", name),
        (None, None | Some("" | DEFAULT)) => return Ok(()),
        (None, Some(name)) => (VARIABLE, name),
    };
    // The files that the environment names, or those in the home folder.
    let (files, env, which) = Default::default();
    let found = profile::load(&files, &env, &which, None).await;
    let found = found.map_err(|error| {
        // It names a file and a line, and shows nothing of it.
        let error =
            anyhow::Error::new(error).context("reading the profiles of the AWS configuration");
        Error::usage(format!("{error:#}"))
    })?;
    choose(source, name, found.profiles())
}

/// Whether `name`, which `source` gives, is one of the profiles.
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
    ));
    Err(error.hint(match profiles[..] {
        [] => "there are no profiles: run `aws configure`, or check AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE".to_owned(),
        _ => format!("the profiles are {}", profiles.join(", ")),
    }))
}

/// The credentials of a profile, whatever kind it is of, and of nothing else.
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

//! The part of the configuration that the authorizer gets.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Certificates, Config, CredentialKind, CredentialLocation, Credentials, Threescale};
use crate::responses::LimitStatus;
use crate::stored::{ROOTS, Stored, TooLarge};

/// Maximum size of the settings in bytes. Lambda allows 4 KB for all environment variables together, and the rest is
/// for the other variables.
pub(super) const MAX_SETTINGS: usize = 3 * 1024;

/// How long a request waits for 3scale, unless the configuration says otherwise.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_millis(720);

impl Credentials {
    /// The credentials in [`Config::authorizer_settings`]; `None` if they cannot be read.
    pub fn of_settings(settings: &str) -> Option<Self> {
        let settings: Value = serde_json::from_str(settings).ok()?;
        let place = settings["credentials"].get(0)?;
        let text = |key: &str| place[key].as_str();
        let kind = [CredentialKind::UserKey, CredentialKind::AppId];
        let location = [CredentialLocation::Header, CredentialLocation::Query];
        Some(Self {
            kind: kind
                .into_iter()
                .find(|kind| text("kind") == Some(kind.as_str()))?,
            location: location
                .into_iter()
                .find(|location| text("in") == Some(location.as_str()))?,
            name: text("name")?.to_owned(),
            key_name: text("key_name").map(str::to_owned),
        })
    }
}

impl Config {
    /// The settings that do not fit into the environment.
    pub fn stored(&self) -> impl Iterator<Item = &Stored> {
        let Threescale {
            stored_rules,
            stored_roots,
            ..
        } = &self.threescale;
        stored_rules.iter().chain(stored_roots)
    }

    /// Takes the certificates of `threescale.ca_file`.
    ///
    /// # Errors
    /// They do not fit into the parameters of the stack.
    pub fn set_roots(&mut self, certificates: &Certificates) -> Result<(), TooLarge> {
        let stored = Stored::new(ROOTS, &certificates.pem, certificates.count)?;
        self.threescale.stored_roots = Some(stored);
        Ok(())
    }

    /// The value of `THREESCALE_GW_SETTINGS`, the JSON from which the functions read their settings.
    ///
    /// Contains no secret, and is identical for identical configurations. Times are in the units of their names. At most
    /// 3 KB for a loaded configuration.
    pub fn authorizer_settings(&self) -> String {
        let credentials = &self.threescale.credentials;
        let mut place = json!({
            "kind": credentials.kind.as_str(),
            "in": credentials.location.as_str(),
            "name": credentials.name,
        });
        if let (CredentialKind::AppId, Some(key_name)) = (credentials.kind, &credentials.key_name) {
            place["key_name"] = json!(key_name);
        }
        let mut settings = json!({
            "service_id": self.threescale.service_id,
            "backend": self.threescale.backend,
            "credentials": [place],
            "caching": self.authorizer.caching.as_str(),
            "max_age_s": self.authorizer.max_age.as_secs(),
            "report_every_s": self.authorizer.report_every.as_secs(),
        });
        match &self.threescale.stored_rules {
            // An authorizer that cannot read them refuses this key, and does not start.
            Some(stored) => {
                let (key, value) = stored.reference();
                settings[key] = value;
            }
            None => settings["mapping_rules"] = json!(self.threescale.mapping_rules),
        }
        if let Some(stored) = &self.threescale.stored_roots {
            let (key, value) = stored.reference();
            settings[key] = value;
        }
        // Without the defaults, the settings of a stack of a former release stay the same.
        if let Some(kind) = self.api.usage_key {
            settings["usage_key"] = json!(kind.as_str());
        }
        if self.cache.memory {
            settings["cache"] = json!("memory");
        }
        if self.api.responses.limits == LimitStatus::TooManyRequests {
            settings["limits"] = json!(429);
        }
        if self.threescale.timeout != DEFAULT_TIMEOUT {
            let ms = u64::try_from(self.threescale.timeout.as_millis()).unwrap_or(u64::MAX);
            settings["timeout_ms"] = json!(ms);
        }
        settings.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_credentials_are_read_back_from_the_settings() {
        for credentials in [
            "{}",
            "{kind: user_key, in: query, name: key}",
            "{kind: app_id, in: header, name: id}",
            "{kind: app_id, in: query, name: id, key_name: key}",
        ] {
            let text = format!(
                "stack: orders\napi: {{id: a1b2c3d4e5, stage: prod}}\n\
                 threescale: {{service_id: \"1\", service_token: t, credentials: {credentials}}}\n"
            );
            let config =
                crate::config::load("test.yaml", &text, &|_| None).expect("a configuration");
            let read = Credentials::of_settings(&config.authorizer_settings());
            assert_eq!(
                read.as_ref(),
                Some(&config.threescale.credentials),
                "{credentials}"
            );
        }
        for other in ["", "{}", r#"{"credentials": [{"kind": "jwt"}]}"#] {
            assert_eq!(Credentials::of_settings(other), None, "{other}");
        }
    }
}

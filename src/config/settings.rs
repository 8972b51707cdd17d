//! The part of the configuration that the authorizer gets.

use std::time::Duration;

use serde_json::json;

use super::{Certificates, Config, CredentialKind, Threescale};
use crate::responses::LimitStatus;
use crate::stored::{ROOTS, Stored, TooLarge};

/// Maximum size of the settings in bytes. Lambda allows 4 KB for all environment variables together, and the rest is
/// for the other variables.
pub(super) const MAX_SETTINGS: usize = 3 * 1024;

/// How long a request waits for 3scale, unless the configuration says otherwise.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_millis(720);

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

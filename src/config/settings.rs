//! What the authorizer is told about the configuration.

use serde_json::json;

use super::{Config, CredentialKind};

/// Most bytes the settings may have. Lambda allows 4 KB for all environment variables together;
/// the rest is left for the other ones.
pub(super) const MAX_SETTINGS: usize = 3 * 1024;

impl Config {
    /// The value of `THREESCALE_GW_SETTINGS`, the JSON the functions read their settings from.
    ///
    /// Holds no secret, and is the same for the same configuration. Times are in seconds. At most
    /// 3 KB for a configuration that was loaded.
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
        let settings = json!({
            "service_id": self.threescale.service_id,
            "backend": self.threescale.backend,
            "credentials": [place],
            "mapping_rules": self.threescale.mapping_rules,
            "caching": self.authorizer.caching.as_str(),
            "max_age_s": self.authorizer.max_age.as_secs(),
            "report_every_s": self.authorizer.report_every.as_secs(),
        });
        settings.to_string()
    }
}

//! A small configuration, as `init` writes it: only what has no default, or differs from it.

use super::problem::Invalid;
use super::validate::{USER_KEY_HAS_ONE, names_clash};
use super::{ApiSelector, CredentialKind, CredentialLocation, Credentials, StackName, identifiers};

/// What a small configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub stack: StackName,
    pub api: ApiSelector,
    pub stage: String,
    /// The id of the 3scale product.
    pub service_id: String,
    pub credentials: Credentials,
}

/// A value that a user gives for a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Stack,
    ApiId,
    ApiName,
    Stage,
    ServiceId,
    /// The name of a header or a query parameter.
    Parameter(CredentialLocation),
}

impl Answer {
    /// Checks a value in the same way as the configuration's.
    ///
    /// # Errors
    /// The required form.
    pub fn check(self, text: &str) -> Result<(), Invalid> {
        match self {
            Self::Stack => identifiers::stack_name(text).map(|_| ()),
            Self::ApiId => identifiers::api_id(text).map(|_| ()),
            Self::ApiName => identifiers::api_name(text).map(|_| ()),
            Self::Stage => identifiers::stage(text).map(|_| ()),
            Self::ServiceId => identifiers::service_id(text).map(|_| ()),
            Self::Parameter(location) => identifiers::parameter_name(text, location).map(|_| ()),
        }
    }
}

impl Credentials {
    /// Where an application of this kind is named unless the configuration says otherwise.
    pub fn new(kind: CredentialKind, location: CredentialLocation) -> Self {
        let (name, key_name) = match kind {
            CredentialKind::UserKey => ("apikey", None),
            CredentialKind::AppId => ("app_id", Some("app_key".to_owned())),
        };
        Self {
            kind,
            location,
            name: name.to_owned(),
            key_name,
        }
    }

    /// Checks the names in the same way as the configuration's.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), Invalid> {
        let Some(key_name) = &self.key_name else {
            return Answer::Parameter(self.location).check(&self.name);
        };
        if self.kind == CredentialKind::UserKey {
            return Err(Invalid::new(format!("`key_name` {USER_KEY_HAS_ONE}")));
        }
        for name in [&self.name, key_name] {
            Answer::Parameter(self.location).check(name)?;
        }
        if names_clash(self) {
            return Err(Invalid::new(format!(
                "must differ from the name of the application id, `{}`",
                self.name
            )));
        }
        Ok(())
    }
}

impl Draft {
    /// The text of the file.
    pub fn text(&self) -> String {
        let (key, value) = match &self.api {
            ApiSelector::Id(id) => ("id", id),
            ApiSelector::Name(name) => ("name", name),
        };
        let mut text = format!(
            "\
# yaml-language-server: $schema=threescale-gw.schema.json
# The first line is for editors: `threescale-gw schema > threescale-gw.schema.json` writes the schema.
# Every other key has a default: docs/configuration.md lists them, and templates/threescale-gw.yaml explains them.
stack: {}
api:
  {key}: {}
  stage: {}
threescale:
  service_id: {}
  service_token: ${{THREESCALE_SERVICE_TOKEN}}
",
            quoted(self.stack.as_str()),
            quoted(value),
            quoted(&self.stage),
            quoted(&self.service_id),
        );
        let given = self.credentials_given();
        if !given.is_empty() {
            text.push_str(&format!("  credentials: {{{}}}\n", given.join(", ")));
        }
        text
    }

    /// What differs from the default credentials.
    fn credentials_given(&self) -> Vec<String> {
        let Credentials {
            kind,
            location,
            name,
            key_name,
        } = &self.credentials;
        let default = Credentials::new(*kind, *location);
        let mut given = Vec::new();
        if *kind != CredentialKind::UserKey {
            given.push(format!("kind: {}", kind.as_str()));
        }
        if *location != CredentialLocation::Header {
            given.push(format!("in: {}", location.as_str()));
        }
        if *name != default.name {
            given.push(format!("name: {}", quoted(name)));
        }
        if let Some(key_name) = key_name.as_ref().filter(|_| *key_name != default.key_name) {
            given.push(format!("key_name: {}", quoted(key_name)));
        }
        given
    }
}

/// A text in quotes, in which no `$` begins a variable. YAML reads the strings of JSON.
fn quoted(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        escaped.push(c);
        // Before any other character, it stays as it is, as in `$default`.
        if c == '$' && matches!(rest.peek(), Some('$' | '{')) {
            escaped.push('$');
        }
    }
    serde_json::Value::from(escaped).to_string()
}

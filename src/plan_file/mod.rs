//! The file of `plan --out`, with which `up --plan` does what was approved and nothing else.
//!
//! It is the document of `plan -o json` with what that plan was made from. It contains no secret, not even a digest of one: the
//! values are those of the environment of `up`. A digest would allow guesses of a short secret by everyone who reads the file.

mod moved;

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub use self::moved::{differences, mismatches, resources};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::printable::line;

/// The `format` of the file.
pub const FORMAT: &str = "threescale-gw plan";

/// The version of the file. A file of another version is refused.
pub const FORMAT_VERSION: u64 = 1;

/// The key of the digest of everything else.
const DIGEST: &str = "digest";

/// What a plan was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanFile {
    pub stack: String,
    pub region: String,
    pub account: String,
    pub api: Api,
    /// The configuration without the values of secrets.
    pub configuration: Value,
    /// The hexadecimal SHA-256 of the authorizer's source, or of its zip file.
    pub package: String,
    pub resources: Vec<Resource>,
    /// What a new attachment changes in the API.
    pub attaches: Vec<String>,
    /// The stages whose automatic deployment is off while their API changes.
    pub automatic_stages: Vec<String>,
    /// Undeployed changes of others that the deployment publishes.
    pub pending: Vec<String>,
}

/// The API and stage of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Api {
    pub id: String,
    pub stage: String,
}

/// A resource as it was observed, and its action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    pub id: String,
    pub physical_id: Option<String>,
    pub state: String,
    pub action: String,
    pub drift: Vec<Drift>,
}

/// A difference from the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    pub field: String,
    pub from: String,
    pub to: String,
}

/// The content of the file: `document` is that of `plan -o json`. The user and the profile are left out, because the file may
/// be used by others.
pub fn content(mut document: Value, configuration: Value, package: &str, created: &str) -> Value {
    if let Some(keys) = document.as_object_mut() {
        for key in ["caller", "profile", "account_alias"] {
            keys.remove(key);
        }
    }
    document["format"] = FORMAT.into();
    document["format_version"] = FORMAT_VERSION.into();
    document["version"] = env!("CARGO_PKG_VERSION").into();
    document["created"] = created.into();
    document["configuration"] = configuration;
    document["package"] = package.into();
    document[DIGEST] = digest(&document).into();
    document
}

/// The hexadecimal SHA-256 of the content without its digest.
fn digest(content: &Value) -> String {
    let mut content = content.clone();
    if let Some(keys) = content.as_object_mut() {
        keys.remove(DIGEST);
    }
    format!("{:x}", Sha256::digest(content.to_string()))
}

/// Writes the file atomically, readable only by this user. An existing file is replaced.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, content: &Value) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(format!("{content:#}\n").as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Reads the file.
///
/// # Errors
/// It cannot be used. No request was sent.
pub fn read(path: &Path) -> Result<PlanFile> {
    let name = path.display().to_string();
    let name = line(&name);
    let text = fs::read_to_string(path).map_err(|error| {
        let text = format!("reading the plan {name}: {error}");
        Error::usage(text).with_code(Code::PlanFileInvalid)
    })?;
    parse(&name, &text)
}

/// Checks the text of a file with this name. Pure.
fn parse(name: &str, text: &str) -> Result<PlanFile> {
    let again = "write it with `threescale-gw plan --out`";
    let at = |error: serde_json::Error| {
        // The position is in front, as in every other message about a file.
        let words = error.to_string();
        let words = words.split(" at line ").next().unwrap_or(&words).to_owned();
        let text = format!(
            "{name}:{}:{}: {words}",
            error.line().max(1),
            error.column().max(1)
        );
        Error::usage(text)
            .with_code(Code::PlanFileInvalid)
            .hint(again)
    };
    let refused = |text: String| {
        Error::refused(format!("{name}: {text}"))
            .with_code(Code::PlanFileInvalid)
            .hint(again)
    };
    let content: Value = serde_json::from_str(text).map_err(at)?;
    if content["format"] != FORMAT {
        return Err(refused("this is no file of `plan --out`".to_owned()));
    }
    for (key, ours) in [
        ("version", Value::from(env!("CARGO_PKG_VERSION"))),
        ("format_version", FORMAT_VERSION.into()),
    ] {
        if content[key] != ours {
            let theirs = content[key].to_string();
            return Err(refused(format!(
                "its {key} is {}, and this program's is {ours}: a plan is carried out by the version that made it",
                line(&theirs)
            )));
        }
    }
    let found = digest(&content);
    if content[DIGEST] != found {
        let place = place_of(text, DIGEST);
        let text = format!(
            "{name}{place}: the file was changed after it was written: its content has the digest {found}"
        );
        return Err(Error::refused(text)
            .with_code(Code::PlanFileInvalid)
            .hint(again));
    }
    serde_json::from_str(text).map_err(at)
}

/// The position of a key of the outermost object, `:3:3`.
fn place_of(text: &str, key: &str) -> String {
    let key = format!("  \"{key}\":");
    let found = text.lines().position(|line| line.starts_with(&key));
    found.map_or_else(String::new, |index| format!(":{}:3", index + 1))
}

#[cfg(test)]
mod tests;

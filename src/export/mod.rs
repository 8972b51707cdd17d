//! Writes the stack in the language of another tool, so that this tool takes its resources over. Pure.

mod cloudformation;
mod hcl;
mod labels;
mod terraform;

use std::collections::BTreeMap;

use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::description::{Description, What};
use crate::resource::parameter::is_record;

/// What is exported.
#[derive(Debug, Clone)]
pub struct Export {
    pub stack: String,
    pub region: String,
    pub account: String,
    /// What the export depends on and cannot contain: that the stack is in the middle of a change, for example.
    pub warnings: Vec<String>,
    pub resources: Vec<Description>,
    /// Whether the stack has alarms or a dashboard.
    pub watching: bool,
}

/// A file of the export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub name: &'static str,
    pub content: String,
}

/// The files, and what is in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub files: Vec<File>,
    /// How many resources the other tool takes over.
    pub imported: usize,
    /// What is not in the export, and why.
    pub left_out: Vec<String>,
}

/// The language of the export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Terraform,
    CloudFormation,
}

impl Export {
    /// The files in this language.
    pub fn write(&self, language: Language) -> Written {
        match language {
            Language::Terraform => terraform::write(self),
            Language::CloudFormation => cloudformation::write(self),
        }
    }

    /// What no language can express.
    fn left_out(&self) -> Vec<String> {
        let resources = self.resources.iter();
        let mut left_out: Vec<_> = resources.filter_map(left_out).collect();
        let secrets = self.resources.iter().filter_map(|found| match &found.what {
            What::Secret { name } => Some(name.as_str()),
            _ => None,
        });
        let secrets: Vec<_> = secrets.collect();
        if !secrets.is_empty() {
            left_out.push(format!(
                "The secrets stay in the Parameter Store, and their values are not read: {}. The functions read them by their names.",
                secrets.join(", ")
            ));
        }
        left_out.extend(self.watching.then(|| {
            "The alarms and the dashboard of the stack are not exported: `threescale-gw release` leaves them as they are.".to_owned()
        }));
        left_out
    }
}

fn left_out(found: &Description) -> Option<String> {
    match &found.what {
        What::Attachment(attachment) => {
            let methods = attachment
                .methods
                .iter()
                .map(|(method, before)| match before {
                    Some(before) => format!("{method} (before: {before})"),
                    None => method.clone(),
                });
            let methods: Vec<_> = methods.collect();
            let responses = match attachment.responses.as_slice() {
                [] => String::new(),
                types => format!(" Gateway responses of the stack: {}.", types.join(", ")),
            };
            let (units, heading) = match attachment.is_of_rest_api {
                true => ("methods", "Methods"),
                false => ("routes", "Routes"),
            };
            Some(format!(
                "API {}, stage {}, belongs to others: that its {units} use the authorizer is one attribute of each, which cannot be \
                 owned alone, and stays as it is. {heading}: {}.{responses}",
                attachment.api_id,
                attachment.stage,
                methods.join(", ")
            ))
        }
        What::Permission(permission) if !permission.is_plain => Some(format!(
            "Statement {} of the policy of {} denies, or has conditions beside its source.",
            permission.statement, permission.function
        )),
        _ => None,
    }
}

/// The tags that the other tool manages. Those of this program show what it owns, and are removed when it forgets the stack.
fn managed(tags: &BTreeMap<String, String>) -> impl Iterator<Item = (&String, &String)> {
    tags.iter()
        .filter(|(key, _)| !key.starts_with(PREFIX) && !key.starts_with("aws:"))
}

/// The beginning of the keys of the tags of this program.
const PREFIX: &str = "threescale-gw:";

/// Whether a resource of this id is described: others are a part of another one, or a record of this program.
pub fn is_exported(id: &LogicalId) -> bool {
    let is_part = matches!(id.kind, Kind::RouteAssociation | Kind::NetworkInterface);
    let watches = matches!(id.kind, Kind::Alarm | Kind::Dashboard);
    let is_record = id.kind == Kind::Parameter && is_record(&id.name);
    !is_part && !watches && !is_record
}

/// The header of every file of an export.
fn header(export: &Export, what: &str) -> Vec<String> {
    let mut lines = vec![format!(
        "{what} of the stack {} of threescale-gw in {}, account {}.",
        export.stack, export.region, export.account
    )];
    lines.extend(
        export
            .warnings
            .iter()
            .map(|warning| format!("WARNING: {warning}")),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::description::{Attachment, Permission};

    fn found(kind: Kind, what: What) -> Description {
        Description {
            id: LogicalId::new(kind, "main"),
            what,
            tags: BTreeMap::new(),
        }
    }

    #[test]
    fn what_another_tool_cannot_own_is_said_and_no_value_of_a_secret_is_known() {
        let methods = [("GET /orders", Some("NONE")), ("GET /lost", None)];
        let methods =
            methods.map(|(method, before)| (method.to_owned(), before.map(str::to_owned)));
        let attachment = Attachment {
            api_id: "a1".to_owned(),
            is_of_rest_api: true,
            stage: "prod".to_owned(),
            methods: methods.into(),
            responses: vec!["UNAUTHORIZED".to_owned()],
        };
        let permission = Permission {
            function: "f".to_owned(),
            alias: None,
            statement: "deny".to_owned(),
            action: "lambda:InvokeFunction".to_owned(),
            principal: "*".to_owned(),
            source: None,
            is_plain: false,
        };
        let secret = |name: &str| What::Secret {
            name: name.to_owned(),
        };
        let export = Export {
            watching: false,
            stack: "orders".to_owned(),
            region: "us-east-1".to_owned(),
            account: "123456789012".to_owned(),
            warnings: vec!["the stack\u{1b}[2J differs".to_owned()],
            resources: vec![
                found(Kind::ApiAttachment, What::Attachment(attachment)),
                found(Kind::FunctionPermission, What::Permission(permission)),
                found(Kind::Secret, secret("/threescale-gw/orders/secrets/a")),
                found(Kind::Secret, secret("/threescale-gw/orders/secrets/b")),
            ],
        };
        for language in [Language::Terraform, Language::CloudFormation] {
            let written = export.write(language);
            assert_eq!(written.imported, 0);
            let [attachment, statement, secrets] = written.left_out.as_slice() else {
                panic!("{:?}", written.left_out);
            };
            assert!(attachment.contains("GET /lost, GET /orders (before: NONE). Gateway"));
            assert!(statement.starts_with("Statement deny of the policy of f"));
            assert!(secrets.contains("/secrets/a, /threescale-gw/orders/secrets/b."));
            let text: String = written
                .files
                .iter()
                .map(|file| file.content.as_str())
                .collect();
            assert!(
                text.contains("# WARNING: the stack\\u{1b}[2J differs"),
                "{text}"
            );
        }
    }

    #[test]
    fn tags_of_this_program_and_of_aws_are_not_managed() {
        let tags = ["threescale-gw:stack", "aws:created", "team"];
        let tags = tags.map(|key| (key.to_owned(), "x".to_owned())).into();
        let keys: Vec<_> = managed(&tags).map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["team"]);
    }
}

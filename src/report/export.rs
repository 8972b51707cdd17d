//! What `export` has written, as text and as JSON.

use std::path::Path;

use serde_json::{Value, json};

use crate::export::{Export, Language, Written};
use crate::printable::line;

/// An export and where it is.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    pub language: Language,
    /// Where the files were written; `None` if they were not.
    pub folder: Option<&'a Path>,
    pub export: &'a Export,
    pub written: &'a Written,
}

impl Shown<'_> {
    /// The commands to run next, in the folder.
    fn next(&self) -> Vec<String> {
        match self.language {
            Language::Terraform => vec!["terraform init".to_owned(), "terraform plan".to_owned()],
            Language::CloudFormation => vec![format!(
                "aws cloudformation create-change-set --change-set-type IMPORT --stack-name threescale-gw-{stack} \
                 --change-set-name import --template-body file://template.yaml --resources-to-import \
                 file://resources-to-import.json --capabilities CAPABILITY_NAMED_IAM",
                stack = self.export.stack
            )],
        }
    }

    /// As text.
    pub fn text(&self) -> String {
        let folder = self.folder.unwrap_or(Path::new("."));
        let folder = folder.display().to_string();
        let names = self.written.files.iter().map(|file| file.name);
        let mut lines = vec![format!(
            "wrote {} to {}: {} resources of stack {}",
            names.collect::<Vec<_>>().join(", "),
            line(&folder),
            self.written.imported,
            self.export.stack
        )];
        if !self.written.left_out.is_empty() {
            lines.push("Not in the export:".to_owned());
            let left_out = self.written.left_out.iter();
            lines.extend(left_out.map(|text| format!("  - {}", line(text))));
        }
        lines.push("Next, in that folder:".to_owned());
        lines.extend(self.next().iter().map(|command| format!("  {command}")));
        lines.join("\n")
    }

    /// As JSON, with the text of the files if they were not written.
    pub fn document(&self) -> Value {
        let files = self.written.files.iter().map(|file| match self.folder {
            Some(folder) => json!({"path": folder.join(file.name)}),
            None => json!({"name": file.name, "text": file.content}),
        });
        json!({
            "format": match self.language {
                Language::Terraform => "terraform",
                Language::CloudFormation => "cloudformation",
            },
            "stack": self.export.stack,
            "files": files.collect::<Vec<_>>(),
            "imported": self.written.imported,
            "left_out": self.written.left_out,
            "warnings": self.export.warnings,
            "next": self.next(),
        })
    }
}

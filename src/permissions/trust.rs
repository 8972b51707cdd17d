//! The trust policies for pipelines that sign in with OpenID Connect. Pure.

use serde_json::{Value, json};

/// Who issues the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    GitHub,
    GitLab,
}

impl Provider {
    /// Its host name, which is the name of the identity provider in IAM.
    fn host(self) -> &'static str {
        match self {
            Self::GitHub => "token.actions.githubusercontent.com",
            Self::GitLab => "gitlab.com",
        }
    }

    /// The audience of the token. Sources: GitHub Docs, "Configuring OpenID Connect in Amazon Web Services"; GitLab Docs,
    /// "Configure OpenID Connect in AWS".
    fn audience(self) -> &'static str {
        match self {
            Self::GitHub => "sts.amazonaws.com",
            Self::GitLab => "https://gitlab.com",
        }
    }

    /// The subject of a job on a branch of a repository.
    fn subject(self, repository: &str, branch: &str) -> String {
        match self {
            Self::GitHub => format!("repo:{repository}:ref:refs/heads/{branch}"),
            Self::GitLab => format!("project_path:{repository}:ref_type:branch:ref:{branch}"),
        }
    }
}

/// The trust policy of a role for the jobs of one branch. All conditions compare whole values.
pub fn trust(
    provider: Provider,
    partition: &str,
    account: &str,
    repository: &str,
    branch: &str,
) -> Value {
    let host = provider.host();
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Federated": format!("arn:{partition}:iam::{account}:oidc-provider/{host}")},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {
                format!("{host}:aud"): provider.audience(),
                format!("{host}:sub"): provider.subject(repository, branch),
            }},
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_is_one_branch_of_one_repository() {
        for (provider, name, sub) in [
            (
                Provider::GitHub,
                "token.actions.githubusercontent.com",
                "repo:acme/orders:ref:refs/heads/main",
            ),
            (
                Provider::GitLab,
                "gitlab.com",
                "project_path:acme/orders:ref_type:branch:ref:main",
            ),
        ] {
            let policy = trust(provider, "aws", "123456789012", "acme/orders", "main");
            let statement = &policy["Statement"][0];
            let arn = format!("arn:aws:iam::123456789012:oidc-provider/{name}");
            assert_eq!(statement["Principal"]["Federated"], arn);
            let condition = statement["Condition"].as_object().expect("an object");
            assert_eq!(condition.len(), 1);
            assert_eq!(condition["StringEquals"][format!("{name}:sub")], sub);
            assert!(condition["StringEquals"][format!("{name}:aud")].is_string());
        }
    }
}

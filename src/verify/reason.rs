//! The authorizer's reasons, and what each means for its callers. Pure.

/// The meaning of a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// 3scale decided about this credential: others might be allowed.
    Key,
    /// Every caller is refused, regardless of the credential.
    Everyone,
    /// The path of the request is refused for every caller; another request might be allowed.
    Unmapped,
    /// 3scale was not called for this credential, so the response proves nothing.
    NotAsked,
    /// The authorizer found no credential, or none that it can use.
    Credential,
    /// The request is allowed.
    Passes,
}

/// The reason if no mapping rule matches.
pub(super) const UNMAPPED: &str = "no_mapping_rule";

/// All reasons. Source: the authorizer's README, "reason"; a test compares them.
const REASONS: [(&str, Says); 25] = [
    ("authorized", Says::Passes),
    ("old_answer", Says::Passes),
    ("outage", Says::Passes),
    ("credential_missing", Says::Credential),
    ("credential_unusable", Says::Credential),
    (UNMAPPED, Says::Unmapped),
    ("path_ambiguous", Says::Unmapped),
    ("user_key_invalid", Says::Key),
    ("application_not_found", Says::Key),
    ("application_key_invalid", Says::Key),
    ("application_not_active", Says::Key),
    ("limits_exceeded", Says::Key),
    // For applications with such settings.
    ("referrer_not_allowed", Says::Key),
    ("redirect_uri_invalid", Says::Key),
    ("redirect_url_invalid", Says::Key),
    // For a caller that sends two kinds of credentials.
    ("authentication_error", Says::Key),
    // 3scale refused the credential without a more specific reason.
    ("denied", Says::Key),
    ("too_many_unknown", Says::NotAsked),
    ("service_not_active", Says::Everyone),
    ("oauth_not_enabled", Says::Everyone),
    ("misconfigured", Says::Everyone),
    ("not_ready", Says::Everyone),
    ("backend_unavailable", Says::Everyone),
    ("internal", Says::Everyone),
    // The error of our gateway response if the authorizer returns no decision.
    ("authorizer_failure", Says::Everyone),
];

/// The meaning of a reason; `None` if the authorizer has no such reason.
pub(super) fn says(reason: &str) -> Option<Says> {
    let found = REASONS.iter().find(|(known, _)| *known == reason);
    found.map(|(_, says)| *says)
}

/// The names of all reasons.
#[cfg(test)]
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    REASONS.iter().map(|(reason, _)| *reason)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The words in backticks in the first column of the authorizer's table of reasons.
    pub(crate) fn documented() -> BTreeSet<&'static str> {
        let readme = include_str!("../../authorizer/README.md");
        let rows = readme
            .lines()
            .skip_while(|line| !line.starts_with("| `reason` |"))
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        let firsts = rows.filter_map(|row| row.split('|').nth(1));
        firsts
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .collect()
    }

    /// The reasons for refusals in the authorizer's code.
    fn in_code() -> BTreeSet<&'static str> {
        let decide = include_str!("../../authorizer/src/decide.rs");
        let backend = include_str!("../../authorizer/src/backend.rs");
        let quoted = |text: &'static str| text.split('"').nth(1).unwrap_or_default();
        let denied = decide.split("deny(\"").skip(1);
        let denied = denied.filter_map(|rest| rest.split('"').next());
        // The codes of 3scale that the authorizer returns unchanged.
        let answer = backend
            .split("fn answer(self)")
            .nth(1)
            .expect("its reading");
        let answer = answer.split("metric_invalid").next().expect("its codes");
        let codes = answer.split('\n').map(quoted).filter(|word| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        });
        denied.chain(codes).collect()
    }

    #[test]
    fn every_reason_of_the_authorizer_is_classified() {
        let (documented, in_code) = (documented(), in_code());
        assert!(
            documented.len() > 15 && in_code.len() > 15,
            "{documented:?} {in_code:?}"
        );
        let unclassified: Vec<_> = documented
            .union(&in_code)
            .filter(|reason| says(reason).is_none())
            .collect();
        assert_eq!(unclassified, [&""; 0]);
        let undocumented: Vec<_> = in_code.difference(&documented).collect();
        assert_eq!(undocumented, [&""; 0], "in the authorizer's README");
        let unknown: Vec<_> = REASONS
            .iter()
            .map(|(reason, _)| *reason)
            .filter(|reason| !documented.contains(reason) && *reason != "authorizer_failure")
            .collect();
        assert_eq!(unknown, [""; 0], "in the table and nowhere else");
    }
}

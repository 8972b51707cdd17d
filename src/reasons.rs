//! Why the authorizer refuses or allows a request: the `reason` of its decisions, for `explain`.

use crate::code::Explanation;

/// Every reason with its explanation. Source: authorizer/README.md, "Events".
pub const REASONS: &[(&str, Explanation)] = &[
    reason(
        "authorized",
        "3scale allows the application, and the request is within its limits.",
        "The request passes and is counted.",
        "Nothing.",
    ),
    reason(
        "old_answer",
        "3scale gives no answer, and its last answer allowed the credential.",
        "The request passes, because `authorizer.caching` is `resilient` or `allow`.",
        "Restore the connection to 3scale: `threescale-gw status` shows what fails.",
    ),
    reason(
        "outage",
        "3scale gives no answer, and did not refuse the credential before.",
        "The request passes, because `authorizer.caching` is `allow`.",
        "Restore the connection to 3scale: `threescale-gw status` shows what fails.",
    ),
    reason(
        "credential_missing",
        "The request has no credential in the place of `threescale.credentials`.",
        "The caller receives 401.",
        "The caller sends its key in the header or query parameter that the configuration names.",
    ),
    reason(
        "credential_unusable",
        "The credential is longer than 512 bytes, or not text.",
        "The caller receives 403. 3scale was not asked.",
        "The caller sends its key as 3scale shows it.",
    ),
    reason(
        "no_mapping_rule",
        "No rule of `threescale.mapping_rules` matches the method and the path.",
        "Every caller of this path receives 403.",
        "Add a rule for the path, or leave the method open with `api.except`.",
    ),
    reason(
        "path_ambiguous",
        "The path is written so that the backend may see another path, which counts differently.",
        "The caller receives 403.",
        "The caller sends the plain path, without `..`, doubled or encoded slashes.",
    ),
    reason(
        "limits_exceeded",
        "The application has used up a limit of its plan in 3scale. `metric` names the limit.",
        "The caller receives 403, or 429 with `api.responses.limits: 429`. A REST API also sends `Retry-After` if waiting helps.",
        "The caller waits for the next period, or receives a larger plan in 3scale.",
    ),
    reason(
        "user_key_invalid",
        "3scale does not know the user key.",
        "The caller receives 403.",
        "Compare the key with that of the application in 3scale. A new key works within seconds.",
    ),
    reason(
        "application_not_found",
        "3scale does not know the application id.",
        "The caller receives 403.",
        "Compare the id with that of the application in 3scale.",
    ),
    reason(
        "application_key_invalid",
        "The application key is missing or wrong.",
        "The caller receives 403.",
        "The caller sends a key of the application in the parameter `threescale.credentials.key_name`.",
    ),
    reason(
        "application_not_active",
        "The application is suspended in 3scale.",
        "The caller receives 403.",
        "Resume the application in 3scale.",
    ),
    reason(
        "service_not_active",
        "The product is suspended in 3scale.",
        "All callers receive 403.",
        "Activate the product in 3scale.",
    ),
    reason(
        "referrer_not_allowed",
        "The application has referrer filters, and none allows the `Referer` of the request.",
        "The caller receives 403.",
        "Add the referrer to the application in 3scale, or send an allowed one.",
    ),
    reason(
        "redirect_uri_invalid",
        "3scale refuses the redirect URI of the application.",
        "The caller receives 403.",
        "Correct the redirect URL of the application in 3scale.",
    ),
    reason(
        "redirect_url_invalid",
        "3scale refuses the redirect URL of the application.",
        "The caller receives 403.",
        "Correct the redirect URL of the application in 3scale.",
    ),
    reason(
        "oauth_not_enabled",
        "3scale expects OAuth of this product, and does not accept keys.",
        "All callers receive 403.",
        "Change the authentication of the product in 3scale to a user key, or to an application id and key.",
    ),
    reason(
        "authentication_error",
        "The request has credentials of two kinds, or they contradict each other.",
        "The caller receives 403.",
        "The caller sends one kind of credential.",
    ),
    reason(
        "denied",
        "3scale, or a server in front of it, refuses the credential and gives no known code.",
        "The caller receives 403.",
        "Read the decision with `threescale-gw logs`. Ask who runs what is in front of 3scale.",
    ),
    reason(
        "too_many_unknown",
        "Too many keys that 3scale does not know arrive at once: it is not asked about more of them from these addresses.",
        "The caller receives 403, also if its key is new and valid.",
        "The caller tries again after a second. Block the sender of wrong keys, for example with AWS WAF in front of a REST API.",
    ),
    reason(
        "misconfigured",
        "3scale refuses the service token, the product or a metric of the rules, or a server refuses every request to 3scale.",
        "All callers receive 503, or 500 from an HTTP or WebSocket API. A cached answer is used as long as it is valid.",
        "Run `threescale-gw status`, which names the cause. Correct the token, `threescale.service_id` or the rules, and run `threescale-gw up`.",
    ),
    reason(
        "backend_unavailable",
        "3scale gives no answer in time, and the caching mode does not let the request pass.",
        "The caller receives 503 with `Retry-After`, or 500 from an HTTP or WebSocket API.",
        "Run `threescale-gw status`, which shows whether 3scale is reached. `authorizer.caching: resilient` uses the last answer meanwhile.",
    ),
    reason(
        "not_ready",
        "The function could not read its secrets from the Parameter Store.",
        "The caller receives 503 with `Retry-After`, or 500 from an HTTP or WebSocket API.",
        "Run `threescale-gw status`, then `threescale-gw up`, which repairs the role, the network and the parameters.",
    ),
    reason(
        "internal",
        "The authorizer is in a state that should not occur.",
        "The caller receives 503 with `Retry-After`, or 500 from an HTTP or WebSocket API.",
        "Report it with the lines of `threescale-gw logs` around it.",
    ),
    reason(
        "authorizer_failure",
        "API Gateway received no decision: the function failed, took too long, or cannot be invoked.",
        "The caller receives 503, or 500 from an HTTP or WebSocket API.",
        "Run `threescale-gw status`, which invokes the function. Throttled or inactive functions are named there.",
    ),
];

const fn reason(
    name: &'static str,
    cause: &'static str,
    effect: &'static str,
    action: &'static str,
) -> (&'static str, Explanation) {
    let explanation = Explanation {
        cause,
        effect,
        action,
    };
    (name, explanation)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::verify::reason;

    #[test]
    fn every_reason_is_explained() {
        let explained: BTreeSet<_> = REASONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(explained.len(), REASONS.len());
        assert_eq!(explained, reason::all().collect());
    }
}

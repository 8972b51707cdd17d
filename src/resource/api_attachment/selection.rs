//! Selects the methods of an API that the stack protects. Pure.

use crate::api_gateway::{AuthorizationType, Method};
use crate::pattern::MethodPattern;

/// Whether the configuration selects this method. `OPTIONS` stays open unless it is named, because
/// browsers send it without a credential.
pub fn is_wanted(method: &Method, protect: &[MethodPattern], except: &[MethodPattern]) -> bool {
    let matches = |pattern: &MethodPattern| pattern.matches(&method.method, &method.path);
    let named = protect
        .iter()
        .any(|pattern| pattern.method == "OPTIONS" && matches(pattern));
    let wanted = if method.method == "OPTIONS" {
        named
    } else {
        protect.is_empty() || protect.iter().any(matches)
    };
    wanted && !except.iter().any(matches)
}

/// Whether the method may be protected: it is open, or it is named exactly although it already has
/// an authorization.
pub fn is_free(method: &Method, protect: &[MethodPattern]) -> bool {
    method.authorization == AuthorizationType::None
        || protect
            .iter()
            .any(|pattern| pattern.is_exact(&method.method, &method.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(verb: &str, path: &str, authorization: &str) -> Method {
        Method {
            authorization: authorization.into(),
            ..Method::new(verb, path)
        }
    }

    fn patterns(texts: &[&str]) -> Vec<MethodPattern> {
        texts
            .iter()
            .map(|text| text.parse().expect("a pattern"))
            .collect()
    }

    #[test]
    fn by_default_every_method_but_options_is_wanted() {
        assert!(is_wanted(&method("GET", "/", "NONE"), &[], &[]));
        assert!(is_wanted(&method("ANY", "/{proxy+}", "NONE"), &[], &[]));
        assert!(!is_wanted(&method("OPTIONS", "/orders", "NONE"), &[], &[]));
    }

    #[test]
    fn options_is_wanted_when_named_and_not_by_any() {
        let options = method("OPTIONS", "/orders", "NONE");
        assert!(!is_wanted(&options, &patterns(&["ANY /*"]), &[]));
        assert!(is_wanted(&options, &patterns(&["OPTIONS /orders"]), &[]));
    }

    #[test]
    fn exceptions_win() {
        let health = method("GET", "/health", "NONE");
        assert!(!is_wanted(
            &health,
            &patterns(&["ANY /*"]),
            &patterns(&["GET /health"])
        ));
    }

    #[test]
    fn a_guarded_method_is_free_only_when_named_exactly() {
        let guarded = method("GET", "/orders", "AWS_IAM");
        assert!(!is_free(&guarded, &patterns(&["ANY /*"])));
        assert!(!is_free(&guarded, &[]));
        assert!(is_free(&guarded, &patterns(&["GET /orders"])));
        assert!(is_free(&method("GET", "/orders", "NONE"), &[]));
    }
}

//! The desired state of a method once this stack stops protecting it, and when the record of it is
//! out of date. Pure.

use super::other_stacks;
use super::record::CLOSED;
use crate::api_gateway::{AuthorizationType, Authorizer, Mark, Method};

/// Returns the current method with the properties of its authorizer that identify it if its id
/// changes.
pub fn marked(now: &Method, authorizers: &[Authorizer]) -> Method {
    let authorizer = authorizers
        .iter()
        .find(|authorizer| now.authorizer_id.as_ref() == Some(&authorizer.id));
    Method {
        authorizer: authorizer.map(|authorizer| Mark {
            name: authorizer.name.clone(),
            uri: authorizer.uri.clone(),
        }),
        ..now.clone()
    }
}

/// The recorded method in the form in which it can be restored: when an API is imported again, its
/// authorizers get new ids. `None` if its authorizer no longer exists.
pub fn restored(before: &Method, authorizers: &[Authorizer]) -> Option<Method> {
    let Some(id) = &before.authorizer_id else {
        return Some(before.clone());
    };
    if authorizers.iter().any(|authorizer| authorizer.id == *id) {
        return Some(before.clone());
    }
    let mark = before.authorizer.as_ref()?;
    let is_pool = |kind: &str| kind == "COGNITO_USER_POOLS";
    let successor = authorizers.iter().find(|authorizer| {
        authorizer.name == mark.name
            && authorizer.uri == mark.uri
            && is_pool(&authorizer.kind)
                == (before.authorization == AuthorizationType::CognitoUserPools)
    })?;
    Some(Method {
        authorizer_id: Some(successor.id.clone()),
        ..before.clone()
    })
}

/// The same, but the method is closed and not opened if its authorizer no longer exists.
pub fn restored_or_closed(before: &Method, authorizers: &[Authorizer]) -> Method {
    restored(before, authorizers).unwrap_or_else(|| closed(before))
}

/// The method with AWS_IAM authorization, so that it cannot be called without AWS credentials.
pub fn closed(before: &Method) -> Method {
    Method {
        authorization: CLOSED,
        authorizer_id: None,
        scopes: Vec::new(),
        is_absent: false,
        ..before.clone()
    }
}

/// The method without authorization.
pub fn opened(now: &Method) -> Method {
    Method {
        authorization: AuthorizationType::None,
        authorizer_id: None,
        scopes: Vec::new(),
        ..now.clone()
    }
}

/// Whether this stack created the route, and its owner uses it since: it stays, without the authorizer.
pub fn is_in_use(before: &Method, now: &Method) -> bool {
    before.is_absent && !now.is_absent && !now.is_bare
}

/// Whether the owner changed a method that this stack does not protect since it was recorded. A
/// change by a stack of this program does not count, and for an authorizer that no longer exists
/// the answer is unknown.
pub fn is_changed(now: &Method, before: &Method, authorizers: &[Authorizer]) -> bool {
    let is_theirs = match &now.authorizer_id {
        None => true,
        Some(id) => authorizers
            .iter()
            .find(|authorizer| authorizer.id == *id)
            .is_some_and(|authorizer| other_stacks::stack_of(&authorizer.name).is_none()),
    };
    is_theirs
        && (now.is_absent != before.is_absent
            || !now.has_authorization_of(&restored_or_closed(before, authorizers)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(authorization: &str, authorizer_id: Option<&str>) -> Method {
        Method {
            path: "/me".to_owned(),
            method: "GET".to_owned(),
            resource_id: "r".to_owned(),
            authorization: authorization.into(),
            authorizer_id: authorizer_id.map(str::to_owned),
            ..Method::default()
        }
    }

    fn authorizer(id: &str, name: &str, uri: &str, kind: &str) -> Authorizer {
        Authorizer {
            id: id.to_owned(),
            name: name.to_owned(),
            uri: uri.to_owned(),
            kind: kind.to_owned(),
            identity_source: String::new(),
            ttl: 300,
            payload_format: String::new(),
        }
    }

    #[test]
    fn an_authorizer_under_another_id_is_found_by_name_and_uri() {
        let first = [authorizer("a1", "own", "arn:own", "REQUEST")];
        let before = marked(&method("CUSTOM", Some("a1")), &first);
        assert_eq!(restored(&before, &first), Some(before.clone()));
        let again = [authorizer("b2", "own", "arn:own", "REQUEST")];
        let now = restored(&before, &again).expect("it is there");
        assert_eq!(now.authorizer_id.as_deref(), Some("b2"));
        for other in [
            authorizer("b2", "another", "arn:own", "REQUEST"),
            authorizer("b2", "own", "arn:another", "REQUEST"),
            authorizer("b2", "own", "arn:own", "COGNITO_USER_POOLS"),
        ] {
            let there = [other];
            assert_eq!(restored(&before, &there), None, "{there:?}");
            let closed = restored_or_closed(&before, &there);
            assert_eq!(closed.authorization, CLOSED);
        }
        // A record from a version that did not store them.
        assert_eq!(restored(&method("CUSTOM", Some("a1")), &again), None);
    }

    #[test]
    fn a_route_that_was_absent_stays_only_if_its_owner_uses_it() {
        let absent = Method {
            is_absent: true,
            ..method("NONE", None)
        };
        let bare = Method {
            is_bare: true,
            ..method("CUSTOM", Some("ours"))
        };
        assert!(!is_in_use(&absent, &bare) && !is_in_use(&absent, &absent));
        let used = method("CUSTOM", Some("ours"));
        assert!(is_in_use(&absent, &used) && !is_in_use(&used, &used));
        assert!(!closed(&absent).is_absent);
        // Its owner has created it, or deleted it.
        let own = method("NONE", None);
        assert!(is_changed(&own, &absent, &[]) && is_changed(&absent, &own, &[]));
        assert!(!is_changed(&absent, &absent, &[]));
    }

    #[test]
    fn only_what_the_owners_changed_is_a_change() {
        let there = [
            authorizer("a1", "own", "arn:own", "TOKEN"),
            authorizer(
                "p1",
                "threescale-gw-partners-authorizer",
                "arn:p",
                "REQUEST",
            ),
        ];
        let open = method("NONE", None);
        let iam = method("AWS_IAM", None);
        let own = method("CUSTOM", Some("a1"));
        let changed = |now: &Method, before: &Method| is_changed(now, before, &there);
        assert!(changed(&iam, &open) && changed(&own, &open) && changed(&open, &iam));
        assert!(changed(&own, &iam));
        for method in [&open, &iam, &own] {
            assert!(!changed(method, method));
        }
        // An authorizer of another stack, one that no longer exists, and a method that was closed because
        // its own authorizer no longer exists.
        assert!(!changed(&method("CUSTOM", Some("p1")), &open));
        assert!(!changed(&method("CUSTOM", Some("x9")), &open));
        assert!(!changed(&iam, &method("CUSTOM", Some("x9"))));
        let scoped = |scopes: &[&str]| Method {
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            ..method("COGNITO_USER_POOLS", Some("a1"))
        };
        assert!(changed(&scoped(&["a"]), &scoped(&["a", "b"])));
        assert!(!changed(&scoped(&["b", "a"]), &scoped(&["a", "b"])));
    }
}

//! The user or role of an ARN, as people name it. Pure.

/// The type of a principal, and its name.
fn parts(arn: &str) -> (&str, &str) {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or(arn);
    match resource.split_once('/') {
        // The path of a user is not a part of the name.
        Some(("user", path)) => ("user", path.rsplit('/').next().unwrap_or(path)),
        Some(parts) => parts,
        None => ("", resource),
    }
}

/// The name: `kim`, or `Admin/kim` for a session of a role.
pub fn name(arn: &str) -> &str {
    parts(arn).1
}

/// The type and the name: `user kim`, or `role Admin, session kim`.
pub fn described(arn: &str) -> String {
    match parts(arn) {
        ("user", name) => format!("user {name}"),
        ("assumed-role", name) => match name.split_once('/') {
            Some((role, session)) => format!("role {role}, session {session}"),
            None => format!("role {name}"),
        },
        ("federated-user", name) => format!("federated user {name}"),
        ("", "root") => "the root user".to_owned(),
        (_, name) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_named_as_people_do() {
        for (arn, short, long) in [
            ("arn:aws:iam::123456789012:user/kim", "kim", "user kim"),
            (
                "arn:aws:iam::123456789012:user/people/kim",
                "kim",
                "user kim",
            ),
            (
                "arn:aws:sts::123456789012:assumed-role/Admin/kim@x",
                "Admin/kim@x",
                "role Admin, session kim@x",
            ),
            ("arn:aws:iam::123456789012:root", "root", "the root user"),
            (
                "arn:aws:sts::123456789012:federated-user/bob",
                "bob",
                "federated user bob",
            ),
            ("somebody", "somebody", "somebody"),
        ] {
            assert_eq!((name(arn), described(arn).as_str()), (short, long), "{arn}");
        }
    }
}

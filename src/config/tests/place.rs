//! What is read of a file that is invalid elsewhere: the stack, the account, and the Region.

use super::*;

#[test]
fn a_stack_name_from_the_command_line_is_checked_alike() {
    assert_eq!(
        "orders".parse::<StackName>().map(|name| name.to_string()),
        Ok("orders".to_owned())
    );
    let error = "Orders"
        .parse::<StackName>()
        .err()
        .map(|invalid| invalid.to_string());
    assert_eq!(
        error.as_deref(),
        Some("must be a lower-case letter, followed by at most 31 of `a-z`, `0-9` and `-`")
    );
}

#[test]
fn the_stack_of_a_file_is_told_whatever_else_is_wrong_with_it() {
    let stack = |text| {
        let named = stack_of(text, &|name| (name == "TEAM").then(|| "red".to_owned()));
        named.map(|stack| stack.to_string())
    };
    assert_eq!(
        stack("stack: orders\nnetwork: {zoness: 1}\nthreescale: {service_token: \"${NONE}\"}\n"),
        Some("orders".to_owned())
    );
    assert_eq!(
        stack("stack: orders-${TEAM}\n"),
        Some("orders-red".to_owned())
    );
    for text in [
        "",
        "stack: ${NONE}\n",
        "stack: Orders!\n",
        "stack: [orders\n",
        "- stack\n",
    ] {
        assert_eq!(stack(text), None, "{text}");
    }
}

#[test]
fn the_place_is_read_even_if_the_rest_is_invalid() {
    let text = format!("{GOOD}account: \"123456789012\"\nregion: eusc-de-east-1\n");
    let place = Place {
        account: Some("123456789012".to_owned()),
        region: Some("eusc-de-east-1".to_owned()),
    };
    assert_eq!(config(&text).place, place);
    assert_eq!(place_of(&format!("{text}unknown: 1\n"), &|_| None), place);
    assert_eq!(place_of("- no mapping", &|_| None), Place::default());
    for (line, text) in [
        ("account: \"12345\"", "must be an AWS account id"),
        ("account: 123456789012", "account"),
        ("region: Frankfurt", "must be an AWS region"),
        ("tags: {name: x}", "tag key `Name`, in any spelling"),
        ("tags: {NAME: x}", "tag key `Name`, in any spelling"),
    ] {
        let found = problems(&format!("{GOOD}{line}\n"));
        assert!(found.len() == 1 && found[0].contains(text), "{found:?}");
    }
}

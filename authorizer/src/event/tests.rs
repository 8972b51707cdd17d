use super::*;

fn authorize(event: &str) -> Request<'_> {
    match parse(event.as_bytes()) {
        Ok(Event::Authorize(request)) => *request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn reads_a_rest_request() {
    let request = authorize(
        r#"{"type":"REQUEST","methodArn":"arn:aws:execute-api:us-east-1:1:api/prod/GET/a","resource":"/a",
        "path":"/a","httpMethod":"GET","headers":{"X-Key":"last"},
        "multiValueHeaders":{"X-Key":["first","last"],"Other":["oA"]},
        "queryStringParameters":{"q":"2"},"multiValueQueryStringParameters":{"q":["1","2"]},
        "pathParameters":{},"stageVariables":null,"requestContext":{"stage":"prod","identity":{"sourceIp":"1"},"requestId":"r-1"}}"#,
    );
    assert_eq!(
        request.header("x-key").collect::<Vec<_>>(),
        ["first", "last"]
    );
    assert_eq!(request.header("OTHER").collect::<Vec<_>>(), ["oA"]);
    assert_eq!(request.parameter("q").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(request.path, "/a");
    assert!(matches!(request.path, Cow::Borrowed(_)));
    assert_eq!(request.source_ip.as_deref(), Some("1"));
    assert_eq!(request.gateway_id.as_deref(), Some("r-1"));
}

#[test]
fn reads_a_rest_request_without_multi_values() {
    let request = authorize(
        r#"{"type":"REQUEST","version":"1.0","methodArn":"arn","path":"/","httpMethod":"GET",
        "headers":{"x":"1"},"multiValueHeaders":null,"queryStringParameters":{"q":"2"}}"#,
    );
    assert_eq!(request.header("X").collect::<Vec<_>>(), ["1"]);
    assert_eq!(request.parameter("q").collect::<Vec<_>>(), ["2"]);
}

#[test]
fn reads_a_token() {
    let request = authorize(
        r#"{"type":"TOKEN","authorizationToken":"k","methodArn":"arn:aws:execute-api:us-east-1:1:api/prod/PUT/a/b"}"#,
    );
    assert_eq!(request.method, "PUT");
    assert_eq!(request.path, "/a/b");
    assert_eq!(request.token.as_deref(), Some("k"));
}

#[test]
fn reads_payload_2() {
    let request = authorize(
        r#"{"version":"2.0","type":"REQUEST","routeArn":"arn","rawPath":"/prod/a b",
        "rawQueryString":"a=1%2C2&a=3&b=x+y","headers":{"apikey":"k"},
        "requestContext":{"stage":"prod","http":{"method":"GET","path":"/prod/a b"},"requestId":"r-2"}}"#,
    );
    assert_eq!(request.gateway_id.as_deref(), Some("r-2"));
    assert_eq!(request.path, "/a b");
    assert!(request.path_is_decoded);
    assert_eq!(request.parameter("a").collect::<Vec<_>>(), ["1,2", "3"]);
    assert_eq!(request.parameter("b").collect::<Vec<_>>(), ["x y"]);
    assert_eq!(request.format, Format::HttpApi);
}

#[test]
fn the_path_is_the_one_below_the_root() {
    let rest = |path: &str, resource: &str, parameters: &str, arn: &str| {
        let event = format!(
            r#"{{"type":"REQUEST","methodArn":"arn:aws:execute-api:r:1:api/prod/GET{arn}","httpMethod":"GET",
            "path":"{path}","resource":"{resource}","pathParameters":{parameters}}}"#
        );
        let request = authorize(&event);
        assert!(!request.path_is_decoded);
        request.path.into_owned()
    };
    for (path, resource, parameters, arn, wanted) in [
        (
            "/shop/orders/1",
            "/orders/{id}",
            r#"{"id":"1"}"#,
            "/orders/1",
            "/orders/1",
        ),
        (
            "/shop/orders/1",
            "/{proxy+}",
            r#"{"proxy":"orders/1"}"#,
            "/orders/1",
            "/orders/1",
        ),
        (
            "/shop/orders/1",
            "/{proxy+}",
            "null",
            "/orders/1",
            "/orders/1",
        ),
        ("/shop/orders/1", "/{proxy+}", "{}", "/x", "/shop/orders/1"),
        ("/orders/", "/orders", "null", "/orders/", "/orders"),
        ("/shop", "/", "null", "/", "/"),
    ] {
        assert_eq!(
            rest(path, resource, parameters, arn),
            wanted,
            "{path} {resource}"
        );
    }
}

#[test]
fn only_the_own_address_of_an_http_api_has_the_stage() {
    let path = |path: &str, key: &str, domain: &str| {
        let event = format!(
            r#"{{"version":"2.0","type":"REQUEST","routeKey":"{key}","rawPath":"{path}",
            "routeArn":"arn:aws:execute-api:r:1:api/prod/GET/prod/1","headers":{{}},
            "requestContext":{{"stage":"prod","apiId":"api","domainName":"{domain}","http":{{"method":"GET"}}}}}}"#
        );
        authorize(&event).path.into_owned()
    };
    let own = "api.execute-api.eu-west-1.amazonaws.com";
    for (raw, key, domain, wanted) in [
        ("/prod/prod/1", "GET /prod/{id}", own, "/prod/1"),
        ("/prod/1", "GET /prod/{id}", "api.example.com", "/prod/1"),
        (
            "/shop/prod/1",
            "GET /prod/{id}",
            "api.example.com",
            "/prod/1",
        ),
        ("/shop/prod/1", "$default", "api.example.com", "/prod/1"),
        ("/prod/prod/1", "$default", own, "/prod/1"),
        (
            "/prod/1",
            "$default",
            "other.execute-api.eu-west-1.amazonaws.com",
            "/prod/1",
        ),
    ] {
        assert_eq!(path(raw, key, domain), wanted, "{raw} {key} {domain}");
    }
}

#[test]
fn keeps_a_path_that_only_looks_like_the_stage() {
    for (path, stage, wanted) in [
        ("/product", "prod", "/product"),
        ("/prod", "prod", "/"),
        ("/a", "$default", "/a"),
        ("/a", "", "/a"),
    ] {
        assert_eq!(without_stage(Cow::Borrowed(path), stage), wanted);
    }
}

#[test]
fn knows_the_schedule_and_the_self_test() {
    assert!(matches!(
        parse(br#"{"version":"0","id":"x","detail-type":"Scheduled Event","source":"aws.events","detail":{}}"#),
        Ok(Event::Scheduled)
    ));
    assert!(matches!(
        parse(br#"{"threescale-gw":"self-test"}"#),
        Ok(Event::SelfTest)
    ));
}

#[test]
fn refuses_the_rest() {
    for event in [
        "",
        "[]",
        "{}",
        "null",
        "{\"type\":\"REQUEST\"}",
        "{\"type\":1}",
        "{\"type\":\"TOKEN\"}",
        "{\"type\":\"TOKEN\",\"methodArn\":\"x\"}",
        "{\"version\":\"2.0\"}",
    ] {
        assert!(parse(event.as_bytes()).is_err(), "{event}");
    }
}

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

fn with_base_paths<'a>(event: &'a str, base_paths: &str) -> Request<'a> {
    let base_paths = serde_json::from_str(base_paths).expect("base paths");
    match parse_with(event.as_bytes(), &base_paths) {
        Ok(Event::Authorize(request)) => *request,
        other => panic!("{other:?}"),
    }
}

/// A log of API Gateway, published in the tests of swift-server/swift-aws-lambda-events
/// (APIGateway+LambdaAuthorizerTests.swift): a named stage is in front of the path, and not in the path of the ARN.
#[test]
fn reads_what_api_gateway_sent_to_an_authorizer_of_a_named_stage() {
    let request = authorize(
        r#"{"version":"2.0","type":"REQUEST",
        "routeArn":"arn:aws:execute-api:eu-north-1:000000000000:0000000000/dev/GET/applications",
        "identitySource":["abc.xyz.123"],"routeKey":"GET /applications","rawPath":"/dev/applications","rawQueryString":"",
        "headers":{"accept":"*/*","authorization":"abc.xyz.123","content-length":"0",
        "host":"0000000000.execute-api.eu-north-1.amazonaws.com","user-agent":"curl/8.1.2",
        "x-amzn-trace-id":"Root=1-00000000-000000000000000000000000","x-forwarded-for":"0.0.0.0",
        "x-forwarded-port":"443","x-forwarded-proto":"https"},
        "requestContext":{"accountId":"000000000000","apiId":"0000000000",
        "domainName":"0000000000.execute-api.eu-north-1.amazonaws.com","domainPrefix":"0000000000",
        "http":{"method":"GET","path":"/dev/applications","protocol":"HTTP/1.1","sourceIp":"0.0.0.0","userAgent":"curl/8.1.2"},
        "requestId":"QHACgr8sig0MELg=","routeKey":"GET /applications","stage":"dev",
        "time":"15/Dec/2023:20:35:03 +0000","timeEpoch":1702672503230}}"#,
    );
    assert_eq!(request.format, Format::HttpApi);
    assert_eq!(
        (request.path.as_ref(), request.resource.as_ref()),
        ("/applications", "/applications")
    );
    assert!(matches!(request.path, Cow::Borrowed(_)));
    assert!(request.path_is_decoded && !request.path_has_open_end);
    assert_eq!(
        request.header("Authorization").collect::<Vec<_>>(),
        ["abc.xyz.123"]
    );
    assert_eq!(request.source_ip.as_deref(), Some("0.0.0.0"));
    assert_eq!(request.gateway_id.as_deref(), Some("QHACgr8sig0MELg="));
    assert_eq!(request.stage(), (Some("0000000000"), Some("dev")));
}

/// The example of the guide, "Control access to HTTP APIs with AWS Lambda authorizers", with the identity source of an
/// authorizer that has none (null).
#[test]
fn reads_the_example_of_the_guide_for_http_apis() {
    let request = authorize(
        r#"{"version":"2.0","type":"REQUEST",
        "routeArn":"arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/GET/request",
        "identitySource":null,"routeKey":"$default","rawPath":"/my/path",
        "rawQueryString":"parameter1=value1&parameter1=value2&parameter2=value","cookies":["cookie1","cookie2"],
        "headers":{"header1":"value1","header2":"value1,value2"},
        "queryStringParameters":{"parameter1":"value1,value2","parameter2":"value"},
        "requestContext":{"accountId":"123456789012","apiId":"api-id","authentication":{"clientCert":{
        "clientCertPem":"CERT_CONTENT","subjectDN":"www.example.com","issuerDN":"Example issuer",
        "serialNumber":"a1:a1","validity":{"notBefore":"May 28 12:30:02 2019 GMT","notAfter":"Aug  5 09:36:04 2021 GMT"}}},
        "domainName":"id.execute-api.us-east-1.amazonaws.com","domainPrefix":"id",
        "http":{"method":"POST","path":"/my/path","protocol":"HTTP/1.1","sourceIp":"IP","userAgent":"agent"},
        "requestId":"id","routeKey":"$default","stage":"$default","time":"12/Mar/2020:19:03:58 +0000","timeEpoch":1583348638390},
        "pathParameters":{"parameter1":"value1"},"stageVariables":{"stageVariable1":"value1"}}"#,
    );
    assert_eq!(
        (request.method.as_ref(), request.path.as_ref()),
        ("POST", "/my/path")
    );
    assert_eq!(request.resource, "$default");
    assert_eq!(
        request.parameter("parameter1").collect::<Vec<_>>(),
        ["value1", "value2"]
    );
}

/// The example of the guide, "Control access to WebSocket APIs with AWS Lambda REQUEST authorizers".
#[test]
fn reads_a_connection_to_a_websocket_api() {
    let request = authorize(
        r#"{"type":"REQUEST","methodArn":"arn:aws:execute-api:us-east-1:123456789012:abcdef123/default/$connect",
        "headers":{"Connection":"upgrade","content-length":"0","HeaderAuth1":"headerValue1",
        "Host":"abcdef123.execute-api.us-east-1.amazonaws.com","Sec-WebSocket-Key":"...","Sec-WebSocket-Version":"13",
        "Upgrade":"websocket","X-Amzn-Trace-Id":"...","X-Forwarded-For":"..."},
        "multiValueHeaders":{"Connection":["upgrade"],"content-length":["0"],"HeaderAuth1":["a","headerValue1"],
        "Host":["abcdef123.execute-api.us-east-1.amazonaws.com"],"Upgrade":["websocket"]},
        "queryStringParameters":{"QueryString1":"queryValue1"},
        "multiValueQueryStringParameters":{"QueryString1":["a","queryValue1"]},"stageVariables":{},
        "requestContext":{"routeKey":"$connect","eventType":"CONNECT","extendedRequestId":"...",
        "requestTime":"19/Jan/2023:21:13:26 +0000","messageDirection":"IN","stage":"default","connectedAt":1674162806344,
        "requestTimeEpoch":1674162806345,"identity":{"sourceIp":"192.0.2.7"},"requestId":"r-3",
        "domainName":"abcdef123.execute-api.us-east-1.amazonaws.com","connectionId":"c-1","apiId":"abcdef123"}}"#,
    );
    assert_eq!(request.format, Format::WebSocket);
    assert_eq!(
        (request.method.as_ref(), request.path.as_ref()),
        ("GET", "/")
    );
    assert_eq!(request.resource, "$connect");
    assert_eq!(
        request.header("headerauth1").collect::<Vec<_>>(),
        ["a", "headerValue1"]
    );
    assert_eq!(
        request.parameter("QueryString1").collect::<Vec<_>>(),
        ["a", "queryValue1"]
    );
    assert_eq!(request.source_ip.as_deref(), Some("192.0.2.7"));
    assert_eq!(request.gateway_id.as_deref(), Some("r-3"));
    assert_eq!(request.stage(), (Some("abcdef123"), Some("default")));
}

#[test]
fn only_new_connections_of_a_websocket_api_are_decided() {
    for event in [
        r#"{"type":"REQUEST","methodArn":"arn","requestContext":{"eventType":"MESSAGE"}}"#,
        r#"{"type":"REQUEST","requestContext":{"eventType":"CONNECT"}}"#,
        r#"{"requestContext":{"eventType":"CONNECT"},"methodArn":"arn"}"#,
    ] {
        assert!(parse(event.as_bytes()).is_err(), "{event}");
    }
}

#[test]
fn an_unknown_version_of_the_payload_is_refused() {
    let event = |version: &str| {
        format!(
            r#"{{"type":"REQUEST","version":"{version}","methodArn":"arn","path":"/","httpMethod":"GET","headers":{{}}}}"#
        )
    };
    assert!(parse(event("1.0").as_bytes()).is_ok());
    for version in ["", "1", "2", "3.0"] {
        let event = event(version);
        let refused = parse(event.as_bytes());
        assert_eq!(refused.err(), Some(EventError::Unknown), "{version}");
    }
}

/// An event of an HTTP API on the stage `prod`, unless the domain is followed by another one.
fn of_http_api(path: &str, key: &str, parameters: &str, domain: &str) -> String {
    let (domain, stage) = domain.split_once(' ').unwrap_or((domain, "prod"));
    format!(
        r#"{{"version":"2.0","type":"REQUEST","routeKey":"{key}","rawPath":"{path}","rawQueryString":"",
        "routeArn":"arn:aws:execute-api:r:1:api/{stage}/GET{path}","headers":{{}},"pathParameters":{parameters},
        "requestContext":{{"stage":"{stage}","apiId":"api","domainName":"{domain}","http":{{"method":"GET"}}}}}}"#
    )
}

#[test]
fn the_path_of_an_http_api_is_the_one_below_the_root() {
    const BASE_PATHS: &str = r#"{"api.example.com":["shop","shop/v2"],"root.example.com":[""]}"#;
    let own = "api.execute-api.eu-west-1.amazonaws.com";
    let own_default = "api.execute-api.eu-west-1.amazonaws.com $default";
    let (known, root, other) = ("api.example.com", "root.example.com", "other.example.com");
    for (path, key, parameters, domain, wanted) in [
        // The name of the stage is in front of the path on the own address only.
        ("/prod", "$default", "null", own, "/"),
        ("/prod/", "$default", "null", own, "/"),
        ("/prod", "GET /", "null", own, "/"),
        ("/prod/prod", "$default", "null", own, "/prod"),
        ("/prod/prod", "GET /prod", "null", own, "/prod"),
        ("/product", "$default", "null", own, "/product"),
        ("//prod//a", "$default", "null", own, "//a"),
        ("/prod/./a", "$default", "null", own, "/./a"),
        ("/prod/../prod/a", "$default", "null", own, "/../prod/a"),
        ("/prod/a", "$default", "null", own_default, "/prod/a"),
        (
            "/$default/a",
            "$default",
            "null",
            own_default,
            "/$default/a",
        ),
        (
            "/prod/a",
            "GET /prod/{id}",
            r#"{"id":"a"}"#,
            own_default,
            "/prod/a",
        ),
        (
            "/prod/a",
            "$default",
            "null",
            "api.execute-api.eu-west-1.api.aws",
            "/a",
        ),
        (
            "/prod/a",
            "$default",
            "null",
            "API.execute-api.cn-north-1.amazonaws.com.cn",
            "/a",
        ),
        // A custom domain name: the resource tells, and else the base paths.
        ("/shop/a", "GET /a", "null", known, "/a"),
        ("/shop/a", "GET /{id}", r#"{"id":"a"}"#, known, "/a"),
        (
            "/shop/a/b",
            "GET /{proxy+}",
            r#"{"proxy":"a/b"}"#,
            known,
            "/a/b",
        ),
        ("/shop/a", "$default", "null", known, "/a"),
        ("/shop/v2/a", "$default", "null", known, "/a"),
        ("/shop", "$default", "null", known, "/"),
        ("/shop/shop/a", "$default", "null", known, "/shop/a"),
        ("/prod/a", "$default", "null", known, "/prod/a"),
        ("/shop/a", "$default", "null", root, "/shop/a"),
        ("/shop/a", "$default", "null", other, "/shop/a"),
        // The values do not fit: the segments of a decoded path cannot be counted.
        ("/prod/x/y/z", "GET /{a}/{b}", "null", own, "/x/y/z"),
        ("/shop/x/y/z", "GET /{a}/{b}", "null", known, "/x/y/z"),
        // The resource knows better than settings of another time.
        (
            "/shop/a",
            "GET /shop/{id}",
            r#"{"id":"a"}"#,
            known,
            "/shop/a",
        ),
        ("/new/a", "GET /{id}", r#"{"id":"a"}"#, known, "/a"),
    ] {
        let event = of_http_api(path, key, parameters, domain);
        let request = with_base_paths(&event, BASE_PATHS);
        assert_eq!(request.path, wanted, "{path} {key} {domain}");
        assert!(request.path_is_decoded);
    }
}

#[test]
fn an_encoded_slash_in_a_parameter_stays_one() {
    for domain in ["api.execute-api.eu-west-1.amazonaws.com", "api.example.com"] {
        let event = of_http_api(
            "/prod/x/y/z",
            "GET /{a}/{b}",
            r#"{"a":"x","b":"y/z"}"#,
            domain,
        );
        let request = authorize(&event);
        assert_eq!(
            (request.path.as_ref(), request.path_is_decoded),
            ("/x/y%2Fz", false)
        );
    }
}

/// The resource of a REST API tells the base path; the settings do where it does not.
#[test]
fn base_paths_change_nothing_for_a_rest_api_whose_resource_fits() {
    let path = |path: &str, resource: &str, below: &str, domain: &str| {
        let event = format!(
            r#"{{"type":"REQUEST","methodArn":"arn:aws:execute-api:r:1:api/prod/GET{below}","httpMethod":"GET",
            "path":"{path}","resource":"{resource}","pathParameters":null,
            "requestContext":{{"stage":"prod","apiId":"api","domainName":"{domain}"}}}}"#
        );
        with_base_paths(&event, r#"{"api.example.com":["shop"]}"#)
            .path
            .into_owned()
    };
    let (own, known) = ("api.execute-api.eu-west-1.amazonaws.com", "api.example.com");
    for (whole, resource, below, domain, wanted) in [
        ("/shop/a", "/{id}", "/a", known, "/a"),
        ("/shop/a", "/shop/{id}", "/shop/a", known, "/shop/a"),
        ("/shop/a", "/{proxy+}", "/unlike", known, "/a"),
        ("/shop/a", "/{proxy+}", "/unlike", own, "/shop/a"),
        (
            "/shop/a",
            "/{proxy+}",
            "/unlike",
            "other.example.com",
            "/shop/a",
        ),
    ] {
        assert_eq!(
            path(whole, resource, below, domain),
            wanted,
            "{whole} {resource} {domain}"
        );
    }
}

//! `export`: what another tool takes over. Terraform itself plans the exports, where it is installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::moves::workplace;
use crate::own_route;
use crate::support::{TestAws, Workplace, http_api, standing};

const TERRAFORM: [&str; 5] = ["export", "--format", "terraform", "--out", "out"];
const TEMPLATE: [&str; 5] = ["export", "--format", "cloudformation", "--out", "out"];
/// Exit code of the script where Terraform is not installed.
const NOT_INSTALLED: i32 = 3;

/// An account with a deployed stack that has these lines in its configuration.
fn stand(lines: &str) -> (TestAws, Workplace) {
    let aws = TestAws::seeded();
    let here = workplace(&aws, lines);
    here.succeed(&["up", "--yes"]);
    aws.check_log();
    (aws, here)
}

/// A stack in a VPC of the operator, whose subnets it routes, with an endpoint.
fn in_own_network() -> (TestAws, Workplace) {
    let aws = TestAws::seeded();
    aws.post(
        "config",
        &json!({"quotas": {"vpcs": 10, "elastic_ips": 10}}),
    );
    let vpc = own_route::Vpc::new(&aws, "10.60", true);
    let names = json!({"VpcId": vpc.id, "EnableDnsHostnames": {"Value": true}});
    aws.call("ec2", "ModifyVpcAttribute", names);
    let here = workplace(&aws, &vpc.routed(", endpoints: true"));
    here.succeed(&["up", "--yes"]);
    aws.check_log();
    (aws, here)
}

fn read(here: &Workplace, name: &str) -> String {
    fs::read_to_string(here.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every file in a folder, as text.
fn all_of(folder: &Path) -> String {
    let files = fs::read_dir(folder).expect("a folder").flatten();
    let files = files.filter(|entry| entry.path().is_file());
    let texts = files
        .map(|file| String::from_utf8_lossy(&fs::read(file.path()).expect("a file")).into_owned());
    texts.collect()
}

/// The values that no export contains.
fn secrets(aws: &TestAws) -> Vec<String> {
    let path = json!({"Path": "/threescale-gw/orders/secrets", "WithDecryption": true});
    let answer = aws.call("ssm", "GetParametersByPath", path);
    let parameters = answer["Parameters"].as_array().expect("a list").iter();
    let values: Vec<_> = parameters
        .filter_map(|parameter| parameter["Value"].as_str().map(str::to_owned))
        .collect();
    assert!(!values.is_empty());
    values
}

#[track_caller]
fn has_no_secret(aws: &TestAws, text: &str) {
    for secret in secrets(aws) {
        assert!(!text.contains(&secret), "{secret} in {text}");
    }
}

/// Runs the script on the export in `out`. Returns whether Terraform is installed.
fn planned(aws: &TestAws, here: &Workplace, how: &str) -> bool {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/terraform.sh");
    let ran = Command::new(script)
        .args([how, "out"])
        .current_dir(here.folder.path())
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "not-a-secret-of-anybody")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL", aws.url())
        .output()
        .expect("the script runs");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
    if ran.status.code() == Some(NOT_INSTALLED) {
        return false;
    }
    assert!(ran.status.success(), "{said}");
    true
}

/// The configuration of Terraform in `out`, as a parser reads it.
fn parsed(here: &Workplace, name: &str) -> hcl_edit::structure::Body {
    let text = read(here, name);
    let parsed = hcl_edit::parser::parse_body(&text);
    parsed.unwrap_or_else(|error| panic!("{name}: {error}\n{text}"))
}

/// Whether every `import` block names a resource of main.tf, and every resource has one.
fn imports_everything(here: &Workplace) {
    let resources = parsed(here, "out/main.tf");
    let mut resources: Vec<_> = resources
        .get_blocks("resource")
        .map(|block| {
            let labels: Vec<_> = block.labels.iter().map(|label| label.as_str()).collect();
            labels.join(".")
        })
        .collect();
    let imports = parsed(here, "out/imports.tf");
    let mut imports: Vec<_> = imports
        .get_blocks("import")
        .map(|block| {
            let to = block.body.get_attribute("to").expect("an address");
            to.value.to_string().trim().to_owned()
        })
        .collect();
    resources.sort_unstable();
    imports.sort_unstable();
    let all = resources.len();
    assert_eq!(resources, imports);
    resources.dedup();
    assert_eq!(resources.len(), all, "{resources:?}");
}

#[test]
fn terraform_takes_the_default_stack_over_without_a_change() {
    let (aws, here) = standing();
    let run = here.succeed(&TERRAFORM);
    assert_eq!(aws.changes(), [""; 0], "an export changes nothing");
    assert!(run.stdout.contains("terraform plan"), "{}", run.stdout);
    imports_everything(&here);
    let main = read(&here, "out/main.tf");
    for expected in [
        "vpc_id            = aws_vpc.main.id",
        "authorizer_uri                   = aws_lambda_alias.authorizer.invoke_arn",
        "role          = aws_iam_role.authorizer.arn",
        "team = \"payments\"",
        "ignore_changes = [auth_token, auth_token_update_strategy]",
        "prevent_destroy = true",
        "GET /orders (before: NONE)",
        "/threescale-gw/orders/secrets/service-token",
    ] {
        assert!(main.contains(expected), "{expected}: {main}");
    }
    assert!(!main.contains("threescale-gw:stack"), "{main}");
    let everything = all_of(&here.path("out"));
    has_no_secret(&aws, &everything);
    if planned(&aws, &here, "apply") {
        // Its state contains what Terraform reads.
        let state = all_of(&here.path("out"));
        assert!(state.contains("\"aws_lambda_function\""));
        has_no_secret(&aws, &state);
        assert_eq!(aws.changes(), [""; 0], "Terraform changes nothing");
        let again = here.run(&["plan", "--exit-code"]);
        assert_eq!(again.code, Some(0), "{}", again.stdout);
    }
}

#[test]
fn terraform_takes_a_nat_instance_and_a_serverless_cache_over_without_a_change() {
    let (aws, here) = stand("network: {nat: instance}\ncache: {kind: serverless}");
    here.succeed(&TERRAFORM);
    imports_everything(&here);
    let main = read(&here, "out/main.tf");
    for expected in [
        "resource \"aws_instance\"",
        "resource \"aws_eip_association\"",
        "user_data              = <<-EOT",
        ".primary_network_interface_id",
        "resource \"aws_elasticache_serverless_cache\"",
        "user_ids      = [aws_elasticache_user.main.user_id]",
        "ignore_changes = [authentication_mode, passwords]",
    ] {
        assert!(main.contains(expected), "{expected}: {main}");
    }
    has_no_secret(&aws, &all_of(&here.path("out")));
    planned(&aws, &here, "plan");
}

#[test]
fn terraform_takes_a_stack_without_a_network_over_without_a_change() {
    let (aws, here) = stand("network: none\ncache: memory");
    here.succeed(&TERRAFORM);
    imports_everything(&here);
    let main = read(&here, "out/main.tf");
    assert!(!main.contains("aws_vpc"), "{main}");
    assert!(!main.contains("vpc_config"), "{main}");
    planned(&aws, &here, "plan");
}

#[test]
fn terraform_takes_a_stack_in_a_network_of_the_operator_over_without_a_change() {
    let (aws, here) = in_own_network();
    here.succeed(&TERRAFORM);
    imports_everything(&here);
    let main = read(&here, "out/main.tf");
    // The network is not the stack's, so its ids are not references.
    assert!(!main.contains("resource \"aws_vpc\" "), "{main}");
    for expected in [
        "resource \"aws_vpc_endpoint\"",
        "# Before, the main route table of the VPC applied to this subnet.",
        "# Before, the subnet was associated with rtb-",
    ] {
        assert!(main.contains(expected), "{expected}: {main}");
    }
    planned(&aws, &here, "plan");
}

/// A stack without a network on this API.
fn on_api(api: &Value) -> (TestAws, Workplace) {
    let aws = http_api::account(api);
    let here = http_api::workplace(&aws, "prod");
    here.edit(
        "stack: orders",
        "stack: orders\nnetwork: none\ncache: memory",
    );
    here.succeed(&["up", "--yes", "--publish-pending"]);
    aws.check_log();
    (aws, here)
}

/// The block of the resource with this type in main.tf, as Terraform writes it.
fn resource(here: &Workplace, kind: &str, label: &str) -> String {
    let main = read(here, "out/main.tf");
    let begin = format!("resource \"{kind}\" \"{label}\" {{\n");
    let (_, rest) = main.split_once(&begin).expect("the resource");
    let (block, _) = rest.split_once("\n}\n").expect("its end");
    block.to_owned()
}

/// The authorizer and its permission are the stack's. The routes, the stage and its deployments belong to the API.
#[test]
fn terraform_takes_the_authorizer_of_an_http_api_over_without_a_change() {
    for auto_deploy in [true, false] {
        let (aws, here) = on_api(&http_api::rich("prod", auto_deploy));
        here.succeed(&TERRAFORM);
        imports_everything(&here);
        let account = aws.account();
        let id = http_api::id(&account);
        let authorizer = resource(&here, "aws_apigatewayv2_authorizer", "main");
        for expected in [
            &format!("api_id                            = \"{id}\""),
            "authorizer_type                   = \"REQUEST\"",
            "authorizer_uri                    = aws_lambda_alias.authorizer.invoke_arn",
            "identity_sources                  = [\"$request.header.apikey\"]",
            "authorizer_payload_format_version = \"2.0\"",
            "enable_simple_responses           = true",
            "authorizer_result_ttl_in_seconds  = 0",
            "# Routes of the API use the authorizer.",
            "prevent_destroy = true",
        ] {
            assert!(authorizer.contains(expected), "{expected}: {authorizer}");
        }
        let authorizers = http_api::api(&account)["Authorizers"].as_array();
        let mut authorizers = authorizers.expect("a list").iter();
        let ours = authorizers.find(|found| found["Name"] == "threescale-gw-orders-authorizer");
        let ours = ours.expect("it")["AuthorizerId"].as_str().expect("an id");
        let permission = resource(&here, "aws_lambda_permission", "api");
        let source = format!("execute-api:us-east-1:123456789012:{id}/authorizers/{ours}\"");
        assert!(permission.contains(&source), "{permission}");
        let imports = read(&here, "out/imports.tf");
        let import = format!("to = aws_apigatewayv2_authorizer.main\n  id = \"{id}/{ours}\"");
        assert!(imports.contains(&import), "{imports}");
        let main = read(&here, "out/main.tf");
        for foreign in [
            "aws_apigatewayv2_api\"",
            "aws_apigatewayv2_route\"",
            "aws_apigatewayv2_stage\"",
            "aws_apigatewayv2_deployment\"",
            "aws_api_gateway_",
        ] {
            assert!(!main.contains(foreign), "{foreign}: {main}");
        }
        let left = here.succeed(&["export", "--format", "terraform", "-o", "json"]);
        let left = left.json()["left_out"][0].clone();
        let left = left.as_str().expect("a text");
        for expected in [
            "belongs to others: that its routes use the authorizer",
            "Routes: $default (before: NONE), ANY /files/{proxy+} (before: NONE)",
        ] {
            assert!(left.contains(expected), "{expected}: {left}");
        }
        assert!(!left.contains("esponse"), "{left}");
        planned(&aws, &here, if auto_deploy { "apply" } else { "plan" });
        let again = here.run(&["plan", "--exit-code"]);
        assert_eq!(again.code, Some(0), "{}", again.stdout);
    }
}

#[test]
fn terraform_takes_the_authorizer_of_a_websocket_api_over_without_a_change() {
    let (aws, here) = on_api(&chat());
    here.succeed(&TERRAFORM);
    imports_everything(&here);
    let authorizer = resource(&here, "aws_apigatewayv2_authorizer", "main");
    assert!(
        authorizer.contains("identity_sources = [\"route.request.header.apikey\"]"),
        "{authorizer}"
    );
    // API Gateway has these for HTTP APIs alone.
    for other in ["payload_format", "simple_responses", "ttl"] {
        assert!(!authorizer.contains(other), "{authorizer}");
    }
    assert!(read(&here, "out/main.tf").contains("Routes: $connect (before: NONE)."));
    planned(&aws, &here, "plan");
}

fn chat() -> Value {
    json!({
        "protocol": "WEBSOCKET", "name": "orders-api", "routes": [{"key": "$connect"}, {"key": "message"}],
        "stages": [{"name": "prod"}],
    })
}

#[test]
fn a_template_has_the_authorizer_of_an_http_or_websocket_api() {
    for (api, properties) in [
        (
            http_api::rich("prod", true),
            json!({
                "IdentitySource": ["$request.header.apikey"], "AuthorizerPayloadFormatVersion": "2.0",
                "EnableSimpleResponses": true, "AuthorizerResultTtlInSeconds": 0,
            }),
        ),
        (
            chat(),
            json!({"IdentitySource": ["route.request.header.apikey"]}),
        ),
    ] {
        let (aws, here) = on_api(&api);
        here.succeed(&TEMPLATE);
        let template: Value =
            serde_yaml::from_str(&read(&here, "out/template.yaml")).expect("YAML");
        let imports: Vec<Value> =
            serde_json::from_str(&read(&here, "out/resources-to-import.json")).expect("JSON");
        let kinds = template["Resources"]
            .as_object()
            .expect("resources")
            .values();
        let kinds = kinds.filter_map(|found| found["Type"].as_str());
        let of_api: Vec<_> = kinds.filter(|kind| kind.contains("ApiGateway")).collect();
        assert_eq!(of_api, ["AWS::ApiGatewayV2::Authorizer"]);
        let mut found = template["Resources"]["ApiAuthorizerMain"]["Properties"].clone();
        let found = found.as_object_mut().expect("properties");
        let id = http_api::id(&aws.account());
        assert_eq!(found.remove("ApiId"), Some(json!(id)));
        assert_eq!(found.remove("AuthorizerType"), Some(json!("REQUEST")));
        let name = json!("threescale-gw-orders-authorizer");
        assert_eq!(found.remove("Name"), Some(name));
        let uri = found.remove("AuthorizerUri").expect("a URI");
        let uri = uri.as_str().expect("text");
        assert!(
            uri.ends_with(":threescale-gw-orders-authorizer:live/invocations"),
            "{uri}"
        );
        assert_eq!(json!(found), properties);
        let import = imports
            .iter()
            .find(|import| import["LogicalResourceId"] == "ApiAuthorizerMain");
        let identifier = &import.expect("an import")["ResourceIdentifier"];
        assert_eq!(identifier["ApiId"], json!(id));
        assert!(identifier["AuthorizerId"].is_string(), "{identifier}");
    }
}

#[test]
fn a_template_names_every_resource_and_how_to_find_it() {
    let (aws, here) = standing();
    let refused = here.run(&["export", "--format", "cloudformation"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("--out"), "{}", refused.stderr);
    let run = here.succeed(&TEMPLATE);
    assert_eq!(aws.changes(), [""; 0], "an export changes nothing");
    assert!(
        run.stdout.contains("--change-set-type IMPORT"),
        "{}",
        run.stdout
    );
    let text = read(&here, "out/template.yaml");
    has_no_secret(&aws, &all_of(&here.path("out")));
    let template: Value = serde_yaml::from_str(&text).expect("YAML");
    let imports: Vec<Value> =
        serde_json::from_str(&read(&here, "out/resources-to-import.json")).expect("JSON");
    let resources = template["Resources"].as_object().expect("resources");
    let parameters = template["Parameters"].as_object().expect("parameters");
    assert_eq!(imports.len(), resources.len());
    for import in &imports {
        let label = import["LogicalResourceId"].as_str().expect("a label");
        let resource = &resources[label];
        assert_eq!(resource["Type"], import["ResourceType"], "{label}");
        assert_eq!(resource["DeletionPolicy"], "Retain", "{label}");
        let identifier = import["ResourceIdentifier"].as_object().expect("a map");
        assert!(!identifier.is_empty(), "{label}");
        for value in identifier.values() {
            assert!(
                value.as_str().is_some_and(|text| !text.is_empty()),
                "{label}"
            );
        }
    }
    let is_known = |label: &str| resources.contains_key(label) || parameters.contains_key(label);
    let mut referred = 0;
    each(&template["Resources"], &mut |value| {
        let label = value["Ref"].as_str().or(value["Fn::GetAtt"][0].as_str());
        if let Some(label) = label {
            assert!(is_known(label), "{label}");
            referred += 1;
        }
    });
    assert!(referred > 20, "{referred}");
    let function = &resources["LambdaAuthorizer"]["Properties"];
    assert_eq!(
        function["Role"],
        json!({"Fn::GetAtt": ["IamRoleAuthorizer", "Arn"]})
    );
}

/// Calls `visit` with every value.
fn each(value: &Value, visit: &mut impl FnMut(&Value)) {
    visit(value);
    match value {
        Value::Array(list) => list.iter().for_each(|value| each(value, visit)),
        Value::Object(members) => members.values().for_each(|value| each(value, visit)),
        _ => {}
    }
}

#[test]
fn an_export_needs_no_configuration_and_overwrites_nothing() {
    let (aws, here) = standing();
    fs::remove_file(here.path("threescale-gw.yaml")).expect("a configuration");
    let printed = here.succeed(&["export", "--format", "terraform", "--stack", "orders"]);
    assert!(printed.stdout.contains("import {"), "{}", printed.stdout);
    assert!(hcl_edit::parser::parse_body(&printed.stdout).is_ok());
    has_no_secret(&aws, &printed.stdout);
    let by_name: Vec<_> = TERRAFORM.into_iter().chain(["--stack", "orders"]).collect();
    here.succeed(&by_name);
    let written = all_of(&here.path("out"));
    here.write("out/main.tf", b"# mine");
    let refused = here.run(&by_name);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("[file-exists]"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    assert_eq!(read(&here, "out/main.tf"), "# mine");
    let forced: Vec<_> = by_name.iter().copied().chain(["--force"]).collect();
    here.succeed(&forced);
    assert_eq!(all_of(&here.path("out")), written);
    here.write("file", b"");
    let refused = here.run(&[
        "export",
        "--format",
        "terraform",
        "--stack",
        "orders",
        "--out",
        "file/out",
    ]);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    let document = here.succeed(&[
        "export",
        "--format",
        "cloudformation",
        "--stack",
        "orders",
        "-o",
        "json",
    ]);
    let document = document.json();
    assert_eq!(document["format"], "cloudformation");
    assert_eq!(document["files"][0]["name"], "template.yaml");
    assert_eq!(document["warnings"], json!([]));
    assert_eq!(aws.changes(), [""; 0], "an export changes nothing");
}

#[test]
fn what_is_not_as_it_will_be_is_said_and_what_does_not_exist_is_refused() {
    let aws = TestAws::seeded();
    let here = Workplace::new(&aws);
    let refused = here.run(&TERRAFORM);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("there is nothing to export"),
        "{}",
        refused.stderr
    );
    assert!(!here.path("out").exists());
    let unknown = here.run(&["export", "--format", "pulumi"]);
    assert_eq!(unknown.code, Some(2), "{}", unknown.stderr);
    let (aws, here) = standing();
    let elsewhere = Workplace::new(&aws);
    fs::remove_file(elsewhere.path("threescale-gw.yaml")).expect("a configuration");
    let misspelt = elsewhere.run(&["export", "--format", "terraform", "--stack", "ordres"]);
    assert_eq!(misspelt.code, Some(4), "{}", misspelt.stderr);
    assert!(
        misspelt.stderr.contains("did you mean `orders`?"),
        "{}",
        misspelt.stderr
    );
    here.edit(
        "stack: orders",
        "stack: orders\ncache: {node_type: cache.t4g.small}",
    );
    aws.call(
        "logs",
        "DeleteLogGroup",
        json!({"logGroupName": "/aws/lambda/threescale-gw-orders-reporter"}),
    );
    let run = here.succeed(&TERRAFORM);
    let differs = "`threescale-gw up` would change cache/main, log-group/reporter";
    assert!(run.stderr.contains(differs), "{}", run.stderr);
    let main = read(&here, "out/main.tf");
    assert!(main.contains("# WARNING: the stack differs"), "{main}");
    assert!(
        !main.contains("aws_cloudwatch_log_group\" \"reporter"),
        "{main}"
    );
}

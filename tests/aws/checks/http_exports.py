"""API Gateway v2: exports, and custom domain names with what leads from them to APIs."""

from __future__ import annotations

import json
from typing import Any

from .harness import Aws, check
from .http_apis import REQUEST, route_of, seed


def _export(aws: Aws, api_id: str, stage: str | None = None, **more: Any) -> dict[str, Any]:
    of = {"ApiId": api_id, "Specification": "OAS30", "OutputType": "JSON"}
    of |= {"StageName": stage} if stage else {}
    return json.loads(aws.apigatewayv2.export_api(**of, **more)["body"].read())


@check
def exports_of_http_apis(aws: Aws) -> None:
    """Routes with security and integration, schemes of authorizers, CORS, and the route `$default`."""
    routes = [
        {"key": "GET /a/{id}", "authorizer": "theirs"},
        {"key": "POST /a/{id}", "authorization": "JWT", "authorizer": "tokens", "scopes": ["a/b"]},
        {"key": "ANY /iam", "authorization": "AWS_IAM", "target": "https://backend.example.com/"},
        "GET /files/{proxy+}",
        "$default",
    ]
    cors = {"AllowOrigins": ["https://x.example"]}
    api_id = seed(aws, *routes, cors=cors, version="7", tags={"team": "orders"})["api_id"]
    found = _export(aws, api_id)
    assert (found["openapi"], found["info"]) == ("3.0.1", {"title": "orders", "version": "7"})
    assert "servers" not in found and found["x-amazon-apigateway-importexport-version"] == "1.0"
    assert found["tags"] == [{"name": "team", "x-amazon-apigateway-tag-value": "orders"}]
    expected = {"allowCredentials": False, "maxAge": 0, "allowOrigins": ["https://x.example"]}
    assert found["x-amazon-apigateway-cors"] == expected
    paths = found["paths"]
    assert sorted(paths) == ["/$default", "/a/{id}", "/files/{proxy+}", "/iam"]
    get = paths["/a/{id}"]["get"]
    assert get["responses"] == {"default": {"description": "Default response for GET /a/{id}"}}
    assert get["security"] == [{"theirs": []}] and paths["/a/{id}"]["post"]["security"] == [{"tokens": ["a/b"]}]
    assert get["x-amazon-apigateway-integration"] == {
        "payloadFormatVersion": "2.0",
        "type": "aws_proxy",
        "httpMethod": "POST",
        "uri": "arn:aws:lambda:us-east-1:123456789012:function:backend",
        "connectionType": "INTERNET",
    }
    (parameter,) = paths["/files/{proxy+}"]["parameters"]
    assert (parameter["name"], parameter["in"], parameter["required"]) == ("proxy+", "path", True)
    every = paths["/iam"]["x-amazon-apigateway-any-method"]
    assert every["security"] == [{"sigv4": []}]
    assert every["x-amazon-apigateway-integration"]["type"] == "http_proxy"
    default = paths["/$default"]["x-amazon-apigateway-any-method"]
    assert default["isDefaultRoute"] is True and "security" not in default
    schemes = found["components"]["securitySchemes"]
    assert schemes["sigv4"]["x-amazon-apigateway-authtype"] == "awsSigv4"
    assert (schemes["theirs"]["type"], schemes["theirs"]["name"], schemes["theirs"]["in"]) == (
        "apiKey",
        "Authorization",
        "header",
    )
    extension = schemes["theirs"]["x-amazon-apigateway-authorizer"]
    assert extension["identitySource"] == "$request.header.Authorization" and extension["type"] == "request"
    assert extension["authorizerPayloadFormatVersion"] == "2.0" and extension["enableSimpleResponses"] is True
    assert schemes["tokens"]["type"] == "oauth2"
    configuration = {"issuer": "https://issuer.example.com", "audience": ["orders"]}
    assert schemes["tokens"]["x-amazon-apigateway-authorizer"]["jwtConfiguration"] == configuration
    plain = json.dumps(_export(aws, api_id, IncludeExtensions=False))
    assert "-integration" not in plain and "-cors" not in plain and "-authorizer" not in plain
    aws.configure(omit={"ExportApi": ["tags"]}, export_adds={"document": {"x": 1}})
    found = _export(aws, api_id)
    assert "tags" not in found and found["x"] == 1


@check
def exports_of_authorizers_that_no_route_uses(aws: Aws) -> None:
    """They have none of them, unless configured."""
    api_id = seed(aws, "GET /a")["api_id"]
    aws.apigatewayv2.create_authorizer(ApiId=api_id, **REQUEST)
    assert "components" not in _export(aws, api_id)
    aws.configure(http_api={"exported_authorizers": "all"})
    assert list(_export(aws, api_id)["components"]["securitySchemes"]) == ["ours"]
    assert "components" not in _export(aws, api_id, "prod")


@check
def exports_of_the_draft_and_of_a_stage(aws: Aws) -> None:
    """They differ by the edits that wait, and by the servers."""
    made = seed(aws, "GET /a", stages=[{"name": "prod"}, {"name": "$default", "auto_deploy": True}])
    api_id, v2 = made["api_id"], aws.apigatewayv2
    v2.create_stage(ApiId=api_id, StageName="empty")

    def draft_and(stage: str) -> tuple[dict[str, Any], dict[str, Any]]:
        served = _export(aws, api_id, stage)
        server = served.pop("servers")[0]
        assert server["url"] == f"https://{api_id}.execute-api.us-east-1.amazonaws.com/{{basePath}}"
        assert server["variables"]["basePath"]["default"] == ("" if stage == "$default" else stage)
        return _export(aws, api_id), served

    for stage in ("prod", "$default"):
        draft, served = draft_and(stage)
        assert draft == served, stage
    authorizer = v2.create_authorizer(ApiId=api_id, **REQUEST)["AuthorizerId"]
    route = route_of(aws, api_id, "GET /a")["RouteId"]
    v2.update_route(ApiId=api_id, RouteId=route, AuthorizationType="CUSTOM", AuthorizerId=authorizer)
    draft, served = draft_and("prod")
    assert "security" in draft["paths"]["/a"]["get"] and "security" not in served["paths"]["/a"]["get"]
    draft, served = draft_and("$default")
    assert draft == served
    with aws.refused("BadRequestException", "no deployment"):
        _export(aws, api_id, "empty")
    with aws.refused("NotFoundException", "stage"):
        _export(aws, api_id, "none")
    (entry,) = [entry for entry in aws.log() if entry["operation"] == "ExportApi"][:1]
    assert entry["mutating"] is False and entry["iam_resource"].endswith(f"/apis/{api_id}/exports/OAS30")
    with aws.refused("BadRequestException", "HTTP"):
        _export(aws, seed(aws, "$default", protocol="WEBSOCKET")["api_id"])


@check
def domain_names_lead_to_apis_of_both_versions(aws: Aws) -> None:
    """API mappings and routing rules. Each version shows what the other one created, as far as it can."""
    rest = aws.seed_api({"method": "GET", "path": "/a"})["api_id"]
    mappings = [{"stage": "prod"}, {"stage": "prod", "key": "v1/orders"}, {"api": rest, "stage": "prod", "key": "old"}]
    rules = [
        {"base_paths": ["new"], "stage": "prod", "strip_base_path": True, "priority": 20},
        {"headers": {"x-version": "2*"}, "api": rest, "stage": "prod", "priority": 10},
    ]
    domain = {"name": "api.example.com", "mappings": mappings, "rules": rules}
    domain["routing_mode"] = "ROUTING_RULE_THEN_API_MAPPING"
    api = {"protocol": "HTTP", "name": "o", "routes": [{"key": "GET /a"}]}
    made = aws.control("POST", "seed", {"api": api, "domains": [domain]})
    v2, name = aws.apigatewayv2, {"DomainName": "api.example.com"}
    assert set(made["domains"]["api.example.com"]["mappings"]) == {"", "v1/orders", "old"}
    (found,) = v2.get_domain_names()["Items"]
    assert found["RoutingMode"] == "ROUTING_RULE_THEN_API_MAPPING"
    listed = {item["ApiMappingKey"]: item["ApiId"] for item in v2.get_api_mappings(**name)["Items"]}
    assert listed == {"": made["api_id"], "v1/orders": made["api_id"], "old": rest}
    listed_rules = v2.list_routing_rules(**name)["RoutingRules"]
    assert [rule["Priority"] for rule in listed_rules] == [10, 20]
    assert listed_rules[1]["Actions"][0]["InvokeApi"] == {
        "ApiId": made["api_id"],
        "Stage": "prod",
        "StripBasePath": True,
    }
    aws.configure(page_size=1)
    page = v2.list_routing_rules(**name)
    assert len(page["RoutingRules"]) == 1 and page["NextToken"]
    aws.configure(page_size=None)
    (old,) = aws.apigateway.get_domain_names()["items"]
    assert old["routingMode"] == "ROUTING_RULE_THEN_BASE_PATH_MAPPING"
    paths = {item["basePath"] for item in aws.apigateway.get_base_path_mappings(domainName="api.example.com")["items"]}
    assert paths == {"(none)", "old"}
    with aws.refused("ConflictException", "already exists"):
        v2.create_api_mapping(**name, ApiId=rest, Stage="prod", ApiMappingKey="old")
    with aws.refused("BadRequestException", "Invalid API"):
        v2.create_api_mapping(**name, ApiId="none", Stage="prod", ApiMappingKey="x")
    rule = {"Actions": listed_rules[0]["Actions"], "Conditions": []}
    with aws.refused("ConflictException", "priority"):
        v2.create_routing_rule(**name, **rule, Priority=20)
    of = {**name, "RoutingRuleId": listed_rules[0]["RoutingRuleId"]}
    assert v2.put_routing_rule(**of, **rule, Priority=30)["Priority"] == 30
    assert v2.get_routing_rule(**of)["Priority"] == 30
    v2.delete_routing_rule(**of)
    with aws.refused("NotFoundException"):
        v2.get_routing_rule(**of)
    aws.apigateway.create_domain_name(domainName="old.example.com", endpointConfiguration={"types": ["REGIONAL"]})
    aws.apigateway.create_base_path_mapping(domainName="old.example.com", restApiId=rest, stage="prod")
    (mapping,) = v2.get_api_mappings(DomainName="old.example.com")["Items"]
    assert (mapping["ApiId"], mapping["ApiMappingKey"], mapping["Stage"]) == (rest, "", "prod")
    assert [one["DomainName"] for one in aws.account()["domain_names"]] == ["api.example.com", "old.example.com"]
    v2.delete_api_mapping(**name, ApiMappingId=made["domains"]["api.example.com"]["mappings"]["old"])
    v2.delete_domain_name(**name)
    with aws.refused("NotFoundException"):
        v2.get_domain_name(**name)

"""API Gateway: the content of a stage's export and of embedded methods."""

from __future__ import annotations

import json
from typing import Any

from .api import URI, _authorizer, _method, _patch
from .harness import Aws, check

BACKEND = {
    "type": "HTTP",
    "integrationHttpMethod": "POST",
    "uri": "https://backend.example.com/orders",
    "credentials": "arn:aws:iam::123456789012:role/backend",
    "connectionType": "VPC_LINK",
    "connectionId": "abc123",
    "requestTemplates": {"application/json": "$input.body"},
    "requestParameters": {"integration.request.header.a": "method.request.header.a"},
    "passthroughBehavior": "NEVER",
    "timeoutInMillis": 5000,
    "contentHandling": "CONVERT_TO_TEXT",
    "cacheKeyParameters": ["method.request.header.a"],
}


def _export(aws: Aws, api: str, kind: str = "swagger", **more: Any) -> dict[str, Any]:
    found = aws.apigateway.get_export(
        restApiId=api, stageName="prod", exportType=kind, accepts="application/json", **more
    )
    assert found["contentType"] == "application/octet-stream", found
    assert found["contentDisposition"].startswith(f'attachment; filename="{kind}_'), found
    return json.loads(found["body"].read())


def _rich(aws: Aws) -> dict[str, Any]:
    api = aws.seed_api(
        {"method": "GET", "path": "/a", "api_key_required": True, "operation_name": "op"},
        {"method": "ANY", "path": "/all/{proxy+}", "authorizer": "own"},
        {"method": "GET", "path": "/iam", "authorization_type": "AWS_IAM"},
        {
            "method": "GET",
            "path": "/u",
            "authorizer": "pool",
            "authorization_type": "COGNITO_USER_POOLS",
            "scopes": ["a/b"],
        },
    )
    of = _method(aws, api)
    aws.apigateway.put_integration(**of, **BACKEND)
    for status, pattern in (("200", ""), ("404", "4\\d\\d")):
        aws.apigateway.put_integration_response(
            **of,
            statusCode=status,
            selectionPattern=pattern,
            responseTemplates={"application/json": "x"},
            responseParameters={"method.response.header.b": "'1'"},
        )
    return api


@check
def embedded_methods_are_whole(aws: Aws) -> None:
    """GetResources returns integrations with their responses and AWS's defaults, and method responses."""
    api = _rich(aws)
    items = aws.apigateway.get_resources(restApiId=api["api_id"], embed=["methods"])["items"]
    methods = {item["path"]: item.get("resourceMethods", {}) for item in items}
    integration = methods["/a"]["GET"]["methodIntegration"]
    assert integration.pop("cacheNamespace") == api["methods"][0]["resource_id"]
    assert integration.pop("integrationResponses")["404"] == {
        "statusCode": "404",
        "selectionPattern": "4\\d\\d",
        "responseTemplates": {"application/json": "x"},
        "responseParameters": {"method.response.header.b": "'1'"},
    }
    assert integration == {**{k: v for k, v in BACKEND.items() if k != "integrationHttpMethod"}, "httpMethod": "POST"}
    mock = methods["/iam"]["GET"]["methodIntegration"]
    assert (mock["passthroughBehavior"], mock["timeoutInMillis"], mock["type"]) == ("WHEN_NO_MATCH", 29000, "MOCK")
    assert "httpMethod" not in mock and mock["cacheKeyParameters"] == []
    assert methods["/iam"]["GET"]["methodResponses"] == {"200": {"statusCode": "200"}}
    of = _method(aws, api)
    assert aws.apigateway.get_integration(**of)["connectionId"] == "abc123"
    aws.apigateway.update_integration(**of, patchOperations=_patch(uri="https://other.example.com"))
    assert aws.apigateway.get_method(**of)["methodIntegration"]["uri"] == "https://other.example.com"
    with aws.refused("BadRequestException"):
        aws.apigateway.update_integration(**of, patchOperations=_patch(color="red"))


@check
def empty_templates_are_null(aws: Aws) -> None:
    """Empty templates are null in every response that contains them. An export omits them."""
    api = aws.seed_api({"method": "GET", "path": "/a"})
    of, empty = _method(aws, api), {"application/json": ""}
    null = {"application/json": None}
    put = aws.apigateway.put_integration(**of, type="MOCK", requestTemplates=empty)
    assert put["requestTemplates"] == null
    made = aws.apigateway.put_integration_response(**of, statusCode="200", responseTemplates=empty)
    assert made["responseTemplates"] == null
    items = aws.apigateway.get_resources(restApiId=api["api_id"], embed=["methods"])["items"]
    listed = next(item["resourceMethods"]["GET"] for item in items if item["path"] == "/a")
    updated = aws.apigateway.update_method(**of, patchOperations=_patch(apiKeyRequired="true"))
    for method in (listed, updated, aws.apigateway.get_method(**of)):
        integration = method["methodIntegration"]
        assert integration["requestTemplates"] == null
        assert integration["integrationResponses"]["200"]["responseTemplates"] == null
    aws.apigateway.create_deployment(restApiId=api["api_id"], stageName="prod")
    found = _export(aws, api["api_id"], parameters={"extensions": "apigateway"})
    assert found["paths"]["/a"]["get"]["x-amazon-apigateway-integration"] == {
        "type": "mock",
        "passthroughBehavior": "when_no_match",
        "responses": {"default": {"statusCode": "200"}},
    }


@check
def export_shows_the_deployment(aws: Aws) -> None:
    """An export shows the deployment and not the draft, with integrations and authorizers as AWS's extensions."""
    api = _rich(aws)
    extensions = {"parameters": {"extensions": "apigateway"}}
    before = _export(aws, api["api_id"], **extensions)
    assert before["paths"]["/a"]["get"]["x-amazon-apigateway-integration"]["type"] == "mock"
    aws.apigateway.create_deployment(restApiId=api["api_id"], stageName="prod")
    found = _export(aws, api["api_id"], **extensions)
    assert (found["swagger"], found["basePath"], found["schemes"]) == ("2.0", "/prod", ["https"])
    assert set(found["paths"]) == {"/a", "/all/{proxy+}", "/iam", "/u"}
    get = found["paths"]["/a"]["get"]
    assert get["operationId"] == "op" and get["responses"] == {"200": {"description": "200 response"}}
    assert get["security"] == [{"api_key": []}]
    response = {
        "responseParameters": {"method.response.header.b": "'1'"},
        "responseTemplates": {"application/json": "x"},
    }
    assert get["x-amazon-apigateway-integration"] == {
        **{k: v for k, v in BACKEND.items() if k != "integrationHttpMethod"},
        "httpMethod": "POST",
        "type": "http",
        "passthroughBehavior": "never",
        "cacheNamespace": api["methods"][0]["resource_id"],
        "responses": {
            "default": {"statusCode": "200", **response},
            "4\\d\\d": {"statusCode": "404", **response},
        },
    }
    assert found["paths"]["/all/{proxy+}"]["x-amazon-apigateway-any-method"]["security"] == [{"own": []}]
    mock = found["paths"]["/iam"]["get"]["x-amazon-apigateway-integration"]
    assert set(mock) == {"type", "passthroughBehavior", "requestTemplates", "responses"}, mock
    assert found["paths"]["/iam"]["get"]["security"] == [{"sigv4": []}]
    assert found["paths"]["/u"]["get"]["security"] == [{"pool": ["a/b"]}]
    schemes = found["securityDefinitions"]
    assert schemes["api_key"] == {"type": "apiKey", "name": "x-api-key", "in": "header"}
    assert schemes["sigv4"]["x-amazon-apigateway-authtype"] == "awsSigv4"
    assert schemes["pool"]["x-amazon-apigateway-authtype"] == "cognito_user_pools"
    assert schemes["own"]["x-amazon-apigateway-authtype"] == "custom" and schemes["own"]["name"] == "Authorization"
    assert schemes["own"]["x-amazon-apigateway-authorizer"] == {
        "type": "request",
        "authorizerUri": URI.replace("function:f/", "function:own/"),
        "identitySource": "method.request.header.Authorization",
        "authorizerResultTtlInSeconds": 300,
    }
    ours = _authorizer(aws, api["api_id"])
    aws.apigateway.update_method(
        **_method(aws, api), patchOperations=_patch(authorizationType="CUSTOM", authorizerId=ours)
    )
    aws.apigateway.delete_method(**_method(aws, api, 2))
    assert _export(aws, api["api_id"], **extensions) == found
    aws.apigateway.update_stage(
        restApiId=api["api_id"], stageName="prod", patchOperations=_patch(deploymentId=api["deployment_id"])
    )
    assert _export(aws, api["api_id"], **extensions) == before
    assert not any(entry["model_errors"] for entry in aws.log() if entry["operation"] == "GetExport")


@check
def export_takes_parameters(aws: Aws) -> None:
    """Each extension by itself, both export types, and parameters that are refused."""
    api = _rich(aws)["api_id"]
    plain = json.dumps(_export(aws, api))
    assert "-integration" not in plain and "-authorizer" not in plain
    integrations = json.dumps(_export(aws, api, parameters={"extensions": "integrations"}))
    assert "x-amazon-apigateway-integration" in integrations and "x-amazon-apigateway-authorizer" not in integrations
    authorizers = json.dumps(_export(aws, api, parameters={"extensions": "authorizers"}))
    assert "x-amazon-apigateway-integration" not in authorizers and "x-amazon-apigateway-authorizer" in authorizers
    both = _export(aws, api, parameters={"extensions": "integrations,authorizers"})
    assert both == _export(aws, api, parameters={"extensions": "apigateway"})
    three = _export(aws, api, "oas30", parameters={"extensions": "apigateway"})
    assert three["openapi"] == "3.0.1" and three["servers"][0]["variables"] == {"basePath": {"default": "prod"}}
    assert three["components"]["securitySchemes"] == both["securityDefinitions"]
    assert three["paths"]["/a"]["get"]["responses"]["200"] == {"description": "200 response", "content": {}}
    with aws.refused("BadRequestException", "No API exporter for type 'raml'"):
        _export(aws, api, "raml")
    with aws.refused("NotFoundException", "Invalid stage identifier specified"):
        aws.apigateway.get_export(restApiId=api, stageName="none", exportType="swagger")


@check
def export_shows_settings(aws: Aws) -> None:
    """Models, validators, and the API's own settings as of the deployment."""
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*"}]}
    api = aws.apigateway.create_rest_api(
        name="set",
        policy=json.dumps(policy),
        minimumCompressionSize=0,
        apiKeySource="AUTHORIZER",
        binaryMediaTypes=["image/png"],
    )["id"]
    root = aws.apigateway.get_resources(restApiId=api)["items"][0]["id"]
    validator = aws.apigateway.create_request_validator(restApiId=api, name="body", validateRequestBody=True)["id"]
    for name, schema in (
        ("Pet", {"type": "object"}),
        ("Pets", {"type": "array", "items": {"$ref": "https://apigateway.amazonaws.com/restapis/x/models/Pet"}}),
    ):
        aws.apigateway.create_model(restApiId=api, name=name, contentType="application/json", schema=json.dumps(schema))
    of = {"restApiId": api, "resourceId": root, "httpMethod": "POST"}
    aws.apigateway.put_method(
        **of,
        authorizationType="NONE",
        requestValidatorId=validator,
        requestModels={"application/json": "Pet"},
        requestParameters={"method.request.querystring.q": True},
    )
    aws.apigateway.put_method_response(
        **of,
        statusCode="200",
        responseModels={"application/json": "Pets"},
        responseParameters={"method.response.header.h": False},
    )
    aws.apigateway.put_integration(**of, type="MOCK")
    aws.apigateway.create_deployment(restApiId=api, stageName="prod")
    found = _export(aws, api, parameters={"extensions": "apigateway"})
    assert found["x-amazon-apigateway-policy"] == policy
    assert found["x-amazon-apigateway-minimum-compression-size"] == 0
    assert found["x-amazon-apigateway-api-key-source"] == "AUTHORIZER"
    assert found["x-amazon-apigateway-binary-media-types"] == ["image/png"]
    assert found["x-amazon-apigateway-request-validators"] == {
        "body": {"validateRequestBody": True, "validateRequestParameters": False}
    }
    assert found["definitions"]["Pets"]["items"] == {"$ref": "#/definitions/Pet"}
    post = found["paths"]["/"]["post"]
    assert post["x-amazon-apigateway-request-validator"] == "body"
    assert post["parameters"] == [
        {"name": "q", "in": "query", "required": True, "type": "string"},
        {"in": "body", "name": "Pet", "required": True, "schema": {"$ref": "#/definitions/Pet"}},
    ]
    assert post["responses"]["200"] == {
        "description": "200 response",
        "headers": {"h": {"type": "string"}},
        "schema": {"$ref": "#/definitions/Pets"},
    }
    assert "x-amazon-apigateway-policy" not in _export(aws, api)
    patch = [{"op": "replace", "path": "/schema", "value": '{"type": "string"}'}]
    aws.apigateway.update_model(restApiId=api, modelName="Pet", patchOperations=patch)
    assert aws.apigateway.get_model(restApiId=api, modelName="Pet")["schema"] == '{"type": "string"}'
    assert _export(aws, api)["definitions"]["Pet"] == {"type": "object"}
    aws.apigateway.delete_method(**of)
    aws.apigateway.delete_model(restApiId=api, modelName="Pets")
    assert _export(aws, api, parameters={"extensions": "apigateway"}) == found


@check
def export_has_nothing_empty(aws: Aws) -> None:
    """Neither responses nor types of a method without any; of the models only those that methods lead to."""
    api = aws.seed_api(
        {"method": "GET", "path": "/a", "integration": {"type": "MOCK"}},
        {"method": "ANY", "path": "/b", "integration": {"type": "HTTP_PROXY"}},
        {"method": "POST", "path": "/c", "response_models": {"application/json": "Pets"}},
        models=[
            {"name": "Unused"},
            {"name": "Pet"},
            {
                "name": "Pets",
                "schema": {"items": {"$ref": "https://apigateway.amazonaws.com/restapis/x/models/Pet"}},
            },
        ],
    )
    of = _method(aws, api)
    html = {"text/html": "<p>"}
    aws.apigateway.put_integration_response(**of, statusCode="200", responseTemplates=html)
    aws.apigateway.create_deployment(restApiId=api["api_id"], stageName="prod")
    found = _export(aws, api["api_id"], parameters={"extensions": "apigateway"})
    assert found["paths"]["/a"]["get"]["produces"] == ["text/html"]
    assert set(found["paths"]["/b"]["x-amazon-apigateway-any-method"]) == {"x-amazon-apigateway-integration"}
    assert set(found["definitions"]) == {"Pet", "Pets"}


@check
def export_can_have_more_or_less(aws: Aws) -> None:
    """Exports have additional fields in all or some methods, and lack the fields that are omitted."""
    api = _rich(aws)
    aws.apigateway.create_deployment(restApiId=api["api_id"], stageName="prod")
    extensions = {"parameters": {"extensions": "apigateway"}}
    before = _export(aws, api["api_id"], **extensions)
    adds = {
        "integration": {"responseTransferMode": "BUFFERED"},
        "method": {"x-new": 1},
        "authorizer": {"x-newer": [2]},
        "document": {"x-amazon-apigateway-endpoint-access-mode": "BASIC"},
    }
    aws.configure(export_adds={**adds, "methods": ["GET /a"]})
    found = _export(aws, api["api_id"], **extensions)
    a, iam = found["paths"]["/a"]["get"], found["paths"]["/iam"]["get"]
    assert a["x-amazon-apigateway-integration"]["responseTransferMode"] == "BUFFERED" and a["x-new"] == 1
    assert "responseTransferMode" not in iam["x-amazon-apigateway-integration"] and "x-new" not in iam
    assert found["securityDefinitions"]["own"]["x-amazon-apigateway-authorizer"]["x-newer"] == [2]
    assert found["x-amazon-apigateway-endpoint-access-mode"] == "BASIC"
    assert "x-new" not in json.dumps(_export(aws, api["api_id"]))
    ttl = "authorizerResultTtlInSeconds"
    aws.configure(export_adds={name: {} for name in ("integration", "method", "authorizer", "document")})
    aws.configure(omit={"GetExport": [ttl], "GetAuthorizers": [ttl]})
    assert ttl in json.dumps(before) and ttl not in json.dumps(_export(aws, api["api_id"], **extensions))
    for one in aws.apigateway.get_authorizers(restApiId=api["api_id"])["items"]:
        assert ttl not in one and ttl in aws.apigateway.get_authorizer(restApiId=api["api_id"], authorizerId=one["id"])


@check
def authorizers_can_be_imported_ones(aws: Aws) -> None:
    """Without a TTL, which neither the listing nor the export shows then; beside others that have one."""
    api = aws.seed_api(
        {"method": "GET", "path": "/a", "authorizer": "own"},
        {"method": "GET", "path": "/b", "authorizer": "other"},
        authorizers={"own": {"type": "TOKEN", "authType": "oauth2", "authorizerResultTtlInSeconds": None}},
    )["api_id"]
    found = {one["name"]: one for one in aws.apigateway.get_authorizers(restApiId=api)["items"]}
    assert "authorizerResultTtlInSeconds" not in found["own"] and found["own"]["authType"] == "oauth2"
    assert found["other"]["authorizerResultTtlInSeconds"] == 300
    schemes = _export(aws, api, parameters={"extensions": "apigateway"})["securityDefinitions"]
    ttl = {
        name: one["x-amazon-apigateway-authorizer"].get("authorizerResultTtlInSeconds") for name, one in schemes.items()
    }
    assert ttl == {"own": None, "other": 300} and schemes["own"]["x-amazon-apigateway-authtype"] == "oauth2"

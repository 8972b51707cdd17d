"""API Gateway: gateway responses."""

from __future__ import annotations

import json
from typing import Any

from .harness import Aws, check

TEMPLATES = {"application/json": '{"message":$context.error.messageString}'}
HEADERS = {"gatewayresponse.header.x-a": "method.request.header.Accept"}


def _put(aws: Aws, api: str, kind: str = "MISSING_AUTHENTICATION_TOKEN", **more: Any) -> dict[str, Any]:
    return _bare(aws.apigateway.put_gateway_response(restApiId=api, responseType=kind, **more))


def _get(aws: Aws, api: str, kind: str = "MISSING_AUTHENTICATION_TOKEN") -> dict[str, Any]:
    return _bare(aws.apigateway.get_gateway_response(restApiId=api, responseType=kind))


def _bare(reply: dict[str, Any]) -> dict[str, Any]:
    reply.pop("ResponseMetadata")
    return reply


@check
def gateway_responses(aws: Aws) -> None:
    """Create, read, and reset. All types are listed at once, and defaults of a class apply to its types."""
    api = aws.seed_api({"method": "GET", "path": "/a"})["api_id"]
    untouched = aws.account()
    default = {
        "responseType": "MISSING_AUTHENTICATION_TOKEN",
        "statusCode": "403",
        "responseParameters": {},
        "responseTemplates": TEMPLATES,
        "defaultResponse": True,
    }
    assert _get(aws, api) == default
    own = {**default, "defaultResponse": False}
    assert _put(aws, api, statusCode="404") == {**own, "statusCode": "404"}
    assert _put(aws, api, responseParameters=HEADERS) == {**own, "responseParameters": HEADERS}
    assert _get(aws, api) == {**own, "responseParameters": HEADERS}
    assert [one["responseType"] for one in aws.account()["rest_apis"][0]["gateway_responses"]] == [
        "MISSING_AUTHENTICATION_TOKEN"
    ]
    listed = aws.apigateway.get_gateway_responses(restApiId=api, limit=3)
    assert len(listed["items"]) == 21 and "position" not in listed
    assert sum(not one["defaultResponse"] for one in listed["items"]) == 1
    assert "statusCode" not in next(one for one in listed["items"] if one["responseType"] == "DEFAULT_4XX")
    templates = {"application/json": "{}"}
    _put(aws, api, "DEFAULT_5XX", statusCode="599", responseParameters=HEADERS, responseTemplates=templates)
    assert _get(aws, api, "AUTHORIZER_FAILURE") == {
        "responseType": "AUTHORIZER_FAILURE",
        "statusCode": "599",
        "responseParameters": HEADERS,
        "responseTemplates": templates,
        "defaultResponse": True,
    }
    assert _get(aws, api, "UNAUTHORIZED")["statusCode"] == "401"
    for kind in ("DEFAULT_5XX", "MISSING_AUTHENTICATION_TOKEN"):
        aws.apigateway.delete_gateway_response(restApiId=api, responseType=kind)
    assert _get(aws, api) == default and aws.account() == untouched
    with aws.refused("NotFoundException", "Gateway response type not defined on api"):
        aws.apigateway.delete_gateway_response(restApiId=api, responseType="DEFAULT_5XX")
    for name in ("get_gateway_response", "delete_gateway_response", "put_gateway_response"):
        with aws.refused("NotFoundException", "Invalid API identifier specified"):
            getattr(aws.apigateway, name)(restApiId="none", responseType="DEFAULT_4XX")


@check
def gateway_responses_are_checked(aws: Aws) -> None:
    """Types, status codes, parameters, and their sources are checked."""
    api = aws.seed_api({"method": "GET", "path": "/a"})["api_id"]
    before = aws.account()
    for code, kind, more in (
        ("ValidationException", "FAKE", {}),
        ("ValidationException", "UNAUTHORIZED", {"statusCode": "4010"}),
        ("ValidationException", "UNAUTHORIZED", {"statusCode": "600"}),
        ("BadRequestException", "UNAUTHORIZED", {"responseParameters": {"method.response.header.a": "'1'"}}),
        ("BadRequestException", "UNAUTHORIZED", {"responseParameters": {"gatewayresponse.header.a": "1"}}),
        ("BadRequestException", "UNAUTHORIZED", {"responseParameters": {"gatewayresponse.header.a": "$context.a"}}),
        ("BadRequestException", "UNAUTHORIZED", {"responseTemplates": {"json": "{}"}}),
    ):
        with aws.refused(code):
            _put(aws, api, kind, **more)
    with aws.refused("ValidationException", "enum value set: [REQUEST_TOO_LARGE, RESOURCE_NOT_FOUND, AUTHORIZER_"):
        aws.apigateway.delete_gateway_response(restApiId=api, responseType="FAKE_RESPONSE_TYPE")
    assert aws.account() == before


@check
def gateway_responses_are_patched(aws: Aws) -> None:
    """Each path accepts the operations that AWS accepts, all or nothing."""
    api = aws.seed_api({"method": "GET", "path": "/a"})["api_id"]

    def patch(*operations: tuple[str, ...]) -> dict[str, Any]:
        names = ("op", "path", "value")
        patches = [dict(zip(names, operation, strict=False)) for operation in operations]
        return aws.apigateway.update_gateway_response(
            restApiId=api, responseType="DEFAULT_4XX", patchOperations=patches
        )

    changed = patch(
        ("replace", "/statusCode", "444"),
        ("add", "/responseParameters/gatewayresponse.header.x-a", "'1'"),
        ("add", "/responseTemplates/application~1xml", "<a/>"),
        ("remove", "/responseTemplates/application~1json"),
    )
    assert changed["statusCode"] == "444" and changed["defaultResponse"] is False
    assert changed["responseTemplates"] == {"application/xml": "<a/>"}
    assert changed["responseParameters"] == {"gatewayresponse.header.x-a": "'1'"}
    before = aws.account()
    for code, text, operation in (
        ("BadRequestException", "Invalid patch path /statusCode", ("add", "/statusCode", "1")),
        ("BadRequestException", "Invalid patch path /color", ("replace", "/color", "1")),
        ("BadRequestException", "Invalid null or empty value in responseTemplates", ("add", "/responseTemplates/a~1b")),
        ("BadRequestException", "Invalid null or empty value", ("replace", "/responseTemplates/application~1xml", "")),
        ("BadRequestException", "Invalid patch path null", ("replace", None)),
        ("NotFoundException", "Invalid parameter name", ("replace", "/responseParameters/x", "'1'")),
        ("NotFoundException", "Invalid parameter name", ("remove", "/responseParameters/x")),
        ("ValidationException", "enum value set", ("wrong", "/statusCode", "1")),
        ("ValidationException", "regular expression", ("replace", "/statusCode", "abc")),
    ):
        with aws.refused(code, text):
            patch(("replace", "/statusCode", "445"), operation)
    assert aws.account() == before


@check
def gateway_responses_are_deployed(aws: Aws) -> None:
    """They are part of the snapshot and of its export, which omits the defaults of a class."""
    api = aws.seed_api({"method": "GET", "path": "/a"})["api_id"]
    headers = {"gatewayresponse.header.x-a": "'1'"}
    for kind in ("UNAUTHORIZED", "DEFAULT_4XX"):
        _put(aws, api, kind, responseParameters=headers)
    _put(aws, api, "DEFAULT_5XX", statusCode="599", responseTemplates={"application/json": "{}"})
    assert _get(aws, api, "DEFAULT_4XX")["responseTemplates"] == TEMPLATES
    aws.apigateway.create_deployment(restApiId=api, stageName="prod")
    aws.apigateway.delete_gateway_response(restApiId=api, responseType="UNAUTHORIZED")
    found = aws.apigateway.get_export(
        restApiId=api, stageName="prod", exportType="oas30", parameters={"extensions": "apigateway"}
    )
    assert json.loads(found["body"].read())["x-amazon-apigateway-gateway-responses"] == {
        "UNAUTHORIZED": {"statusCode": 401, "responseParameters": headers, "responseTemplates": TEMPLATES},
        "DEFAULT_4XX": {"responseParameters": headers},
        "DEFAULT_5XX": {"statusCode": 599, "responseTemplates": {"application/json": "{}"}},
    }

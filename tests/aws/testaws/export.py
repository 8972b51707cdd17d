"""API Gateway (REST): the OpenAPI export of a stage, from the snapshot of its deployment."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any
from urllib.parse import parse_qs

from moto.apigateway.models import RestAPI

from .apigateway import api_of, bad_request
from .errors import Unimplemented
from .gateway import operation
from .gateway_responses import exported
from .stages import stage_of
from .wire import Call, Response, dns_suffix
from .account_state import World

PREFIX = "x-amazon-apigateway"
_PLACES = {"querystring": "query", "header": "header", "path": "path"}


@operation("apigateway", "GetExport")
def get_export(world: World, call: Call) -> Any:
    api = api_of(call)
    stage = stage_of(call, api)
    kind = call.params["exportType"]
    if kind not in ("swagger", "oas30"):
        raise bad_request(f"No API exporter for type '{kind}'")
    if "yaml" in call.raw.headers.get("accept", ""):
        raise Unimplemented("apigateway:GetExport as YAML")
    extensions = {name.strip() for given in parse_qs(call.raw.query).get("extensions", []) for name in given.split(",")}
    snapshot = api.deployments[stage.deployment_id].snapshot
    document = _Export(api, snapshot, kind, extensions, world.config["export_adds"]).document(stage.name)
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f'attachment; filename="{kind}_{document["info"]["version"]}.json"',
    }
    return Response(200, headers, json.dumps(document, indent=2).encode())


class _Export:
    def __init__(
        self, api: RestAPI, snapshot: dict[str, Any], kind: str, extensions: set[str], adds: dict[str, Any]
    ) -> None:
        self.api = api
        self.snapshot = snapshot
        self.swagger = kind == "swagger"
        self.integrations = bool(extensions & {"integrations", "apigateway"})
        self.authorizers = bool(extensions & {"authorizers", "apigateway"})
        self.adds = adds  # what newer exports have besides, by the part they have it in
        self.schemes: dict[str, Any] = {}

    def document(self, stage: str) -> dict[str, Any]:
        paths = {
            path: {self._verb(verb): self._operation(one, f"{verb} {path}") for verb, one in sorted(verbs.items())}
            for path, verbs in sorted(self.snapshot["methods"].items())
        }
        models = self._models()
        created = datetime.datetime.fromtimestamp(self.api.create_date, datetime.UTC)
        version = created.strftime("%Y-%m-%dT%H:%M:%SZ") if self.api.version == "V1" else self.api.version
        info = {"title": self.api.name, "version": version}
        if self.api.description:
            info["description"] = self.api.description
        host = f"{self.api.id}.execute-api.{self.api.region_name}.{dns_suffix(self.api.region_name)}"
        if self.swagger:
            found: dict[str, Any] = {
                "swagger": "2.0",
                "info": info,
                "host": host,
                "basePath": f"/{stage}",
                "schemes": ["https"],
                "paths": paths,
            }
            found |= {"securityDefinitions": self.schemes} if self.schemes else {}
            found |= {"definitions": models} if models else {}
        else:
            server = {"url": f"https://{host}/{{basePath}}", "variables": {"basePath": {"default": stage}}}
            components = {"schemas": models} if models else {}
            components |= {"securitySchemes": self.schemes} if self.schemes else {}
            found = {
                "openapi": "3.0.1",
                "info": info,
                "servers": [server],
                "paths": paths,
                "components": components,
            }
        if self.integrations:
            found |= self._settings()
            found |= self.adds.get("document", {})
        return found

    def _models(self) -> dict[str, Any]:
        """Those that a method names, and those that these name in turn."""
        methods = [method for verbs in self.snapshot["methods"].values() for method in verbs.values()]
        names = [name for method in methods for name in method.get("requestModels", {}).values()]
        names += [
            name
            for method in methods
            for response in method.get("methodResponses", {}).values()
            for name in response.get("responseModels", {}).values()
        ]
        found: dict[str, Any] = {}
        while names:
            name = names.pop(0)
            model = self.snapshot["models"].get(name)
            if model is None or name in found:
                continue
            found[name] = self._schema(json.loads(model.get("schema") or "{}"))
            names += re.findall(r'"\$ref": "#/[a-z/]+/([^"]+)"', json.dumps(found[name]))
        return found

    @staticmethod
    def _verb(verb: str) -> str:
        return f"{PREFIX}-any-method" if verb == "ANY" else verb.lower()

    def _reference(self, model: str) -> dict[str, str]:
        return {"$ref": f"#/{'definitions' if self.swagger else 'components/schemas'}/{model}"}

    def _schema(self, schema: Any) -> Any:
        """A model's schema, with references to other models rewritten for the document."""
        if isinstance(schema, list):
            return [self._schema(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        return {
            name: self._reference(value.rpartition("/")[2])["$ref"]
            if name == "$ref" and isinstance(value, str)
            else self._schema(value)
            for name, value in schema.items()
            if name != "$schema"
        }

    def _settings(self) -> dict[str, Any]:
        """The settings of the whole API, without defaults."""
        settings = self.snapshot["settings"]
        found: dict[str, Any] = {}
        if self.snapshot["gateway_responses"]:
            found[f"{PREFIX}-gateway-responses"] = {
                kind: exported(kind, response) for kind, response in self.snapshot["gateway_responses"].items()
            }
        if self.snapshot["request_validators"]:
            found[f"{PREFIX}-request-validators"] = {
                validator["name"]: {
                    "validateRequestParameters": bool(validator.get("validateRequestParameters")),
                    "validateRequestBody": bool(validator.get("validateRequestBody")),
                }
                for validator in self.snapshot["request_validators"].values()
            }
        if settings.get("policy"):
            found[f"{PREFIX}-policy"] = json.loads(settings["policy"])
        if settings.get("apiKeySource", "HEADER") != "HEADER":
            found[f"{PREFIX}-api-key-source"] = settings["apiKeySource"]
        if settings.get("minimumCompressionSize") is not None:
            found[f"{PREFIX}-minimum-compression-size"] = settings["minimumCompressionSize"]
        if settings.get("binaryMediaTypes"):
            found[f"{PREFIX}-binary-media-types"] = settings["binaryMediaTypes"]
        return found

    def _operation(self, method: dict[str, Any], label: str) -> dict[str, Any]:
        integration = method.get("methodIntegration")
        found: dict[str, Any] = {}
        if method.get("operationName"):
            found["operationId"] = method["operationName"]
        found |= self._request(method)
        responses = method.get("methodResponses", {})
        if responses:
            found["responses"] = {status: self._response(status, response) for status, response in responses.items()}
        security = self._security(method)
        if security:
            found["security"] = security
        if self.integrations:
            validator = self.snapshot["request_validators"].get(method.get("requestValidatorId"))
            if validator:
                found[f"{PREFIX}-request-validator"] = validator["name"]
            if integration:
                found[f"{PREFIX}-integration"] = _integration(integration, self.snapshot["resources"].values())
            if label in self.adds.get("methods", [label]):
                found |= self.adds.get("method", {})
                found.get(f"{PREFIX}-integration", {}).update(self.adds.get("integration", {}))
        return found

    def _request(self, method: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        text: dict[str, Any] = {"type": "string"} if self.swagger else {"schema": {"type": "string"}}
        parameters = [
            {"name": parts[3], "in": _PLACES[parts[2]], "required": bool(required), **text}
            for parts, required in (
                (name.split(".", 3), required) for name, required in method.get("requestParameters", {}).items()
            )
            if parts[2] in _PLACES
        ]
        models = method.get("requestModels", {})
        if self.swagger:
            responses = method.get("methodResponses", {})
            integration = method.get("methodIntegration", {}) if responses else {}
            consumes = {*models, *integration.get("requestTemplates", {})}
            produces = {kind for response in responses.values() for kind in response.get("responseModels", {})}
            for response in integration.get("integrationResponses", {}).values():
                produces |= set(response.get("responseTemplates", {}))
            found |= {"consumes": sorted(consumes)} if consumes else {}
            found |= {"produces": sorted(produces)} if produces else {}
            parameters += [
                {"in": "body", "name": model, "required": True, "schema": self._reference(model)}
                for model in sorted(set(models.values()))
            ]
        elif models:
            content = {kind: {"schema": self._reference(model)} for kind, model in models.items()}
            found["requestBody"] = {"content": content, "required": True}
        return {"parameters": parameters, **found} if parameters else found

    def _response(self, status: str, response: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {"description": f"{status} response"}
        text: dict[str, Any] = {"type": "string"} if self.swagger else {"schema": {"type": "string"}}
        headers = {name.split(".", 3)[3]: text for name in response.get("responseParameters", {})}
        if headers:
            found["headers"] = headers
        models = response.get("responseModels", {})
        if not self.swagger:
            found["content"] = {kind: {"schema": self._reference(model)} for kind, model in models.items()}
        elif models:
            found["schema"] = self._reference(next(iter(models.values())))
        return found

    def _security(self, method: dict[str, Any]) -> list[dict[str, list[str]]]:
        security: list[dict[str, list[str]]] = []
        authorizer = self.snapshot["authorizers"].get(method.get("authorizerId"))
        if authorizer is not None:
            self.schemes[authorizer["name"]] = self._scheme(authorizer)
            security.append({authorizer["name"]: list(method.get("authorizationScopes", []))})
        elif method["authorizationType"] == "AWS_IAM":
            self.schemes["sigv4"] = {
                "type": "apiKey",
                "name": "Authorization",
                "in": "header",
                f"{PREFIX}-authtype": "awsSigv4",
            }
            security.append({"sigv4": []})
        if method.get("apiKeyRequired"):
            self.schemes["api_key"] = {"type": "apiKey", "name": "x-api-key", "in": "header"}
            security.append({"api_key": []})
        return security

    def _scheme(self, authorizer: dict[str, Any]) -> dict[str, Any]:
        sources = [part.strip() for part in authorizer.get("identitySource", "").split(",")]
        name, place = "Unused", "header"
        if len(sources) == 1 and sources[0].startswith(("method.request.header.", "method.request.querystring.")):
            place, name = sources[0].removeprefix("method.request.").split(".", 1)
        found = {
            "type": "apiKey",
            "name": name,
            "in": _PLACES[place],
            f"{PREFIX}-authtype": authorizer.get("authType", "custom"),
        }
        if self.authorizers:
            found[f"{PREFIX}-authorizer"] = {
                **{
                    name: authorizer[name]
                    for name in (
                        "providerARNs",
                        "authorizerUri",
                        "authorizerCredentials",
                        "identitySource",
                        "identityValidationExpression",
                    )
                    # The only identity source of a TOKEN authorizer is the name of the security scheme itself.
                    if name in authorizer and not (name == "identitySource" and authorizer["type"] != "REQUEST")
                },
                "type": authorizer["type"].lower(),
            }
            ttl = authorizer.get("authorizerResultTtlInSeconds")
            if authorizer["type"] != "COGNITO_USER_POOLS" and ttl is not None:
                found[f"{PREFIX}-authorizer"]["authorizerResultTtlInSeconds"] = ttl
            found[f"{PREFIX}-authorizer"] |= self.adds.get("authorizer", {})
        return found


def _with_text(name: str, value: Any) -> Any:
    """A map of templates without the empty ones."""
    if name in ("requestTemplates", "responseTemplates") and value:
        return {kind: text for kind, text in value.items() if text}
    return value


def _integration(integration: dict[str, Any], namespaces: Any) -> dict[str, Any]:
    """An integration in the format of the extension: without defaults, and with the responses by selection pattern."""
    found = {
        name: value
        for name in (
            "httpMethod",
            "uri",
            "credentials",
            "connectionType",
            "connectionId",
            "requestParameters",
            "requestTemplates",
            "contentHandling",
            "timeoutInMillis",
            "cacheNamespace",
            "cacheKeyParameters",
            "responseTransferMode",
            "tlsConfig",
        )
        if (value := _with_text(name, integration.get(name)))
    }
    if found.get("timeoutInMillis") == 29_000:
        del found["timeoutInMillis"]
    if found.get("connectionType") == "INTERNET":
        del found["connectionType"]
    if "cacheKeyParameters" not in found and found.get("cacheNamespace") in namespaces:
        found.pop("cacheNamespace")
    found["passthroughBehavior"] = integration["passthroughBehavior"].lower()
    found["type"] = integration["type"].lower()
    responses = {
        response.get("selectionPattern") or "default": {
            name: value
            for name in ("statusCode", "responseParameters", "responseTemplates", "contentHandling")
            if (value := _with_text(name, response.get(name)))
        }
        for response in integration.get("integrationResponses", {}).values()
    }
    return {**found, "responses": responses} if responses else found

"""API Gateway v2 (HTTP and WebSocket APIs): the APIs, their draft, and the deployments that serve it.

Nothing of it is moto's. Resources are dictionaries in boto3's format, without the members that AWS leaves out.
"""

from __future__ import annotations

import copy
import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from moto.apigateway.utils import create_id

from .account_state import World
from .apigateway import bad_request, base36, conflict
from .errors import AwsError
from .gateway import operation
from .rest_apis import check_tags
from .wire import PARTITIONS, Call, dns_suffix

SERVICE = "apigatewayv2"

CORS_DEFAULTS = {"AllowCredentials": False, "MaxAge": 0}

# The quotas of an API.
LIMITS = {"Route": 300, "Integration": 300, "Stage": 10, "Authorizer": 10}


@dataclass
class Deployment:
    shown: dict[str, Any]
    snapshot: dict[str, Any]
    # How many listings do not show it yet.
    unlisted: int = 0

    @property
    def id(self) -> str:
        return self.shown["DeploymentId"]

    @property
    def is_deployed(self) -> bool:
        return self.shown["DeploymentStatus"] == "DEPLOYED"


@dataclass
class HttpApi:
    region: str
    shown: dict[str, Any]
    routes: dict[str, dict[str, Any]] = field(default_factory=dict)
    authorizers: dict[str, dict[str, Any]] = field(default_factory=dict)
    integrations: dict[str, dict[str, Any]] = field(default_factory=dict)
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    # By stage: how many requests still reach the former deployment, and its snapshot.
    lagging: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    # By stage whose automatic deployment is being turned off: how many reads still show it as on. Until then, it is on.
    freezing: dict[str, int] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.shown["ApiId"]

    @property
    def is_http(self) -> bool:
        return self.shown["ProtocolType"] == "HTTP"


def date(world: World) -> datetime.datetime:
    """The time of the service. AWS gives these dates in seconds."""
    return world.date().replace(microsecond=0)


def fresh(world: World) -> None:
    world.http_apis = {}


def not_found(kind: str, text: str) -> AwsError:
    return AwsError("NotFoundException", text, 404, resourceType=kind)


def too_many(kind: str) -> AwsError:
    text = f"Maximum number of {kind}s for this API has been reached."
    return AwsError("TooManyRequestsException", text, 429, limitType=f"{kind.upper()}S_PER_API")


def api_of(world: World, call: Call) -> HttpApi:
    api = world.http_apis.get(call.params["ApiId"])
    if api is None or api.region != call.region:
        raise not_found("Api", f"Invalid API identifier specified {call.params['ApiId']}")
    return api


def part_of(call: Call, kind: str, parts: dict[str, Any]) -> Any:
    """The route, authorizer, integration or deployment that a call names."""
    found = parts.get(call.params[f"{kind}Id"])
    if found is None:
        raise not_found(kind, f"Invalid {kind} identifier specified {call.params[f'{kind}Id']}")
    return found


def page(world: World, call: Call, items: Iterable[Any], name: str = "Items") -> dict[str, Any]:
    """One page of a listing. `MaxResults` is text, except for routing rules."""
    items = list(items)
    try:
        wanted = int(call.get("MaxResults", 100))
        start = int(call.get("NextToken", "0"), 36)
    except ValueError:
        raise bad_request("Invalid maxResults or nextToken specified") from None
    if wanted < 1:
        raise bad_request("Invalid maxResults or nextToken specified")
    limit = min(wanted, world.config["page_size"] or 100)
    found: dict[str, Any] = {name: items[start : start + limit]}
    if start + limit < len(items):
        found["NextToken"] = base36(start + limit)
    return found


def require_room(kind: str, parts: dict[str, Any]) -> None:
    if len(parts) >= LIMITS[kind]:
        raise too_many(kind)


def given(call: Call, *names: str) -> dict[str, Any]:
    """The members of a call with these names, if they are given."""
    return {name: copy.deepcopy(call.params[name]) for name in names if name in call.params}


# --- deployments


# The attributes of an API that a deployment freezes.
_SETTINGS = ("CorsConfiguration", "DisableExecuteApiEndpoint", "Name", "RouteSelectionExpression", "Version")


def snapshot_of(api: HttpApi) -> dict[str, Any]:
    """The content of a deployment: everything that requests to the API depend on."""
    settings = {name: api.shown[name] for name in _SETTINGS if name in api.shown}
    return copy.deepcopy(
        {
            "routes": api.routes,
            "authorizers": api.authorizers,
            "integrations": api.integrations,
            "settings": settings,
        }
    )


NO_ROUTES = "Unable to deploy API because no routes exist in this API"


def deploy(
    world: World, api: HttpApi, stages: list[str], description: str | None = None, automatic: bool = False
) -> Deployment:
    """Makes a deployment of the draft. These stages move to it when it is deployed, after the delay of `deployment` or
    `deployment-automatic`."""
    shown = {
        "DeploymentId": create_id()[:6],
        "AutoDeployed": automatic,
        "CreatedDate": date(world),
        "DeploymentStatus": "PENDING",
    }
    if automatic:
        description = "Automatic deployment triggered by changes to the Api configuration"
    if description:
        shown["Description"] = description
    settings = world.config["http_api"]
    unlisted = settings["unlisted"] if automatic else 0
    deployment = api.deployments[shown["DeploymentId"]] = Deployment(shown, snapshot_of(api), unlisted)
    outcome = world.outcome("deployment")
    # With a member `automatic`, a failure concerns only these deployments, or only the other ones.
    fails = isinstance(outcome, dict) and outcome.get("status") == "FAILED"
    fails = fails and outcome.get("automatic", automatic) == automatic

    def done() -> None:
        if deployment.id not in api.deployments:
            return
        names = [name for name in stages if name in api.stages]
        if automatic and settings["pending_when_off"] == "unused":
            names = [name for name in names if api.stages[name].get("AutoDeploy")]
        if fails:
            message = outcome.get("message", "Internal failure")
            shown.update(DeploymentStatus="FAILED", DeploymentStatusMessage=message)
            for name in names if automatic else ():
                api.stages[name]["LastDeploymentStatusMessage"] = f"Deployment attempt failed: {message}"
            return
        shown["DeploymentStatus"] = "DEPLOYED"
        for name in names:
            point(world, api, name, deployment)
            if automatic:
                # The text of AWS, as the examples of the command `get-stages` of AWS's CLI show it.
                text = f"Successfully deployed stage with deployment ID '{deployment.id}'"
                api.stages[name]["LastDeploymentStatusMessage"] = text

    world.after(world.delay("deployment-automatic" if automatic else "deployment"), done)
    return deployment


def point(world: World, api: HttpApi, name: str, deployment: Deployment) -> None:
    """Moves a stage. For `deployment_lag` requests, callers still reach the former deployment."""
    stage = api.stages[name]
    former = stage.get("DeploymentId")
    if former == deployment.id:
        return
    lag = world.config["deployment_lag"]
    if former is not None and lag:
        api.lagging[name] = (lag, serving(api, name, peek=True))
    stage["DeploymentId"] = deployment.id
    stage["LastUpdatedDate"] = date(world)


def serving(api: HttpApi, name: str, peek: bool = False) -> dict[str, Any] | None:
    """The snapshot for the next request to a stage, or None if nothing was deployed. With `peek`, the request is not
    counted."""
    left, former = api.lagging.get(name, (0, {}))
    if left > 0:
        if not peek:
            api.lagging[name] = (left - 1, former)
        return former
    deployment = api.deployments.get(api.stages[name].get("DeploymentId"))
    return deployment.snapshot if deployment else None


def changed(world: World, api: HttpApi) -> None:
    """A write of the API: the stages with automatic deployment get a deployment of the draft."""
    stages = [name for name, stage in api.stages.items() if stage.get("AutoDeploy")]
    if stages and api.routes:
        deploy(world, api, stages, automatic=True)


# --- APIs


@operation(SERVICE, "GetApis")
def get_apis(world: World, call: Call) -> Any:
    return page(world, call, [api.shown for api in world.http_apis.values() if api.region == call.region])


@operation(SERVICE, "GetApi")
def get_api(world: World, call: Call) -> Any:
    return api_of(world, call).shown


_TEXTS = ("ApiKeySelectionExpression", "Description", "DisableSchemaValidation", "IpAddressType", "Version")


@operation(SERVICE, "CreateApi")
def create_api(world: World, call: Call) -> Any:
    from .http_quick_create import quick_create

    is_http = call.params["ProtocolType"] == "HTTP"
    check_tags(call, call.get("Tags", {}))
    selection = call.get("RouteSelectionExpression")
    if is_http and selection not in (None, "$request.method $request.path"):
        raise bad_request('RouteSelectionExpression must be "$request.method $request.path" for HTTP protocol type')
    if not is_http and not selection:
        raise bad_request("RouteSelectionExpression is a required parameter for WEBSOCKET protocol type")
    if not is_http and ("CorsConfiguration" in call.params or "Target" in call.params):
        raise bad_request("CORS and quick create are only supported for HTTP protocol type")
    api_id = create_id()
    scheme = "https" if is_http else "wss"
    shown = {
        "ApiId": api_id,
        "ApiEndpoint": f"{scheme}://{api_id}.execute-api.{call.region}.{dns_suffix(call.region)}",
        "ApiKeySelectionExpression": "$request.header.x-api-key",
        "CreatedDate": date(world),
        "DisableExecuteApiEndpoint": call.get("DisableExecuteApiEndpoint", False),
        "IpAddressType": "ipv4",
        "Name": call.params["Name"],
        "ProtocolType": call.params["ProtocolType"],
        "RouteSelectionExpression": selection or "$request.method $request.path",
        "Tags": dict(call.get("Tags", {})),
        **given(call, *_TEXTS),
    }
    if call.get("CorsConfiguration"):
        shown["CorsConfiguration"] = _cors(call)
    api = HttpApi(call.region, shown)
    if "Target" in call.params:
        quick_create(world, api, call)
    world.http_apis[api_id] = api
    return shown


def _cors(call: Call) -> dict[str, Any]:
    """The given members only. A configuration with credentials cannot have a wildcard (guide: "Configuring CORS")."""
    cors = copy.deepcopy(call.params["CorsConfiguration"])
    if cors.get("AllowCredentials") and "*" in cors.get("AllowOrigins", []):
        raise bad_request("Allow origins cannot be * when allow credentials is true")
    return {**CORS_DEFAULTS, **cors} if cors else cors


@operation(SERVICE, "UpdateApi")
def update_api(world: World, call: Call) -> Any:
    api = api_of(world, call)
    if not api.is_http and "CorsConfiguration" in call.params:
        raise bad_request("CORS is only supported for HTTP protocol type")
    changes = given(call, *_TEXTS, "Name", "DisableExecuteApiEndpoint", "RouteSelectionExpression")
    if "CorsConfiguration" in call.params:
        changes["CorsConfiguration"] = _cors(call)
    api.shown.update(changes)
    changed(world, api)
    return api.shown


@operation(SERVICE, "DeleteCorsConfiguration")
def delete_cors_configuration(world: World, call: Call) -> Any:
    api = api_of(world, call)
    api.shown.pop("CorsConfiguration", None)
    changed(world, api)
    return {}


@operation(SERVICE, "DeleteApi")
def delete_api(world: World, call: Call) -> Any:
    del world.http_apis[api_of(world, call).id]
    return {}


# --- integrations


_INTEGRATION = (
    "ConnectionId",
    "ConnectionType",
    "ContentHandlingStrategy",
    "CredentialsArn",
    "Description",
    "IntegrationMethod",
    "IntegrationSubtype",
    "IntegrationType",
    "IntegrationUri",
    "PassthroughBehavior",
    "PayloadFormatVersion",
    "RequestParameters",
    "RequestTemplates",
    "ResponseParameters",
    "TemplateSelectionExpression",
    "TimeoutInMillis",
    "TlsConfig",
)


def _check_integration(api: HttpApi, wanted: dict[str, Any]) -> None:
    if api.is_http and wanted["IntegrationType"] not in ("AWS_PROXY", "HTTP_PROXY"):
        raise bad_request("HTTP APIs support only AWS_PROXY and HTTP_PROXY integrations")
    if api.is_http and "PayloadFormatVersion" not in wanted and "IntegrationSubtype" not in wanted:
        raise bad_request("PayloadFormatVersion is a required parameter for integration")


@operation(SERVICE, "CreateIntegration")
def create_integration(world: World, call: Call) -> Any:
    api = api_of(world, call)
    require_room("Integration", api.integrations)
    integration = {
        "ConnectionType": "INTERNET",
        "IntegrationId": create_id()[:7],
        "TimeoutInMillis": 30_000 if api.is_http else 29_000,
        **given(call, *_INTEGRATION),
    }
    if integration["IntegrationType"] == "AWS_PROXY":
        integration.setdefault("IntegrationMethod", "POST")
    if api.is_http and integration["IntegrationType"] == "HTTP_PROXY":
        integration.setdefault("PayloadFormatVersion", "1.0")  # the only one of this type
    _check_integration(api, integration)
    api.integrations[integration["IntegrationId"]] = integration
    changed(world, api)
    return integration


@operation(SERVICE, "GetIntegrations")
def get_integrations(world: World, call: Call) -> Any:
    return page(world, call, api_of(world, call).integrations.values())


@operation(SERVICE, "GetIntegration")
def get_integration(world: World, call: Call) -> Any:
    return part_of(call, "Integration", api_of(world, call).integrations)


@operation(SERVICE, "UpdateIntegration")
def update_integration(world: World, call: Call) -> Any:
    api = api_of(world, call)
    integration = part_of(call, "Integration", api.integrations)
    wanted = {**integration, **given(call, *_INTEGRATION)}
    _check_integration(api, wanted)
    integration.update(wanted)
    changed(world, api)
    return integration


@operation(SERVICE, "DeleteIntegration")
def delete_integration(world: World, call: Call) -> Any:
    api = api_of(world, call)
    integration = part_of(call, "Integration", api.integrations)
    if integration.get("ApiGatewayManaged"):
        raise bad_request("An integration that is managed by API Gateway cannot be deleted")
    target = f"integrations/{integration['IntegrationId']}"
    users = [route["RouteId"] for route in api.routes.values() if route.get("Target") == target]
    if users:
        # The text of AWS: milliHQ/terraform-aws-next-js issue 247.
        text = "Cannot delete Integration because it is referenced by the following Routes with Ids: "
        raise conflict(f"{text}[{', '.join(users)}]")
    del api.integrations[integration["IntegrationId"]]
    changed(world, api)
    return {}


# --- tags


def _tagged(world: World, call: Call) -> dict[str, Any]:
    """The API, stage or domain name of an ARN."""
    arn = call.params["ResourceArn"]
    found = re.fullmatch(rf"arn:{PARTITIONS}:apigateway:[a-z0-9-]+::/(apis|domainnames)/([^/]+)(?:/stages/(.+))?", arn)
    if found is None:
        raise bad_request("Invalid ARN specified in the request")
    kind, name, stage = found.groups()
    if kind == "domainnames":
        from .domains import domain_of

        call.params["DomainName"] = name
        return domain_of(world, call)
    call.params["ApiId"] = name
    api = api_of(world, call)
    if stage is None:
        return api.shown
    if stage not in api.stages:
        raise not_found("Stage", "Invalid stage identifier specified")
    return api.stages[stage]


@operation(SERVICE, "GetTags")
def get_tags(world: World, call: Call) -> Any:
    return {"Tags": dict(_tagged(world, call).get("Tags", {}))}


@operation(SERVICE, "TagResource")
def tag_resource(world: World, call: Call) -> Any:
    resource = _tagged(world, call)
    check_tags(call, call.get("Tags", {}))
    resource["Tags"] = {**resource.get("Tags", {}), **call.get("Tags", {})}
    return {}


@operation(SERVICE, "UntagResource")
def untag_resource(world: World, call: Call) -> Any:
    resource = _tagged(world, call)
    check_tags(call, call.params["TagKeys"])
    kept = {key: value for key, value in resource.get("Tags", {}).items() if key not in call.params["TagKeys"]}
    resource["Tags"] = kept
    return {}


# --- the account


_TIMES = ("CreatedDate", "LastUpdatedDate")


def listing(world: World, region: str) -> list[dict[str, Any]]:
    """The APIs with everything in them, without times."""

    def timeless(shown: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in shown.items() if name not in _TIMES}

    def ordered(parts: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
        return [timeless(part) for _, part in sorted(parts.items())]

    return [
        {
            **timeless(api.shown),
            "Routes": ordered(api.routes),
            "Authorizers": ordered(api.authorizers),
            "Integrations": ordered(api.integrations),
            "Stages": ordered(api.stages),
            "Deployments": [
                {**timeless(deployment.shown), "Snapshot": deployment.snapshot}
                for _, deployment in sorted(api.deployments.items())
            ],
        }
        for _, api in sorted(world.http_apis.items())
        if api.region == region
    ]

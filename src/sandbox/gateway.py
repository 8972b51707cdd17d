"""Runs ministack with gateway responses that can contain the authorizer's context, with patches that keep the types of
values, and with stages that serve the methods of their deployment, as in API Gateway.

Usage: python -c SCRIPT

ministack does not replace `$context.authorizer.*` in a body, and omits headers that are mapped from it. Its patches,
whose values are strings, turn a number, a boolean or a list into a string. It gives an authorizer that is created without an
identity source the one of another type. It serves the draft's methods in every stage, and exports them. Its summary of a
deployment has no authorization. It does not count the invocations of an authorizer in the metrics of Lambda, and does
not apply a function's reserved concurrency to its versions.
"""

import contextvars
import copy
import re
import time

from ministack.app import main
from ministack.core import router
from ministack.services import apigateway_v1 as gateway, lambda_svc

said = contextvars.ContextVar("said", default={})
stringify, value, respond = gateway._stringify_context, gateway._gateway_request_value, gateway._gateway_error_response
PREFIX = "context.authorizer."


def remember(context):
    text = stringify(context)
    said.set(dict(text))
    return text


def look_up(source, request):
    if source.startswith(PREFIX):
        return said.get().get(source[len(PREFIX):])
    return value(source, request)


def render(error, request):
    status, headers, body = respond(error, request)
    text = body.decode("utf-8")
    text = re.sub(r"\$context\.authorizer\.(\w+)", lambda name: said.get().get(name.group(1), ""), text)
    return status, headers, text.encode("utf-8")


def patch_typed(obj, patch_ops):
    """Applies a patch and keeps the types of numbers, booleans and lists."""
    for op in patch_ops:
        path, value = op.get("path", ""), op.get("value")
        present = obj.get(path.lstrip("/"), [] if path == "/authorizationScopes" else None)
        if isinstance(present, bool):
            op = {**op, "value": str(value).lower() == "true"}
        elif isinstance(present, int):
            op = {**op, "value": int(value)}
        elif isinstance(present, list) and op.get("op") in ("add", "remove"):
            others = [item for item in present if item != value]
            op = {"op": "replace", "path": path, "value": others + [value] * (op["op"] == "add")}
        patch(obj, [op])
    return obj


methods = {}  # of each deployment, with their resources
serving = contextvars.ContextVar("serving", default=None)


def deploy(api_id, data):
    before = set(gateway._deployments_v1.get(api_id, {}))
    answer = create_deployment(api_id, data)
    for deployment_id in set(gateway._deployments_v1.get(api_id, {})) - before:
        deployed = methods[deployment_id] = copy.deepcopy(dict(gateway._resources.get(api_id, {})))
        summary = gateway._deployments_v1[api_id][deployment_id]["apiSummary"]
        for resource in deployed.values():
            for verb, method in resource.get("resourceMethods", {}).items():
                asks = method.get("authorizationType") or "NONE"
                summary[resource.get("path", "/")][verb]["authorizationType"] = asks
    return answer


def export_deployed(api_id, stage_name, *rest):
    """Exports what the stage serves, and not the draft."""
    stage = gateway._stages_v1.get(api_id, {}).get(stage_name, {})
    deployed = methods.get(stage.get("deploymentId"))
    if deployed is None:
        return export(api_id, stage_name, *rest)
    draft, gateway._resources = gateway._resources, {api_id: deployed}
    try:
        return export(api_id, stage_name, *rest)
    finally:
        gateway._resources = draft


async def serve(request, api_id, stage_name, *rest):
    stage = gateway._stages_v1.get(api_id, {}).get(stage_name, {})
    serving.set(stage.get("deploymentId"))
    return await execute(request, api_id, stage_name, *rest)


def in_deployment(search):
    """Searches the resources of the deployment that is served."""

    def find(api_id, *rest):
        deployed = methods.get(serving.get())
        if deployed is None:
            return search(api_id, *rest)
        draft, gateway._resources = gateway._resources, {api_id: deployed}
        try:
            return search(api_id, *rest)
        finally:
            gateway._resources = draft

    return find


def create_authorizer(api_id, data):
    if data.get("type") == "REQUEST":
        data.setdefault("identitySource", "")
    return create(api_id, data)


def reserved_of_function(record, config):
    return reserved(lambda_svc._functions.get(config.get("FunctionName")) or record, config)


async def invoke_counted(authorizer, event, account_id, region):
    began = time.time()
    result = await invoke(authorizer, event, account_id, region)
    # ministack counts what it throttles.
    if result is not None and not result.get("throttle"):
        function = gateway._extract_lambda_ref_from_integration_uri(authorizer["authorizerUri"])
        _, _, name = lambda_svc._get_func_record_for_ref_in_scope(function, account_id=account_id, region=region)
        lambda_svc._emit_lambda_metrics(name, (time.time() - began) * 1000, bool(result.get("error")), False)
    return result


# To distinguish a service that it does not emulate from a bucket name, ministack loads the models of all AWS services,
# which takes 6 s. This is the only such service that is called.
router._KNOWN_AWS_SERVICE_NAMES = frozenset({"servicequotas"})
patch, gateway._apply_patch = gateway._apply_patch, patch_typed
create_deployment, gateway._create_deployment = gateway._create_deployment, deploy
execute, gateway._execute_in_scope = gateway._execute_in_scope, serve
for name in ("_match_resource_tree", "_match_greedy_fallback"):
    setattr(gateway, name, in_deployment(getattr(gateway, name)))
export, gateway._get_export = gateway._get_export, export_deployed
create, gateway._create_authorizer = gateway._create_authorizer, create_authorizer
invoke, gateway._invoke_authorizer_lambda = gateway._invoke_authorizer_lambda, invoke_counted
reserved, lambda_svc._reserved_concurrency = lambda_svc._reserved_concurrency, reserved_of_function
gateway._stringify_context, gateway._gateway_request_value, gateway._gateway_error_response = remember, look_up, render
main()

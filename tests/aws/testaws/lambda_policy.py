"""Lambda: tags and resource policies of functions."""

from __future__ import annotations

import json
import uuid
from typing import Any

from .awslambda import Function, function_of, named
from .errors import AwsError
from .gateway import operation
from .wire import Call, arn
from .account_state import World

# What the names of services end with.
_SERVICES = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".amazon.com")

# --- tags


def _tagged(world: World, call: Call) -> Function:
    return function_of(world, call, "Resource")


@operation("lambda", "ListTags")
def list_tags(world: World, call: Call) -> Any:
    return {"Tags": dict(_tagged(world, call).tags)}


@operation("lambda", "TagResource")
def tag_resource(world: World, call: Call) -> Any:
    function = _tagged(world, call)
    function.tags.update(call.params["Tags"])
    return {}


@operation("lambda", "UntagResource")
def untag_resource(world: World, call: Call) -> Any:
    function = _tagged(world, call)
    for key in call.params["TagKeys"]:
        function.tags.pop(key, None)
    return {}


# --- resource policy: the function, each alias, and each version have their own


def _policy(world: World, call: Call) -> tuple[Function, str]:
    """The function and the qualifier of the policy, "" for the function's own."""
    function = function_of(world, call)
    qualifier = call.get("Qualifier") or named(call.params["FunctionName"])[1] or ""
    if qualifier and qualifier not in function.aliases and qualifier not in function.versions:
        raise AwsError("ResourceNotFoundException", f"Function not found: {function.arn}:{qualifier}", 404)
    return function, qualifier


@operation("lambda", "AddPermission")
def add_permission(world: World, call: Call) -> Any:
    function, qualifier = _policy(world, call)
    statements = function.policies.setdefault(qualifier, [])
    sid = call.params["StatementId"]
    if any(statement["Sid"] == sid for statement in statements):
        raise AwsError(
            "ResourceConflictException",
            f"The statement id ({sid}) provided already exists. Please provide a new statement id, or remove the "
            "existing statement.",
            409,
        )
    principal = call.params["Principal"]
    kind = "Service" if principal.endswith(_SERVICES) else "AWS"
    statement: dict[str, Any] = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": "*" if principal == "*" else {kind: principal},
        "Action": call.params["Action"],
        "Resource": f"{function.arn}:{qualifier}" if qualifier else function.arn,
    }
    condition: dict[str, Any] = {}
    if call.get("SourceAccount"):
        condition["StringEquals"] = {"AWS:SourceAccount": call.params["SourceAccount"]}
    if call.get("SourceArn"):
        condition["ArnLike"] = {"AWS:SourceArn": call.params["SourceArn"]}
    if condition:
        statement["Condition"] = condition
    if len(json.dumps([*statements, statement])) > 20480:
        raise AwsError("PolicyLengthExceededException", "The final policy size is bigger than the limit (20480).", 400)
    statements.append(statement)
    function.policy_revision = str(uuid.uuid4())
    return {"Statement": json.dumps(statement, separators=(",", ":"))}


@operation("lambda", "RemovePermission")
def remove_permission(world: World, call: Call) -> Any:
    name = named(call.params["FunctionName"])[0]
    if name not in world.functions.by_name:
        resource = arn("lambda", call.region, f"function:{name}")
        raise AwsError("ResourceNotFoundException", f"No policy found for: {resource}", 404)
    function, qualifier = _policy(world, call)
    statements = function.policies.get(qualifier, [])
    if not statements:
        raise AwsError("ResourceNotFoundException", "No policy is associated with the given resource.", 404)
    kept = [statement for statement in statements if statement["Sid"] != call.params["StatementId"]]
    if len(kept) == len(statements):
        raise AwsError(
            "ResourceNotFoundException", f"Statement {call.params['StatementId']} is not found in resource policy.", 404
        )
    function.policies[qualifier] = kept
    function.policy_revision = str(uuid.uuid4())
    return {}


@operation("lambda", "GetPolicy")
def get_policy(world: World, call: Call) -> Any:
    function, qualifier = _policy(world, call)
    statements = function.policies.get(qualifier)
    if not statements:
        raise AwsError("ResourceNotFoundException", "The resource you requested does not exist.", 404)
    policy = {"Version": "2012-10-17", "Id": "default", "Statement": statements}
    return {"Policy": json.dumps(policy, separators=(",", ":")), "RevisionId": function.policy_revision}

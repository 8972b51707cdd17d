"""IAM: new roles cannot be assumed immediately, and listings omit the same members as AWS."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

from moto.iam.exceptions import NotFoundException
from moto.iam.models import IAMBackend, Role, iam_backends
from moto.utilities.utils import get_partition

from .errors import AwsError
from .callers import caller
from .gateway import lacks, operation
from .wire import ACCOUNT, Call
from .account_state import World


def _get_role(self: IAMBackend, role_name: str) -> Role:
    """As moto does, but told in AWS's words."""
    for role in self.get_roles():
        if role.name == role_name:
            return role
    raise NotFoundException(f"The role with name {role_name} cannot be found.")


IAMBackend.get_role = _get_role


def fresh(world: World) -> None:
    world.role_born: dict[str, float] = {}  # by ARN
    world.role_policies_changed: dict[str, float] = {}  # by ARN


def _role(arn: str) -> Any:
    partition = arn.split(":")[1] if arn.count(":") >= 5 else "aws"
    for role in iam_backends[ACCOUNT][partition].roles.values() if partition in iam_backends[ACCOUNT] else ():
        if role.arn == arn:
            return role
    return None


def _named(call: Call) -> Any:
    """The role that a call names; None where there is none."""
    roles = iam_backends[ACCOUNT][get_partition(call.region)].roles.values()
    return next((role for role in roles if role.name == call.params["RoleName"]), None)


def id_of(arn: str) -> str:
    """The id of a role, by which those who assumed it are named."""
    role = _role(arn)
    return role.id if role is not None else "AROATESTAWSEXAMPLE000"


def exists(arn: str) -> bool:
    return _role(arn) is not None


def check_assumable(world: World, arn: str, in_vpc: bool) -> None:
    """Refuses roles that CreateFunction refuses: missing, not trusting Lambda, too new, or without ENI permissions."""
    cannot = AwsError(
        "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda.", 400
    )
    role = _role(arn)
    if role is None or not _trusts_lambda(role):
        raise cannot
    delay = world.config["role_delay"]
    if world.now() - world.role_born.get(arn, float("-inf")) < delay:
        raise cannot
    if not in_vpc:
        return
    missing = AwsError(
        "InvalidParameterValueException",
        "The provided execution role does not have permissions to call CreateNetworkInterface on EC2",
        400,
    )
    if not _allows(role, "ec2:CreateNetworkInterface"):
        raise missing
    if world.now() - world.role_policies_changed.get(arn, float("-inf")) < delay:
        raise missing


def statements(document: Any) -> list[dict[str, Any]]:
    if isinstance(document, str):
        try:
            document = json.loads(unquote(document) if document.startswith("%7B") else document)
        except ValueError:
            return []
    found = document.get("Statement", [])
    return found if isinstance(found, list) else [found]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _trusts_lambda(role: Any) -> bool:
    for statement in statements(role.assume_role_policy_document):
        principal = statement.get("Principal")
        services = as_list(principal.get("Service", [])) if isinstance(principal, dict) else [principal]
        allowed = statement.get("Effect") == "Allow" and "sts:AssumeRole" in as_list(statement.get("Action"))
        if allowed and "lambda.amazonaws.com" in services:
            return True
    return False


def _allows(role: Any, action: str) -> bool:
    if any("AWSLambdaVPCAccessExecutionRole" in arn for arn in role.managed_policies):
        return True
    for document in role.policies.values():
        for statement in statements(document):
            patterns = [str(pattern).lower() for pattern in as_list(statement.get("Action", []))]
            if statement.get("Effect") == "Allow" and any(fnmatchcase(action.lower(), item) for item in patterns):
                return True
    return False


def _holds(condition: dict[str, Any], context: dict[str, str]) -> bool:
    """Whether a condition on texts holds. One on what the context does not have never does."""
    for operator, keys in condition.items():
        if operator not in ("StringEquals", "StringLike", "ArnEquals", "ArnLike"):
            return False
        for key, wanted in keys.items():
            actual = context.get(key)
            if actual is None or not any(fnmatchcase(actual, pattern) for pattern in as_list(wanted)):
                return False
    return True


def permits(arn: str, action: str, resource: str | None = None, context: dict[str, str] | None = None) -> bool:
    """Whether a role's policies allow an action on this or some resource, and no policy denies it on all resources.
    With a context, conditions count."""
    role = _role(arn)
    if role is None:
        return False
    managed = [version for policy in role.managed_policies.values() for version in policy.versions]
    documents = [*role.policies.values(), *(version.document for version in managed if version.is_default)]
    allowed = False
    for statement in (statement for document in documents for statement in statements(document)):
        patterns = [str(pattern).lower() for pattern in as_list(statement.get("Action", []))]
        if not any(fnmatchcase(action.lower(), pattern) for pattern in patterns):
            continue
        if statement.get("Effect") == "Allow":
            named = resource is None or any(
                fnmatchcase(resource, str(pattern)) for pattern in as_list(statement.get("Resource", []))
            )
            met = context is None or _holds(statement.get("Condition", {}), context)
            allowed = allowed or (named and met)
        elif "*" in as_list(statement.get("Resource", [])) and not statement.get("Condition"):
            return False
    return allowed


def _check_trust(call: Call, name: str) -> None:
    malformed = AwsError("MalformedPolicyDocument", "This policy contains invalid Json", 400)
    try:
        document = json.loads(call.params[name])
    except (KeyError, ValueError):
        raise malformed from None
    if not isinstance(document, dict):
        raise malformed
    found = statements(document)
    if not found:
        raise AwsError("MalformedPolicyDocument", "Syntax errors in policy.", 400)
    for statement in found:
        if "Principal" not in statement:
            raise AwsError("MalformedPolicyDocument", "Missing required field Principal", 400)
        if statement.get("Effect") not in ("Allow", "Deny") or not statement.get("Action"):
            raise AwsError("MalformedPolicyDocument", "AssumeRole policy may only specify STS AssumeRole actions.", 400)
        if any(key in statement for key in ("Resource", "NotResource")):
            raise AwsError("MalformedPolicyDocument", "Has prohibited field Resource", 400)


def _check_boundary(call: Call) -> None:
    """A permissions boundary is a managed policy that exists."""
    arn = call.get("PermissionsBoundary")
    if arn and arn not in iam_backends[ACCOUNT][get_partition(call.region)].managed_policies:
        raise AwsError("NoSuchEntity", f"Scope ARN: {arn} does not exist or is not attachable.", 404)


@operation("iam", "PutRolePermissionsBoundary")
def put_boundary(world: World, call: Call) -> Any:
    _check_boundary(call)
    return call.moto()


@operation("iam", "CreateRole")
def create_role(world: World, call: Call) -> Any:
    _check_boundary(call)
    _check_trust(call, "AssumeRolePolicyDocument")
    result = call.result()
    world.role_born[result["Role"]["Arn"]] = world.now()
    return result


@operation("iam", "UpdateAssumeRolePolicy")
def update_trust(world: World, call: Call) -> Any:
    _check_trust(call, "PolicyDocument")
    return call.moto()


@operation("iam", "PutRolePolicy")
def put_role_policy(world: World, call: Call) -> Any:
    role = _named(call)
    arn = role.arn if role else None
    size = len("".join(call.params.get("PolicyDocument", "").split()))
    if size > 10240:
        raise AwsError(
            "LimitExceeded", f"Maximum policy size of 10240 bytes exceeded for role {call.params['RoleName']}", 409
        )
    response = call.moto()
    if response.status < 300 and arn is not None:
        # A changed policy does not make a working role unusable, so only the first policy counts.
        world.role_policies_changed.setdefault(arn, world.now())
    return response


@operation("iam", "SimulatePrincipalPolicy")
def simulate(world: World, call: Call) -> Any:
    """One result for each action; with several resources, it has one for each of them, too."""
    arn = call.params["PolicySourceArn"]
    is_caller = arn == caller(world, call.region) and ":user/" in arn
    if ":user/" not in arn and ":role/" not in arn and ":group/" not in arn:
        raise AwsError("InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity type and name.", 400)
    if not exists(arn) and not is_caller:
        kind = "user" if ":user/" in arn else "role"
        raise AwsError("NoSuchEntity", f"The {kind} with name {arn.rsplit('/', 1)[-1]} cannot be found.", 404)
    resources = call.params.get("ResourceArns") or ["*"]
    results = []
    for action in call.params["ActionNames"]:

        def decision(resource: str, action: str = action) -> str:
            is_allowed = not lacks(world, action) if is_caller else permits(arn, action, resource)
            return "allowed" if is_allowed else "implicitDeny"

        decisions = [decision(resource) for resource in resources]
        result = {
            "EvalActionName": action,
            "EvalResourceName": resources[0] if len(resources) == 1 else "*",
            "EvalDecision": next((one for one in decisions if one != "allowed"), "allowed"),
            "MatchedStatements": [],
            "MissingContextValues": [],
        }
        if len(resources) > 1:
            result["ResourceSpecificResults"] = [
                {"EvalResourceName": resource, "EvalResourceDecision": one}
                for resource, one in zip(resources, decisions, strict=True)
            ]
        results.append(result)
    return {"EvaluationResults": results, "IsTruncated": False}


@operation("iam", "DeleteRole")
def delete_role(world: World, call: Call) -> Any:
    role = _named(call)
    arn = role.arn if role else None
    response = call.moto()
    if response.status < 300:
        world.role_born.pop(arn, None)
        world.role_policies_changed.pop(arn, None)
    return response


@operation("iam", "ListRoles")
def list_roles(world: World, call: Call) -> Any:
    """AWS's listing has neither tags nor a permissions boundary, so a search by tag has to request the tags of each
    role."""
    result = call.result()
    for role in result.get("Roles", []):
        for name in ("Tags", "PermissionsBoundary", "RoleLastUsed"):
            role.pop(name, None)
    return result

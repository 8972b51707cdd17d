"""Systems Manager Parameter Store: the checks that moto lacks."""

from __future__ import annotations

import re
from typing import Any

from moto.ssm.models import Parameter, ssm_backends

from . import kms_keys
from .account_state import World
from .callers import caller
from .errors import AwsError
from .gateway import operation
from .wire import ACCOUNT, Call

_described = Parameter.describe_response_object


def _describe(self: Parameter, *args: Any, **named: Any) -> dict[str, Any]:
    """With the caller that has written the value, and without the value."""
    described = {**_described(self, *args, **named), "LastModifiedUser": getattr(self, "last_modified_user", "N/A")}
    del described["Value"]
    return described


Parameter.describe_response_object = _describe


@operation("ssm", "PutParameter")
def put_parameter(world: World, call: Call) -> Any:
    name = call.params["Name"]
    if re.match(r"/?(aws|ssm)", name, re.IGNORECASE):
        raise AwsError(
            "ValidationException", 'Parameter name: can\'t be prefixed with "aws" or "ssm" (case-insensitive).', 400
        )
    if name.strip("/").count("/") >= 15:
        raise AwsError(
            "HierarchyLevelLimitExceededException", "Parameter hierarchy can have a maximum of 15 levels.", 400
        )
    if call.get("Overwrite") and call.get("Tags"):
        raise AwsError(
            "ValidationException",
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please "
            "remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or "
            "RemoveTagsFromResource.",
            400,
        )
    if re.search(r"\{\{.*\}\}", call.get("Value", ""), re.DOTALL):
        raise AwsError("ValidationException", 'Parameter value: can\'t nest another parameter. Do not use "{{}}".', 400)
    known = ssm_backends[ACCOUNT][call.region]._parameters
    tier = call.get("Tier", "Standard")
    if tier == "Standard" and len(call.get("Value", "").encode()) > 4096:
        raise AwsError(
            "ValidationException",
            "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger "
            "parameter value, upgrade the parameter to use the advanced-parameter tier.",
            400,
        )
    if len(call.get("Value", "").encode()) > 8192:
        raise AwsError(
            "ValidationException",
            "Advanced tier parameters support a maximum parameter value of 8192 characters.",
            400,
        )
    if name not in known and sum(1 for _ in known) >= world.config["quotas"]["parameters"]:
        raise AwsError(
            "ParameterLimitExceeded",
            "You have exceeded the number of parameters for this Amazon Web Services account. Delete one or more "
            "parameters and try again.",
            400,
        )
    if name not in known and not call.get("Type"):
        raise AwsError("ValidationException", "A parameter type is required when you create a parameter.", 400)
    if call.get("KeyId") and call.get("Type") != "SecureString":
        raise AwsError("ValidationException", "KeyId is required for SecureString type parameter only.", 400)
    kms_keys.refuse_parameter(call.region, call.get("KeyId"))
    response = call.moto()
    if response.status < 300:
        # Its date is the service's, whose clock may not show what the caller's does.
        stored = known[name][-1]
        stored.last_modified_date = world.date()
        stored.last_modified_user = caller(world, call.region)
        if stored.parameter_type == "SecureString" and not call.get("KeyId"):
            # As the API reference says of every write, also of one that replaces a value under another key.
            value = stored.decrypt(stored.value)
            stored.keyid = kms_keys.DEFAULT
            stored.value = stored.encrypt(value)
    return response


@operation("ssm", "GetParameters", "DeleteParameters")
def several_parameters(world: World, call: Call) -> Any:
    """Ten names at most."""
    names = call.params["Names"]
    if len(names) > 10:
        raise AwsError(
            "ValidationException",
            f"1 validation error detected: Value '[{', '.join(names)}]' at 'names' failed to satisfy constraint: "
            "Member must have length less than or equal to 10",
            400,
        )
    _decrypts(call, names)
    return call.moto()


@operation("ssm", "GetParameter", "DeleteParameter")
def one_parameter(world: World, call: Call) -> Any:
    """AWS says of one that is not there nothing but the code."""
    name = call.params["Name"]
    if ":" not in name and name not in ssm_backends[ACCOUNT][call.region]._parameters:
        raise AwsError("ParameterNotFound", "", 400)
    _decrypts(call, [name])
    return call.moto()


def _decrypts(call: Call, names: list[str]) -> None:
    """One parameter that cannot be decrypted fails the whole call."""
    store = ssm_backends[ACCOUNT][call.region]._parameters
    for name in names if call.get("WithDecryption") else ():
        if store.get(name) and store[name][-1].parameter_type == "SecureString":
            kms_keys.refuse_parameter(call.region, store[name][-1].keyid)


@operation("ssm", "GetParametersByPath")
def parameters_by_path(world: World, call: Call) -> Any:
    path = call.params["Path"].rstrip("/")
    backend = ssm_backends[ACCOUNT][call.region]
    _decrypts(call, [name for name in list(backend._parameters) if name.startswith(f"{path}/")])
    if call.get("ParameterFilters"):
        return call.moto()
    # The program makes no other call as often: moto would parse the request again.
    page, token = backend.get_parameters_by_path(
        path, call.get("Recursive", False), None, call.get("NextToken"), call.get("MaxResults", 10)
    )
    shown = [one.response_object(call.get("WithDecryption", False), call.region) for one in page]
    return {"Parameters": shown, "NextToken": token}

"""KMS keys of the operator: what uses them needs an enabled key, and a role that its key policy and IAM allow."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

from . import roles
from .errors import AwsError
from .gateway import operation
from .wire import ACCOUNT, Call, arn
from .account_state import World

DEFAULT = "alias/aws/ssm"
# How each state is called in an error, and the error's code.
_STATES = {
    "Disabled": ("is disabled", "DisabledException"),
    "PendingDeletion": ("is pending deletion", "KMSInvalidStateException"),
}


def _keys(region: str) -> dict[str, Any]:
    from moto.kms.models import kms_backends

    return kms_backends[ACCOUNT][region].keys


def _find(region: str, key: str) -> Any:
    """The key of an ARN, an id or an alias."""
    keys = _keys(region)
    for found in keys.values():
        aliases = {name for alias in found.aliases.values() for name in (alias.alias_name, alias.alias_arn)}
        if key in (found.arn, found.id) or key in aliases:
            return found
    return None


def is_default(key: str | None) -> bool:
    return not key or key.endswith(DEFAULT)


def problem(region: str, key: str) -> tuple[str, str] | None:
    """Why nothing can use the key: (text, code of KMS)."""
    found = _find(region, key)
    if found is None:
        return f"Key '{key}' does not exist", "NotFoundException"
    if found.key_usage != "ENCRYPT_DECRYPT" or found.key_spec != "SYMMETRIC_DEFAULT":
        return f"{found.arn} key usage or specification is not valid for the operation", "InvalidKeyUsageException"
    if found.key_state in _STATES:
        text, code = _STATES[found.key_state]
        return f"{found.arn} {text}.", code
    return None


def refuse_parameter(region: str, key: str | None) -> None:
    """Refuses what Parameter Store cannot encrypt or decrypt."""
    found = None if is_default(key) else problem(region, str(key))
    if found:
        text, code = found
        raise AwsError("InvalidKeyId", f"{text} (Service: AWSKMS; Status Code: 400; Error Code: {code})", 400)


def refuse_function(region: str, key: str | None) -> None:
    """Refuses what Lambda cannot encrypt."""
    found = problem(region, key) if key else None
    if found:
        text, code = found
        raise AwsError(
            "InvalidParameterValueException",
            "Lambda was unable to configure access to your environment variables because the KMS key is invalid for "
            f"CreateGrant. Please check your KMS key settings. KMS Exception: {code} KMS Message: {text}",
            400,
        )


def refuse_invocation(region: str, key: str | None) -> None:
    """Refuses to start a function whose environment cannot be decrypted."""
    found = problem(region, key) if key else None
    if not found:
        return
    text, code = found
    name = {"DisabledException": "KMSDisabledException", "NotFoundException": "KMSNotFoundException"}.get(
        code, "KMSInvalidStateException"
    )
    raise AwsError(
        name,
        "Lambda was unable to decrypt the environment variables because the KMS key cannot be used. "
        f"KMS Message: {text}",
        502,
    )


def may_decrypt(region: str, key: str | None, role: str, context: dict[str, str]) -> bool:
    """Whether a role can decrypt with a key, which must be usable. With the default one, everybody can."""
    if is_default(key):
        return True
    found = _find(region, str(key))
    if found is None or problem(region, str(key)) is not None:
        return False
    allowed = False
    for statement in roles.statements(found.policy):
        principals = statement.get("Principal", {})
        named = roles.as_list(principals.get("AWS", [])) if isinstance(principals, dict) else [principals]
        root = arn("iam", region, "root")
        if not _concerns(statement, "kms:Decrypt") or not {role, root, ACCOUNT, "*"} & set(named):
            continue
        if statement.get("Effect") == "Deny":
            return False
        allowed = allowed or role in named or "*" in named
        if {root, ACCOUNT} & set(named):
            # The policy leaves it to IAM.
            allowed = allowed or roles.permits(role, "kms:Decrypt", found.arn, context)
    return allowed


def _concerns(statement: dict[str, Any], action: str) -> bool:
    patterns = (str(pattern).lower() for pattern in roles.as_list(statement.get("Action", [])))
    return any(fnmatchcase(action.lower(), pattern) for pattern in patterns)


def listing(region: str) -> list[dict[str, Any]]:
    """The keys of the account, for comparisons."""
    found = (
        {
            "arn": key.arn,
            "state": key.key_state,
            "description": key.description,
            "policy": json.loads(key.policy),
            "grants": len(key.grants),
            "aliases": sorted(key.aliases),
        }
        for key in _keys(region).values()
        if key.key_manager == "CUSTOMER" and not any("alias/aws/" in name for name in key.aliases)
    )
    return sorted(found, key=lambda key: key["arn"])


@operation("kms", "CreateKey")
def create_key(world: World, call: Call) -> Any:
    """Moto has no default for the usage."""
    result = call.result()
    key = _find(call.region, result["KeyMetadata"]["Arn"])
    key.key_usage = key.key_usage or "ENCRYPT_DECRYPT"
    return key.to_dict()


@operation("kms", "DescribeKey")
def describe_key(world: World, call: Call) -> Any:
    """A key of another account, or in another Region, is not found by its ARN."""
    wanted = call.params["KeyId"]
    parts = wanted.split(":")
    if parts[0] == "arn" and (parts[3], parts[4]) != (call.region, ACCOUNT):
        raise AwsError("NotFoundException", f"Key '{wanted}' does not exist", 400)
    return call.moto()

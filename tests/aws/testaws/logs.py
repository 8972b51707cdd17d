"""CloudWatch Logs: the checks that moto lacks."""

from __future__ import annotations

from typing import Any

from moto.logs.models import LogGroup, logs_backends

from .account_state import World
from .errors import AwsError
from .gateway import operation
from .wire import ACCOUNT, Call


def _describe(self: LogGroup) -> dict[str, Any]:
    return {**_moto_describes(self), "logGroupClass": "STANDARD", "deletionProtectionEnabled": False}


_moto_describes, LogGroup.to_describe_dict = LogGroup.to_describe_dict, _describe

RETENTION = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)


@operation("logs", "PutRetentionPolicy")
def put_retention_policy(world: World, call: Call) -> Any:
    if call.get("retentionInDays") not in RETENTION:
        raise AwsError(
            "InvalidParameterException",
            f"1 validation error detected: Value '{call.get('retentionInDays')}' at 'retentionInDays' failed to "
            f"satisfy constraint: Member must satisfy enum value set: {list(RETENTION)}",
            400,
        )
    return call.moto()


@operation("logs", "DeleteLogGroup")
def delete_log_group(world: World, call: Call) -> Any:
    backend = logs_backends[ACCOUNT][call.region]
    group = backend.groups.get(call.params["logGroupName"])
    response = call.moto()
    if response.status < 300 and group is not None:
        backend.tagger.delete_all_tags_for_resource(group.arn)
    return response


@operation("logs", "TagResource", "UntagResource", "ListTagsForResource")
def log_tags(world: World, call: Call) -> Any:
    if call.get("resourceArn", "").endswith(":*"):
        raise AwsError("InvalidParameterException", "The resource ARN is not valid: it must not end in :*", 400)
    return call.moto()

"""ElastiCache: serverless caches, and the users and user groups that control who may use them. Moto has none."""

from __future__ import annotations

import re
from typing import Any

from . import vpc_endpoints
from .account_state import World
from .cache_records import (
    ServerlessCache,
    User,
    UserGroup,
    in_region,
    serverless_json,
    user_group_json,
    user_json,
)
from .errors import AwsError
from .gateway import operation
from .interfaces import ec2_of
from .wire import Call

_IDENTIFIER = re.compile(r"[A-Za-z](?:-?[A-Za-z0-9])*")
_MAJORS = ("7", "8", "9")
# The user that each account has, which cannot be changed and is in no group of the engine valkey.
_DEFAULT = "default"


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValue", message)


def _combination(message: str) -> AwsError:
    return AwsError("InvalidParameterCombination", message)


def _tags(call: Call) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in call.get("Tags", [])}


def _identifier(name: str, parameter: str) -> str:
    if not _IDENTIFIER.fullmatch(name) or len(name) > 40:
        raise _invalid(
            f"The parameter {parameter} is not a valid identifier. Identifiers must begin with a letter; must contain "
            "only ASCII letters, digits, and hyphens; must not end with a hyphen or contain two consecutive hyphens; "
            "and must be 1 to 40 characters long."
        )
    return name.lower()


def _page(call: Call, items: list[Any], key: str, size: str, token: str) -> dict[str, Any]:
    length, start = call.get(size, 50), int(call.get(token, "0"))
    found: dict[str, Any] = {key: items[start : start + length]}
    if start + length < len(items):
        found[token] = str(start + length)
    return found


# --- users


def _user(world: World, name: str) -> User:
    user = world.caches.users.get(name.lower())
    if user is None:
        raise AwsError("UserNotFound", f"User {name} not found.", 404)
    return user


def _passwords(call: Call) -> list[str] | None:
    """The passwords that the call gives; None if it gives none."""
    mode = call.get("AuthenticationMode", {})
    given = call.get("Passwords") or mode.get("Passwords")
    if mode.get("Type") == "no-password-required" or call.get("NoPasswordRequired"):
        return []
    if given is None:
        return None
    if len(given) > 2:
        raise _combination("A user can have at most two passwords.")
    if any(not 16 <= len(password) <= 128 for password in given):
        raise _invalid("Passwords must be 16 to 128 printable characters.")
    return list(given)


def _access(text: str) -> str:
    """An access string, as far as it is checked: `on` or `off`, keys, channels, commands and categories."""
    words = text.split()
    unknown = [word for word in words if word not in ("on", "off") and not re.match(r"[~&+-]|%[RW]|all|reset", word)]
    if unknown or "reset" in words or any(word.startswith((">", "<", "#")) for word in words):
        raise _invalid(f"Invalid access string: {unknown or words}")
    return text


@operation("elasticache", "CreateUser")
def create_user(world: World, call: Call) -> Any:
    user_id = _identifier(call.params["UserId"], "UserId")
    if user_id in world.caches.users or user_id == _DEFAULT:
        raise AwsError("UserAlreadyExists", f"User {user_id} already exists.")
    passwords = _passwords(call)
    if passwords is None:
        raise _combination("Either passwords or no-password-required must be given.")
    user = User(
        user_id,
        call.region,
        call.params["UserName"],
        call.params["Engine"].lower(),
        _access(call.params["AccessString"]),
        passwords,
    )
    world.caches.users[user_id] = user
    world.caches.tags[user.arn] = _tags(call)
    return user_json(world, user)


@operation("elasticache", "DescribeUsers")
def describe_users(world: World, call: Call) -> Any:
    default = User(_DEFAULT, call.region, _DEFAULT, "redis", "on ~* +@all", [])
    name = call.get("UserId")
    users = [_user(world, name)] if name else [default, *in_region(call.region, world.caches.users.values())]
    return _page(call, [user_json(world, user) for user in users], "Users", "MaxRecords", "Marker")


def _require_active(user: User, verb: str) -> None:
    if user.status != "active":
        raise AwsError("InvalidUserState", f"User {user.id} has status {user.status}. Only active users can be {verb}.")


@operation("elasticache", "ModifyUser")
def modify_user(world: World, call: Call) -> Any:
    """The new passwords and rights apply after `modifying`. The given passwords replace the former ones."""
    user = _user(world, call.params["UserId"])
    _require_active(user, "modified")
    passwords = _passwords(call)
    access = _access(call.get("AccessString", user.access))
    user.status = "modifying"
    reply = user_json(world, user)

    def apply() -> None:
        if world.caches.users.get(user.id) is user and user.status == "modifying":
            user.passwords = user.passwords if passwords is None else passwords
            user.access, user.status = access, "active"

    world.after(world.delay("cache-user"), apply)
    return reply


@operation("elasticache", "DeleteUser")
def delete_user(world: World, call: Call) -> Any:
    user = _user(world, call.params["UserId"])
    _require_active(user, "deleted")
    groups = [group for group in world.caches.user_groups.values() if user.id in group.user_ids]
    if user.name == _DEFAULT and groups:
        raise AwsError(
            "DefaultUserAssociatedToUserGroup",
            f"User {user.id} is the default user of user group {groups[0].id} and cannot be deleted.",
        )
    for group in groups:
        group.user_ids.remove(user.id)
    user.status = "deleting"
    reply = user_json(world, user)

    def gone() -> None:
        if world.caches.users.get(user.id) is user:
            del world.caches.users[user.id]
            world.caches.tags.pop(user.arn, None)

    world.after(world.delay("cache-user-delete"), gone)
    return reply


# --- user groups


def _user_group(world: World, name: str) -> UserGroup:
    group = world.caches.user_groups.get(name.lower())
    if group is None:
        raise AwsError("UserGroupNotFound", f"UserGroup {name} not found.", 404)
    return group


def _members(world: World, engine: str, user_ids: list[str]) -> list[str]:
    """The users of a group. One of the engine valkey needs no user named `default`; each user has a password."""
    users = [_user(world, user_id) for user_id in user_ids]
    names = [user.name for user in users]
    if len(set(names)) < len(names):
        raise AwsError("DuplicateUserName", "A user group can have one user of each name.")
    if engine == "redis" and _DEFAULT not in names:
        raise AwsError("DefaultUserRequired", "User group needs to contain a user with the user name default.")
    if engine == "valkey" and not all(user.passwords for user in users):
        raise _combination("Users without a password cannot be in a user group of the engine valkey.")
    return [user.id for user in users]


@operation("elasticache", "CreateUserGroup")
def create_user_group(world: World, call: Call) -> Any:
    group_id = _identifier(call.params["UserGroupId"], "UserGroupId")
    if group_id in world.caches.user_groups:
        raise AwsError("UserGroupAlreadyExists", f"User group {group_id} already exists.")
    engine = call.params["Engine"].lower()
    group = UserGroup(group_id, call.region, engine, _members(world, engine, call.get("UserIds", [])))
    world.caches.user_groups[group_id] = group
    world.caches.tags[group.arn] = _tags(call)
    reply = user_group_json(world, group)
    _become(world, group)
    return reply


def _become(world: World, group: UserGroup) -> None:
    """The group becomes active."""
    status = group.status

    def active() -> None:
        if world.caches.user_groups.get(group.id) is group and group.status == status:
            group.status = "active"

    world.after(world.delay("cache-user-group"), active)


@operation("elasticache", "DescribeUserGroups")
def describe_user_groups(world: World, call: Call) -> Any:
    name = call.get("UserGroupId")
    groups = [_user_group(world, name)] if name else in_region(call.region, world.caches.user_groups.values())
    return _page(call, [user_group_json(world, group) for group in groups], "UserGroups", "MaxRecords", "Marker")


def _require_active_group(group: UserGroup) -> None:
    if group.status != "active":
        raise AwsError("InvalidUserGroupState", f"User group {group.id} has status {group.status}.")


@operation("elasticache", "ModifyUserGroup")
def modify_user_group(world: World, call: Call) -> Any:
    group = _user_group(world, call.params["UserGroupId"])
    _require_active_group(group)
    removed = call.get("UserIdsToRemove", [])
    user_ids = [user_id for user_id in group.user_ids if user_id not in removed] + call.get("UserIdsToAdd", [])
    group.user_ids = _members(world, group.engine, user_ids)
    group.status = "modifying"
    reply = user_group_json(world, group)
    _become(world, group)
    return reply


@operation("elasticache", "DeleteUserGroup")
def delete_user_group(world: World, call: Call) -> Any:
    group = _user_group(world, call.params["UserGroupId"])
    _require_active_group(group)
    if any(cache.user_group == group.id for cache in world.caches.serverless.values()):
        raise AwsError("InvalidUserGroupState", f"User group {group.id} is associated with a serverless cache.")
    group.status = "deleting"
    reply = user_group_json(world, group)

    def gone() -> None:
        if world.caches.user_groups.get(group.id) is group:
            del world.caches.user_groups[group.id]
            world.caches.tags.pop(group.arn, None)

    world.after(world.delay("cache-user-group-delete"), gone)
    return reply


# --- serverless caches


def _cache(world: World, name: str) -> ServerlessCache:
    cache = world.caches.serverless.get(name.lower())
    if cache is None:
        raise AwsError("ServerlessCacheNotFoundFault", f"Serverless Cache {name} not found.", 404)
    return cache


def _require(cache: ServerlessCache, *statuses: str) -> None:
    if cache.status not in statuses:
        raise AwsError(
            "InvalidServerlessCacheStateFault",
            "Serverless cache is not in an available state to perform the requested action.",
        )


def _place(call: Call) -> tuple[str, list[str]]:
    """(VPC, subnets) of the request: two or three subnets of one VPC, each in another zone."""
    known = {subnet.id: subnet for subnet in ec2_of(call.region).describe_subnets()}
    wanted = call.get("SubnetIds", [])
    if any(subnet_id not in known for subnet_id in wanted):
        raise _invalid(f"Some subnets do not exist: {wanted}")
    vpcs = {known[subnet_id].vpc_id for subnet_id in wanted}
    zones = {known[subnet_id].availability_zone for subnet_id in wanted}
    if len(vpcs) != 1 or not 2 <= len(wanted) <= 3 or len(zones) != len(wanted):
        raise _invalid("Give two or three subnets of one VPC that are in different availability zones.")
    return vpcs.pop(), list(wanted)


def _security_groups(call: Call, vpc_id: str) -> list[str]:
    ec2 = ec2_of(call.region)
    wanted = call.get("SecurityGroupIds") or [ec2.get_default_security_group(vpc_id).id]
    for group_id in wanted:
        found = ec2.get_security_group_from_id(group_id)
        if found is None or found.vpc_id != vpc_id:
            raise _invalid(f"Some security groups are invalid: [{group_id}]")
    return list(wanted)


def _major(call: Call, default: str) -> str:
    major = call.get("MajorEngineVersion", default)
    if major not in _MAJORS:
        raise _combination(f"Cannot find major version {major} for valkey")
    return major


@operation("elasticache", "CreateServerlessCache")
def create_serverless_cache(world: World, call: Call) -> Any:
    name = _identifier(call.params["ServerlessCacheName"], "ServerlessCacheName")
    if name in world.caches.serverless:
        raise AwsError("ServerlessCacheAlreadyExistsFault", f"Serverless Cache {name} already exists.")
    if call.params["Engine"].lower() != "valkey":
        raise _invalid("the test AWS keeps serverless caches of the engine valkey only")
    major = _major(call, _MAJORS[-1])
    storage = call.get("CacheUsageLimits", {}).get("DataStorage", {})
    if not 1 <= storage.get("Maximum", 1) <= 5000:
        raise _invalid("The maximum data storage must be between 1 and 5000 GB.")
    vpc_id, subnet_ids = _place(call)
    security_groups = _security_groups(call, vpc_id)
    user_group = call.get("UserGroupId")
    if user_group:
        _require_active_group(_user_group(world, user_group))
    service = f"com.amazonaws.elasticache.serverless.{call.region}.vpce-svc-0123456789abcdef0"
    cache = ServerlessCache(
        name,
        call.region,
        call.get("Description", ""),
        major,
        call.get("CacheUsageLimits", {}),
        security_groups,
        subnet_ids,
        user_group.lower() if user_group else None,
        vpc_endpoints.add(call.region, vpc_id, service, subnet_ids, security_groups),
    )
    world.caches.serverless[name] = cache
    world.caches.tags[cache.arn] = _tags(call)
    reply = {"ServerlessCache": serverless_json(world, cache)}
    outcome = world.outcome("serverless-cache")
    _later(world, cache, "serverless-cache", outcome if isinstance(outcome, str) else "available")
    return reply


def _later(world: World, cache: ServerlessCache, kind: str, status: str) -> None:
    cache.turn += 1
    begun = cache.turn

    def become() -> None:
        if world.caches.serverless.get(cache.name) is cache and cache.turn == begun:
            cache.status = status
            cache.was_available = cache.was_available or status == "available"

    world.after(world.delay(kind), become)


def modifying(world: World, cache: ServerlessCache) -> None:
    cache.status = "modifying"
    _later(world, cache, "serverless-cache-update", "available")


@operation("elasticache", "DescribeServerlessCaches")
def describe_serverless_caches(world: World, call: Call) -> Any:
    name = call.get("ServerlessCacheName")
    caches = [_cache(world, name)] if name else in_region(call.region, world.caches.serverless.values())
    return _page(
        call, [serverless_json(world, cache) for cache in caches], "ServerlessCaches", "MaxResults", "NextToken"
    )


@operation("elasticache", "ModifyServerlessCache")
def modify_serverless_cache(world: World, call: Call) -> Any:
    cache = _cache(world, call.params["ServerlessCacheName"])
    _require(cache, "available")
    major = _major(call, cache.major)
    if int(major) < int(cache.major):
        raise _combination(f"Cannot downgrade the major engine version from {cache.major} to {major}.")
    if "UserGroupId" in call.params:
        group = _user_group(world, call.params["UserGroupId"])
        _require_active_group(group)
        cache.user_group = group.id
    if call.get("RemoveUserGroup"):
        cache.user_group = None
    if "SecurityGroupIds" in call.params:
        vpc_id = ec2_of(cache.region).get_subnet(cache.subnet_ids[0]).vpc_id
        cache.security_groups = _security_groups(call, vpc_id)
        vpc_endpoints.set_groups(cache.region, cache.endpoint_id, cache.security_groups)
    cache.limits = call.get("CacheUsageLimits", cache.limits)
    cache.major = major
    modifying(world, cache)
    return {"ServerlessCache": serverless_json(world, cache)}


@operation("elasticache", "DeleteServerlessCache")
def delete_serverless_cache(world: World, call: Call) -> Any:
    cache = _cache(world, call.params["ServerlessCacheName"])
    _require(cache, "available", "create-failed")
    cache.status = "deleting"
    cache.turn += 1
    reply = {"ServerlessCache": serverless_json(world, cache)}

    def gone() -> None:
        if world.caches.serverless.get(cache.name) is cache:
            vpc_endpoints.remove(cache.region, cache.endpoint_id)
            del world.caches.serverless[cache.name]
            world.caches.tags.pop(cache.arn, None)

    world.after(world.delay("serverless-cache-delete"), gone)
    return reply


# --- tags


TAGGED = ("serverlesscache", "user", "usergroup")


def check_tagging(world: World, kind: str, name: str) -> None:
    """Refuses tag operations, reading too, in the states in which AWS refuses them."""
    if kind == "serverlesscache":
        _require(_cache(world, name), "available", "modifying")
    elif kind == "user" and _user(world, name).status != "active":
        raise AwsError("UserNotFound", f"User {name} is not available for tagging.", 404)
    elif kind == "usergroup" and _user_group(world, name).status != "active":
        raise AwsError("UserGroupNotFound", f"UserGroup {name} is not available for tagging.", 404)

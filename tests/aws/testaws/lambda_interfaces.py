"""The network interfaces of functions: one for each combination of subnet and security groups, shared, and slow to
delete.

An interface stays in use while a function or a published version uses its combination, and for `eni_linger` seconds
after the last one stops using it. It then becomes available, and the caller can delete it. It stays in use forever if
its role no longer exists by then, or if the function was deleted while its VPC configuration was being changed.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import interfaces, roles
from .interfaces import ec2_of
from .wire import ACCOUNT
from .account_state import World

if TYPE_CHECKING:
    from .awslambda import Function

Pair = tuple[str, tuple[str, ...]]  # subnet, sorted security groups


@dataclass
class Shared:
    eni_id: str
    region: str
    role: str
    users: set[str] = field(default_factory=set)
    left: int = 0  # how often the last user left; each time invalidates the release timers started before


def fresh(world: World) -> None:
    world.function_interfaces: dict[Pair, Shared] = {}


def _wanted(function: Function) -> set[Pair]:
    groups = tuple(sorted(function.groups))
    return {(subnet, groups) for subnet in function.subnets}


def use(world: World, function: Function) -> None:
    """Assigns the interfaces of the current VPC configuration to the function."""
    for pair in _wanted(function):
        shared = world.function_interfaces.get(pair)
        if shared is None:
            subnet = ec2_of(function.region).get_subnet(pair[0])
            eni = interfaces.add(
                function.region,
                subnet,
                list(pair[1]),
                world.config["eni_description"].format(function=function.name, id=uuid.uuid4()),
                requester=f"{roles.id_of(function.role)}:{ACCOUNT}",
                interface_type="lambda",
            )
            shared = world.function_interfaces[pair] = Shared(eni.id, function.region, function.role)
        shared.users.add(function.key)
        shared.role = function.role
        function.interfaces.add(pair)


def leave_unused(world: World, function: Function) -> None:
    """Releases the interfaces that the current VPC configuration no longer requires."""
    for pair in function.interfaces - _wanted(function):
        _leave(world, pair, function.key, stranded=False)
    function.interfaces &= _wanted(function)


def abandon(world: World, function: Function, stranded: bool) -> None:
    """Releases the interfaces of a deleted function."""
    for pair in function.interfaces:
        kept = pair in _wanted(function)
        _leave(world, pair, function.key, stranded=stranded and not kept)
    function.interfaces = set()


def reclaim(world: World, function: Function) -> None:
    """The function was idle for weeks: Lambda takes the interfaces that nobody else uses."""
    for pair in function.interfaces:
        shared = world.function_interfaces.get(pair)
        if shared is None:
            continue
        shared.users.discard(function.key)
        if not shared.users:
            del world.function_interfaces[pair]
            interfaces.remove(shared.region, shared.eni_id)
    function.interfaces = set()


def strand(world: World, version: Function) -> None:
    """Strands the interfaces of a version whose function was deleted first: nothing releases them."""
    for pair in version.interfaces:
        _leave(world, pair, version.key, stranded=True)
    version.interfaces = set()


def _leave(world: World, pair: Pair, key: str, stranded: bool) -> None:
    shared = world.function_interfaces.get(pair)
    if shared is None:
        return
    shared.users.discard(key)
    if shared.users or stranded:
        return
    shared.left += 1
    begun = shared.left

    def release() -> None:
        if shared.users or shared.left != begun or world.function_interfaces.get(pair) is not shared:
            return
        if not roles.exists(shared.role):
            return  # Lambda requires the role to delete the interface
        del world.function_interfaces[pair]
        eni = ec2_of(shared.region).enis.get(shared.eni_id)
        if eni is not None:
            eni.status = "available"
            eni.interface_type = "interface"
            eni.attached = False

    world.after(world.config["eni_linger"], release)


def groups_in_use(world: World) -> set[str]:
    """The security groups of all functions and versions."""
    functions = world.functions.by_name.values()
    return {group for function in functions for one in (function, *function.versions.values()) for group in one.groups}

"""Copies of an account: their initial state, and their independence from the original."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

from .harness import Aws, check


def copy(aws: Aws) -> Aws:
    return Aws(aws.control("POST", "fork", {})["port"])


def vpcs(aws: Aws) -> int:
    return len(aws.account()["vpcs"])


@check
def a_copy_begins_with_the_state_and_goes_its_own_way(aws: Aws) -> None:
    """Resources and configuration are copied; log, faults, and requests are not. A copy can be copied and can end."""
    aws.vpc()
    aws.configure(page_size=2)
    aws.faults({"kind": "throttle", "operation": "CreateSubnet"})
    other = copy(aws)
    assert other.account() == aws.account()
    assert other.log() == [] and other.control("POST", "config", {})["page_size"] == 2
    other.subnet(other.vpc("10.1.0.0/16"), "10.1.1.0/24")
    third = copy(other)
    third.vpc("10.2.0.0/16")
    assert [vpcs(aws), vpcs(other), vpcs(third)] == [2, 3, 4]
    third.control("POST", "reset")
    assert [vpcs(aws), vpcs(other), vpcs(third)] == [2, 3, 1]
    assert len(aws.log()) == 1
    for ended in (other, third):
        assert ended.control("POST", "end", {}) == {}
        address = ("127.0.0.1", int(ended.url.rpartition(":")[2]))
        aws.eventually(lambda address=address: socket.socket().connect_ex(address) == 0, False)
    aws.vpc("10.3.0.0/16")


@check
def every_changing_call_is_held_once_and_can_be_copied(aws: Aws) -> None:
    """With concurrent callers, a copy contains exactly the effects of the held call and of the calls before it."""
    cidrs = [f"10.{n}.0.0/16" for n in range(1, 5)]
    aws.configure(quotas={"vpcs": 10})
    aws.faults({"mutating": True, "kind": "hold", "freeze": True})
    copies = []
    with ThreadPoolExecutor() as pool:
        made = [pool.submit(aws.vpc, cidr) for cidr in cidrs]
        for _ in cidrs:
            assert aws.control("GET", "held?timeout=30")["held"]["phase"] == "after"
            copies.append(copy(aws))
            assert aws.control("POST", "release") == {"released": 1}
        for result in made:
            result.result()
    assert aws.control("GET", "held?timeout=0") == {"held": None}
    assert [vpcs(one) for one in copies] == [2, 3, 4, 5]
    # A call that is held in the original is not held in a copy.
    copies[0].vpc("10.9.0.0/16")
    for one in copies:
        one.control("POST", "end", {})

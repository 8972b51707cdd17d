"""Starts the server and calls it: AWS through boto3, the control endpoints over HTTP."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

CHECKS: list[Callable[[Aws], None]] = []

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
ENI_POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:*NetworkInterface*", "Resource": "*"}]}
)


def check(function: Callable[[Aws], None]) -> Callable[[Aws], None]:
    CHECKS.append(function)
    return function


class Server:
    """The server process under test."""

    def __enter__(self) -> Server:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve().parent.parent / "server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = json.loads(self.process.stdout.readline())["port"]
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        assert self.process.wait(10) == 0, "the server ends with its standard input"


class Aws:
    """Clients for the server, and helpers that most checks use."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str = "us-east-1") -> Any:
        if (service, region) not in self._clients:
            self._clients[service, region] = boto3.client(
                service,
                endpoint_url=self.url,
                region_name=region,
                aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
                aws_secret_access_key="none",
                config=Config(retries={"total_max_attempts": 1}, parameter_validation=False, max_pool_connections=50),
            )
        return self._clients[service, region]

    def __getattr__(self, name: str) -> Any:
        names = {"lambda_": "lambda", "quotas": "service-quotas"}
        return self.client(names.get(name, name))

    def control(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_test/{path}", method=method, data=data)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return json.loads(reply.read())
        except urllib.error.HTTPError as refused:
            return json.loads(refused.read())

    def ask(
        self, path: str, headers: dict[str, str] | None = None, method: str = "GET"
    ) -> tuple[int, dict[str, str], str]:
        """(status, headers in lower case, body) of a request to a deployed API."""
        request = urllib.request.Request(f"{self.url}{path}", headers=headers or {}, method=method)
        try:
            reply = urllib.request.urlopen(request, timeout=30)
        except urllib.error.HTTPError as refused:
            reply = refused
        with reply:
            found = {name.lower(): value for name, value in reply.headers.items()}
            return reply.status, found, reply.read().decode()

    def get(self, path: str, headers: dict[str, str] | None = None) -> int:
        return self.ask(path, headers)[0]

    def reset(self, **config: Any) -> None:
        self.control("POST", "reset")
        if config:
            self.configure(**config)

    def configure(self, **config: Any) -> None:
        answer = self.control("POST", "config", config)
        assert "error" not in answer, answer

    def faults(self, *rules: dict[str, Any]) -> None:
        answer = self.control("POST", "faults", list(rules))
        assert answer == {}, answer

    def log(self) -> list[dict[str, Any]]:
        return self.control("GET", "log")

    def account(self) -> dict[str, Any]:
        return self.control("GET", "account")

    def seed_api(self, *methods: dict[str, Any], **more: Any) -> dict[str, Any]:
        api = {"name": "orders", "stage": "prod", "methods": list(methods), **more}
        return self.control("POST", "seed", {"api": api})

    @contextlib.contextmanager
    def refused(self, code: str, text: str = "") -> Iterator[None]:
        """Requires that the call inside fails with this code and with this text in its message."""
        try:
            yield
        except ClientError as error:
            found = error.response["Error"]
            assert found["Code"] == code, f"{found['Code']} where {code} was expected: {found['Message']}"
            assert text in found["Message"], f"{text!r} is not in {found['Message']!r}"
        else:
            raise AssertionError(f"not refused; {code} was expected")

    def advance(self, seconds: float) -> None:
        self.control("POST", "advance", {"seconds": seconds})

    def eventually(self, what: Callable[[], Any], wanted: Any, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while True:
            found = what()
            if found == wanted:
                return
            assert time.monotonic() < deadline, f"{found!r} did not become {wanted!r}"
            time.sleep(0.02)

    # --- resources

    def vpc(self, cidr: str = "10.0.0.0/16") -> str:
        return self.ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]

    def subnet(self, vpc: str, cidr: str = "10.0.1.0/24", zone: str = "us-east-1a") -> str:
        return self.ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]["SubnetId"]

    def group(self, vpc: str, name: str = "g") -> str:
        return self.ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]

    def igw(self, vpc: str) -> str:
        igw = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=igw, VpcId=vpc)
        return igw

    def nat(self, subnet: str, **more: Any) -> tuple[str, str]:
        address = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        made = self.ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address, **more)
        return made["NatGateway"]["NatGatewayId"], address

    def nat_state(self, nat: str) -> str:
        return self.ec2.describe_nat_gateways(NatGatewayIds=[nat])["NatGateways"][0]["State"]

    def role(self, name: str = "r", policy: str | None = ENI_POLICY, trust: str = TRUST) -> str:
        arn = self.iam.create_role(RoleName=name, Path="/t/", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        if policy:
            self.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)
        return arn

    def function(self, role: str, name: str = "f", **more: Any) -> dict[str, Any]:
        parameters = {
            "FunctionName": name,
            "Runtime": "provided.al2023",
            "Handler": "bootstrap",
            "Role": role,
            "Code": {"ZipFile": package()},
            **more,
        }
        return self.lambda_.create_function(**parameters)

    def network(self) -> dict[str, str]:
        vpc = self.vpc()
        return {"vpc": vpc, "subnet": self.subnet(vpc), "group": self.group(vpc)}

    def cache(self, net: dict[str, str], name: str = "c", **more: Any) -> dict[str, Any]:
        if not self.elasticache.describe_cache_subnet_groups()["CacheSubnetGroups"]:
            self.elasticache.create_cache_subnet_group(
                CacheSubnetGroupName="sg", CacheSubnetGroupDescription="d", SubnetIds=[net["subnet"]]
            )
        parameters = {
            "ReplicationGroupId": name,
            "ReplicationGroupDescription": "d",
            "CacheNodeType": "cache.t4g.micro",
            "Engine": "redis",
            "CacheSubnetGroupName": "sg",
            "SecurityGroupIds": [net["group"]],
            "TransitEncryptionEnabled": True,
            **more,
        }
        return self.elasticache.create_replication_group(**parameters)["ReplicationGroup"]

    def cache_status(self, name: str = "c") -> str:
        try:
            found = self.elasticache.describe_replication_groups(ReplicationGroupId=name)
        except ClientError as error:
            return error.response["Error"]["Code"]
        return found["ReplicationGroups"][0]["Status"]

    def enis(self, **filters: str) -> list[dict[str, Any]]:
        wanted = [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in filters.items()]
        return self.ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"]


def package(content: bytes = b"bootstrap") -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(zipfile.ZipInfo("bootstrap", (2020, 1, 1, 0, 0, 0)), content)
    return data.getvalue()


def filters(**wanted: str) -> list[dict[str, Any]]:
    return [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in wanted.items()]

"""The control endpoints, the log, and the fault table."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.parsers import ResponseParserError

from .harness import Aws, check, package


def signature(service: str) -> str:
    scope = f"x/20260101/us-east-1/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=x"


@check
def reset_empties(aws: Aws) -> None:
    """A reset is fast and restores the initial state."""
    before = aws.account()
    aws.control("POST", "seed", {"foreign": True})
    aws.seed_api({"method": "GET", "path": "/"})
    aws.configure(page_size=2, delay=3)
    aws.faults({"kind": "throttle"})
    assert aws.account() != before
    aws.control("POST", "reset")
    after = aws.account()
    assert {kind: len(items) for kind, items in after.items()} == {kind: len(items) for kind, items in before.items()}
    assert aws.log() == [] and aws.control("POST", "config", {})["page_size"] is None
    aws.ec2.describe_vpcs()


@check
def configuration_is_strict(aws: Aws) -> None:
    """Unknown keys are refused."""
    assert "error" in aws.control("POST", "config", {"delays": 1})
    assert "error" in aws.control("POST", "faults", [{"kind": "explode"}])
    assert "error" in aws.control("POST", "faults", [{"kind": "throttle", "when": 1}])
    assert "error" in aws.control("GET", "nothing")


@check
def log_says_what_was_asked(aws: Aws) -> None:
    """Service, operation, actions, parameters without secrets, and the access key."""
    tags = [{"ResourceType": "vpc", "Tags": [{"Key": "a", "Value": "b"}]}]
    aws.ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tags)
    aws.ssm.put_parameter(Name="/p", Type="SecureString", Value="hush-hush")
    aws.apigateway.get_rest_apis()
    aws.function(aws.role(policy=None))
    with aws.refused("InvalidVpcID.NotFound"):
        aws.ec2.delete_vpc(VpcId="vpc-0123456789abcdef0")
    log = aws.log()
    assert [entry["n"] for entry in log] == list(range(1, len(log) + 1))
    vpc, parameter, apis, _, function, missing = log
    assert {entry["access_key"] for entry in log} == {"AKIAIOSFODNN7EXAMPLE"}
    assert (vpc["service"], vpc["operation"], vpc["mutating"], vpc["status"]) == ("ec2", "CreateVpc", True, 200)
    assert vpc["iam_action"] == "ec2:CreateVpc" and vpc["iam_actions"] == ["ec2:CreateVpc", "ec2:CreateTags"]
    assert vpc["parameters"]["CidrBlock"] == "10.0.0.0/16" and vpc["model_errors"] == []
    assert "hush-hush" not in json.dumps(log) and parameter["parameters"]["Value"] == "***"
    assert (apis["iam_action"], apis["mutating"]) == ("apigateway:GET", False)
    assert "iam:PassRole" in function["iam_actions"] and function["service"] == "lambda"
    assert (missing["status"], missing["error_code"]) == (400, "InvalidVpcID.NotFound")
    assert aws.control("GET", "stats") == {"requests": 6, "mutating": 5}
    aws.control("POST", "log/clear")
    assert aws.control("GET", "stats") == {"requests": 0, "mutating": 0}


@check
def requests_are_checked_against_the_model(aws: Aws) -> None:
    """Names, required members, types, enums, lengths, patterns, and ranges, in each protocol."""
    calls = [
        lambda: aws.ec2.create_subnet(CidrBlock="10.0.0.0/24"),
        lambda: aws.ec2.describe_vpc_attribute(VpcId="vpc-1", Attribute="enableMagic"),
        lambda: aws.logs.create_log_group(logGroupName="bad name!"),
        lambda: aws.ssm.put_parameter(Name="/p", Type="Text", Value="x"),
        lambda: aws.lambda_.create_function(FunctionName="f", Role="r", Code={"ZipFile": package()}, MemorySize=1),
        lambda: aws.iam.create_role(RoleName="bad name!", AssumeRolePolicyDocument="{}"),
    ]
    for index, call in enumerate(calls):
        aws.control("POST", "log/clear")
        with contextlib.suppress(ClientError):
            call()
        assert aws.log()[0]["model_errors"], f"call {index} has no finding"
    aws.control("POST", "log/clear")
    headers = {
        "Authorization": signature("ssm"),
        "X-Amz-Target": "AmazonSSM.GetParameter",
        "Content-Type": "application/x-amz-json-1.1",
    }
    port = int(aws.url.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/", body=json.dumps({"Name": 5, "Nam": "x"}), headers=headers)
    connection.getresponse().read()
    assert any("Nam" in text for text in aws.log()[0]["model_errors"]), aws.log()
    assert any("int where string" in text for text in aws.log()[0]["model_errors"])


@check
def connections_are_kept(aws: Aws) -> None:
    """Many requests on one connection, including one with a chunked body."""
    port = int(aws.url.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.connect()
    before = connection.sock
    headers = {
        "Authorization": signature("sts"),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    for data in (body, iter([body[:10], body[10:]])):
        connection.request("POST", "/", body=data, headers=headers, encode_chunked=data is not body)
        reply = connection.getresponse()
        assert reply.status == 200 and b"123456789012" in reply.read()
    assert connection.sock is before


@check
def missing_operations_are_named(aws: Aws) -> None:
    """A call that is not implemented receives a clear 400, not a 500 that the SDK would retry."""
    with aws.refused("TestAwsUnimplemented"):
        aws.ec2.describe_ipam_pools()
    entry = aws.log()[-1]
    assert entry["unimplemented"] and entry["status"] == 400 and entry["operation"] == "DescribeIpamPools"
    aws.control("POST", "log/clear")


@check
def faults_fail_calls(aws: Aws) -> None:
    """Throttling, 500, 503, denial, a given error; for the nth call, for every first attempt, and with a limited count."""
    aws.faults({"operation": "CreateVpc", "kind": "throttle", "nth": 2})
    aws.vpc("10.1.0.0/16")
    with aws.refused("RequestLimitExceeded"):
        aws.vpc("10.2.0.0/16")
    aws.vpc("10.2.0.0/16")
    aws.faults({"mutating": True, "every": True, "kind": "500"})
    for cidr in ("10.3.0.0/24", "10.4.0.0/24"):
        with aws.refused("InternalError"):
            aws.ec2.create_vpc(CidrBlock=cidr)
    aws.ec2.describe_vpcs()
    aws.ec2.create_vpc(CidrBlock="10.3.0.0/24")
    for service, kind, code in (
        ("apigateway", "throttle", "TooManyRequestsException"),
        ("ssm", "throttle", "ThrottlingException"),
        ("iam", "503", "ServiceUnavailable"),
        ("lambda", "deny", "AccessDeniedException"),
    ):
        aws.faults({"service": service, "kind": kind, "times": 1})
        call = {
            "apigateway": lambda: aws.apigateway.get_rest_apis(),
            "ssm": lambda: aws.ssm.get_parameters(Names=["/x"]),
            "iam": lambda: aws.iam.list_roles(),
            "lambda": lambda: aws.lambda_.list_functions(),
        }[service]
        with aws.refused(code):
            call()
        call()
    aws.faults({"operation": "Create*", "kind": "deny"})
    with aws.refused("UnauthorizedOperation", "is not authorized to perform: ec2:CreateVpc"):
        aws.vpc("10.5.0.0/16")
    aws.faults({"operation": "CreateVpc", "kind": "deny", "iam_action": "ec2:CreateTags"})
    with aws.refused("UnauthorizedOperation", "is not authorized to perform: ec2:CreateTags"):
        aws.vpc("10.5.0.0/16")
    aws.faults({"operation": "DescribeVpcs", "kind": "error", "code": "Odd", "message": "odd", "status": 418})
    with aws.refused("Odd"):
        aws.ec2.describe_vpcs()
    assert all(entry["injected"] == (entry["error_code"] is not None) for entry in aws.log())


@check
def reads_can_lag(aws: Aws) -> None:
    """The configured number of reads does not show a new resource."""
    aws.vpc("10.1.0.0/16")
    aws.configure(read_lag=2)
    vpc = aws.vpc("10.2.0.0/16")
    shown = lambda: vpc in [one["VpcId"] for one in aws.ec2.describe_vpcs()["Vpcs"]]  # noqa: E731
    assert vpc in [one["id"] for one in aws.account()["vpcs"]]
    assert [shown() for _ in range(3)] == [False, False, True]
    assert len(aws.ec2.describe_vpcs()["Vpcs"]) == 3
    aws.role()
    for _ in range(2):
        with aws.refused("NoSuchEntity"):
            aws.iam.get_role(RoleName="r")
    assert aws.iam.get_role(RoleName="r")["Role"]["RoleName"] == "r"


@check
def replies_can_be_lost(aws: Aws) -> None:
    """The call is executed, but the connection is closed."""
    aws.faults({"operation": "CreateVpc", "kind": "drop", "times": 1})
    try:
        aws.vpc()
    except ConnectionClosedError:
        pass
    else:
        raise AssertionError("a reply came")
    assert len(aws.ec2.describe_vpcs()["Vpcs"]) == 2
    assert aws.log()[0]["injected"] and aws.log()[0]["status"] == 200


@check
def replies_can_be_unreadable(aws: Aws) -> None:
    """The call is executed, but its reply cannot be parsed."""
    aws.faults({"operation": "Create*", "kind": "unreadable"})
    try:
        aws.vpc()
    except ResponseParserError:
        pass
    else:
        raise AssertionError("the reply could be read")
    assert "id" not in aws.apigateway.create_rest_api(name="a")
    assert len(aws.ec2.describe_vpcs()["Vpcs"]) == 2
    assert len(aws.apigateway.get_rest_apis()["items"]) == 1
    assert aws.log()[0]["injected"] and aws.log()[0]["status"] == 200


@check
def calls_can_be_held(aws: Aws) -> None:
    """Calls are held before or after they are executed, until they are released."""
    assert aws.control("GET", "held?timeout=0") == {"held": None}
    for phase, kind, count in (("after", "hold", 2), ("before", "hold-before", 2)):
        aws.faults({"operation": "CreateVpc", "kind": kind, "nth": 1})
        thread = threading.Thread(target=lambda: aws.vpc())
        thread.start()
        held = aws.control("GET", "held?timeout=10")["held"]
        assert (held["operation"], held["phase"]) == ("CreateVpc", phase)
        assert len(aws.ec2.describe_vpcs()["Vpcs"]) == count
        assert aws.control("POST", "release") == {"released": 1}
        thread.join(10)
        assert not thread.is_alive()
    assert len(aws.ec2.describe_vpcs()["Vpcs"]) == 3


@check
def killed_callers_leave_no_trace(aws: Aws) -> None:
    """A freezing hold blocks all other calls. If the caller of the hold disconnects, calls that waited are not
    executed."""
    port = int(aws.url.rpartition(":")[2])
    aws.faults({"operation": "CreateVpc", "kind": "hold", "nth": 1, "freeze": True})

    def send(body: str) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(
            f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {signature('ec2')}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        return connection

    first = send("Action=CreateVpc&Version=2016-11-15&CidrBlock=10.1.0.0%2F16")
    assert aws.control("GET", "held?timeout=10")["held"]
    others = [send(f"Action=CreateVpc&Version=2016-11-15&CidrBlock=10.{index}.0.0%2F16") for index in (2, 3)]
    aws.eventually(lambda: len(aws.log()), 3)
    for connection in (*others, first):
        connection.close()
    aws.eventually(lambda: aws.control("GET", "held?timeout=0")["held"], None)
    aws.eventually(lambda: [entry["error_code"] for entry in aws.log()], [None, "ClientGone", "ClientGone"])
    assert len(aws.ec2.describe_vpcs()["Vpcs"]) == 2


@check
def someone_else_can_call(aws: Aws) -> None:
    """Calls as another user are neither logged nor subject to faults, and their errors are returned."""
    aws.faults({"kind": "throttle"})
    body = {"service": "ec2", "operation": "CreateVpc", "parameters": {"CidrBlock": "10.0.0.0/16"}}
    vpc = aws.control("POST", "call", body)["Vpc"]["VpcId"]
    assert vpc in {item["id"] for item in aws.account()["vpcs"]} and aws.log() == []
    answer = aws.control("POST", "call", {"service": "ec2", "operation": "DeleteVpc", "parameters": {"VpcId": "vpc-1"}})
    assert answer["code"] == "InvalidVpcID.NotFound", answer
    body = {"service": "lambda", "operation": "GetPolicy", "parameters": {"FunctionName": "f"}}
    assert aws.control("POST", "call", body)["code"] == "ResourceNotFoundException"


@check
def foreign_stack(aws: Aws) -> None:
    """A second stack and resources with similar names in the same account are created immediately, regardless of
    delays."""
    aws.configure(delay=30, role_delay=30)
    found = aws.control("POST", "seed", {"foreign": True})["foreign"]
    account = aws.account()
    assert found["stack"] == "other" and len(account["functions"]) == 2 and len(account["rest_apis"]) == 1
    assert account["replication_groups"][0]["Status"] == "available"
    assert {gateway["state"] for gateway in account["nat_gateways"]} == {"available"}
    assert "threescale-gw-handmade" in {role["name"] for role in account["roles"]}
    assert aws.account() == account


@check
def parallel_calls_are_one_step_each(aws: Aws) -> None:
    """Of concurrent calls that create the same name, exactly one succeeds, and no change is lost."""
    vpc = aws.vpc()

    def attempt(_: int) -> str:
        try:
            aws.group(vpc, "same")
        except ClientError as refused:
            return refused.response["Error"]["Code"]
        return "made"

    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(attempt, range(40)))
        assert results.count("made") == 1 and results.count("InvalidGroup.Duplicate") == 39, results
        names = list(pool.map(lambda index: aws.group(vpc, f"g{index}"), range(100)))
    assert len(set(names)) == 100
    assert len(aws.ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"]) == 102


@check
def restart_is_not_needed(aws: Aws) -> None:
    """After a hundred resets, the server still works as before."""
    for _ in range(100):
        aws.control("POST", "reset")
    assert len(aws.ec2.describe_vpcs()["Vpcs"]) == 1

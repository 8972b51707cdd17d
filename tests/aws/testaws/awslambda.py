"""Lambda, implemented here: functions have states, network interfaces, and roles that might not be assumable yet."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import hashlib
import io
import json
import re
import uuid
import zipfile
from dataclasses import dataclass, field
from typing import Any

from . import kms_keys, lambda_idle, lambda_interfaces, lambda_invoke, read_lag, roles
from .errors import AwsError
from .gateway import operation
from .interfaces import ec2_of
from .wire import PARTITIONS, Call, Response
from .wire import arn as arn_of
from .account_state import World

_RESERVED = {
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
}


@dataclass
class Function:
    name: str
    region: str
    role: str
    runtime: str
    handler: str
    code: bytes
    description: str = ""
    timeout: int = 3
    memory: int = 128
    architectures: list[str] = field(default_factory=lambda: ["x86_64"])
    environment: dict[str, str] = field(default_factory=dict)
    tracing: str = "PassThrough"
    logging: dict[str, Any] = field(default_factory=dict)
    ephemeral: int = 512
    kms_key: str | None = None
    layers: list[str] = field(default_factory=list)
    subnets: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    vpc_id: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    policies: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by qualifier, "" for the function itself
    version: str = "$LATEST"
    versions: dict[str, Function] = field(default_factory=dict)  # published versions by number
    aliases: dict[str, dict[str, Any]] = field(default_factory=dict)
    published: int = 0  # the highest version number so far
    policy_revision: str = ""
    revision: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: str = "Pending"
    state_reason: tuple[str, str] | None = ("The function is being created.", "Creating")
    update_status: str = "InProgress"
    update_reason: tuple[str, str] | None = ("The function is being created.", "Creating")
    modified: str = ""
    interfaces: set[lambda_interfaces.Pair] = field(default_factory=set)
    with_vpc: bool = False  # whether it was ever given a VPC configuration, or an environment, empty ones included
    with_environment: bool = False
    reserved: int | None = None  # concurrent executions
    idle: lambda_idle.Idle | None = None  # how it answers until it is active again

    @property
    def arn(self) -> str:
        return arn_of("lambda", self.region, f"function:{self.name}")

    @property
    def key(self) -> str:
        """Distinguishes the function and its versions."""
        return self.name if self.version == "$LATEST" else f"{self.name}:{self.version}"

    def touch(self) -> None:
        self.revision = str(uuid.uuid4())
        now = datetime.datetime.now(datetime.UTC)
        # Of an update Lambda tells the second.
        milliseconds = 0 if self.modified else now.microsecond // 1000
        self.modified = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds:03}+0000"


@dataclass
class Functions:
    by_name: dict[str, Function] = field(default_factory=dict)


def fresh(world: World) -> None:
    world.functions = Functions()
    lambda_interfaces.fresh(world)


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValueException", message, 400)


def validation(value: Any, member: str, constraint: str) -> AwsError:
    return AwsError(
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}",
        400,
    )


_NAME = re.compile(rf"(?:(?:arn:{PARTITIONS}:lambda:[a-z0-9-]+:)?(?:\d{{12}}:)?function:)?([A-Za-z0-9_-]+)(?::(.+))?")


def named(text: str) -> tuple[str, str | None]:
    """The function's name and the qualifier out of a name, a partial or a full ARN."""
    found = _NAME.fullmatch(text)
    return (found.group(1), found.group(2)) if found else (text, None)


def _name(text: str) -> str:
    return named(text)[0]


def function_of(world: World, call: Call, member: str = "FunctionName") -> Function:
    name = _name(call.params[member])
    function = world.functions.by_name.get(name)
    if function is None:
        arn = arn_of("lambda", call.region, f"function:{name}")
        raise AwsError("ResourceNotFoundException", f"Function not found: {arn}", 404)
    return function


def resolve(function: Function, qualifier: str | None) -> Function | None:
    """The function or the version that a qualifier refers to, or None if there is no such version or alias."""
    if qualifier in function.aliases:
        qualifier = function.aliases[qualifier]["FunctionVersion"]
    if qualifier in (None, "", "$LATEST"):
        return function
    return function.versions.get(qualifier)


def _qualifier(call: Call) -> str | None:
    return call.get("Qualifier") or named(call.params["FunctionName"])[1]


def qualified(world: World, call: Call) -> Function:
    """The function or version that the call's function name and qualifier refer to."""
    function = function_of(world, call)
    qualifier = _qualifier(call)
    found = resolve(function, qualifier)
    if found is None:
        raise AwsError("ResourceNotFoundException", f"Function not found: {function.arn}:{qualifier}", 404)
    return found


# --- checks of parameters


def _check_code(call: Call, code: bytes | None) -> bytes:
    if not code:
        raise invalid("Please provide a source for function code.")
    if len(code) > 50 * 1024 * 1024:
        raise AwsError("RequestEntityTooLargeException", "Request must be smaller than 70167211 bytes", 413)
    try:
        with zipfile.ZipFile(io.BytesIO(code)) as archive:
            if archive.testzip() is not None or not archive.namelist():
                raise zipfile.BadZipFile
            if sum(entry.file_size for entry in archive.infolist()) > 262144000:
                raise invalid("Unzipped size must be smaller than 262144000 bytes")
    except (zipfile.BadZipFile, ValueError, EOFError):
        raise invalid("Could not unzip uploaded file. Please check your file, then try to upload again.") from None
    return code


def _check_environment(variables: dict[str, str]) -> dict[str, str]:
    reserved = sorted(set(variables) & _RESERVED)
    if reserved:
        raise invalid(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    for key in variables:
        if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]+", key):
            raise validation(key, "environment.variables", "Map keys must satisfy: [a-zA-Z]([a-zA-Z0-9_])+")
    # Lambda measures the names and values as JSON.
    size = len(json.dumps(variables, separators=(",", ":"), ensure_ascii=False).encode())
    if size > 4096:
        raise invalid(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            f"provided exceeded the 4KB limit. String measured: {size} bytes"
        )
    return dict(variables)


def _check_limits(call: Call) -> None:
    timeout, memory = call.get("Timeout", 3), call.get("MemorySize", 128)
    if not 1 <= timeout <= 900:
        raise validation(timeout, "timeout", "Member must have value less than or equal to 900")
    if not 128 <= memory <= 10240:
        raise validation(memory, "memorySize", "Member must have value less than or equal to 10240")


def _check_network(world: World, call: Call, wanted: dict[str, Any]) -> tuple[list[str], list[str], str]:
    """(subnets, security groups, VPC) of a VpcConfig; all empty for an empty one."""
    subnets, groups = list(wanted.get("SubnetIds") or []), list(wanted.get("SecurityGroupIds") or [])
    if not subnets and not groups:
        return [], [], ""
    if not subnets or not groups:
        raise invalid("SubnetIds and SecurityIds must coexist or be both empty list.")
    if len(subnets) > 16 or len(groups) > 5:
        raise invalid("At most 16 subnets and 5 security groups are supported.")
    ec2 = ec2_of(call.region)
    known = {subnet.id: subnet for subnet in ec2.describe_subnets()}
    for subnet in subnets:
        if subnet not in known or read_lag.is_hidden(world, call, subnet):
            raise invalid(
                "Error occurred while DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound. "
                f"EC2 Error Message: The subnet ID '{subnet}' does not exist"
            )
    vpcs = {known[subnet].vpc_id for subnet in subnets}
    for group in groups:
        found = ec2.get_security_group_from_id(group)
        if found is None or read_lag.is_hidden(world, call, group):
            raise invalid(
                "Error occurred while DescribeSecurityGroups. EC2 Error Code: InvalidGroup.NotFound. "
                f"EC2 Error Message: The security group '{group}' does not exist"
            )
        vpcs.add(found.vpc_id)
    if len(vpcs) != 1:
        raise invalid("The provided subnets and security groups must belong to the same VPC.")
    return subnets, groups, vpcs.pop()


def require_idle(function: Function) -> None:
    if function.state == "Pending":
        raise AwsError(
            "ResourceConflictException",
            "The operation cannot be performed at this time. The function is currently in the following state: Pending",
            409,
        )
    if function.update_status == "InProgress":
        raise AwsError(
            "ResourceConflictException",
            f"The operation cannot be performed at this time. An update is in progress for resource: {function.arn}",
            409,
        )


def require_revision(call: Call, function: Function) -> None:
    if call.get("RevisionId") and call.params["RevisionId"] != function.revision:
        raise AwsError(
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to "
            "retrieve the latest Revision Id",
            412,
        )


# --- functions


@operation("lambda", "CreateFunction")
def create_function(world: World, call: Call) -> Any:
    name = _name(call.params["FunctionName"])
    if len(name) > 64:
        raise validation(name, "functionName", "Member must have length less than or equal to 64")
    if call.get("PackageType", "Zip") != "Zip":
        raise invalid("the test AWS keeps functions of package type Zip only")
    if not call.get("Handler") or not call.get("Runtime"):
        raise invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
    if call.model.input_shape.members["Runtime"].enum and (
        call.params["Runtime"] not in call.model.input_shape.members["Runtime"].enum
    ):
        raise invalid(f"Value {call.params['Runtime']} at 'runtime' failed to satisfy constraint")
    _check_limits(call)
    code = _check_code(call, call.get("Code", {}).get("ZipFile"))
    environment = _check_environment(call.get("Environment", {}).get("Variables") or {})
    if name in world.functions.by_name:
        raise AwsError("ResourceConflictException", f"Function already exist: {name}", 409)
    subnets, groups, vpc_id = _check_network(world, call, call.get("VpcConfig", {}))
    roles.check_assumable(world, call.params["Role"], in_vpc=bool(subnets))
    kms_keys.refuse_function(call.region, call.get("KMSKeyArn"))
    function = Function(
        name=name,
        region=call.region,
        role=call.params["Role"],
        runtime=call.params["Runtime"],
        handler=call.params["Handler"],
        code=code,
        description=call.get("Description", ""),
        timeout=call.get("Timeout", 3),
        memory=call.get("MemorySize", 128),
        architectures=call.get("Architectures", ["x86_64"]),
        environment=environment,
        tracing=call.get("TracingConfig", {}).get("Mode", "PassThrough"),
        logging=dict(call.get("LoggingConfig", {})),
        ephemeral=call.get("EphemeralStorage", {}).get("Size", 512),
        kms_key=call.get("KMSKeyArn") or None,
        layers=list(call.get("Layers", [])),
        subnets=subnets,
        groups=groups,
        vpc_id=vpc_id,
        with_vpc="VpcConfig" in call.params,
        with_environment="Environment" in call.params,
        tags=dict(call.get("Tags", {})),
    )
    function.touch()
    world.functions.by_name[name] = function
    lambda_interfaces.use(world, function)
    reply = configuration(function)
    if call.get("Publish"):
        # The response names the version, but its ARN is that of the function.
        reply["Version"] = add_version(world, function, function.description).version

    def ready() -> None:
        if world.functions.by_name.get(name) is not function:
            return
        outcome = world.outcome("function")
        if isinstance(outcome, dict) and outcome.get("state") == "Failed":
            function.state = function.update_status = "Failed"
            reason = (outcome.get("reason", "Insufficient permissions"), outcome.get("code", "EniLimitExceeded"))
            function.state_reason = function.update_reason = reason
        else:
            function.state, function.update_status = "Active", "Successful"
            function.state_reason = function.update_reason = None

    world.after(world.delay("function"), ready)
    return reply


# The attributes that a version freezes.
CONTENT = (
    "role",
    "runtime",
    "handler",
    "code",
    "timeout",
    "memory",
    "architectures",
    "environment",
    "tracing",
    "logging",
    "ephemeral",
    "kms_key",
    "layers",
    "subnets",
    "groups",
)


def add_version(world: World, function: Function, description: str) -> Function:
    """Publishes a version. It becomes ready no earlier than a function that is still being created."""
    function.published += 1
    version = dataclasses.replace(
        function,
        version=str(function.published),
        description=description,
        environment=dict(function.environment),
        subnets=list(function.subnets),
        groups=list(function.groups),
        revision=str(uuid.uuid4()),
        interfaces=set(),
        versions={},
        aliases={},
        policies={},
        reserved=None,
        state="Active",
        state_reason=None,
        update_status="Successful",
        update_reason=None,
        idle=None,
    )
    function.versions[version.version] = version
    lambda_interfaces.use(world, version)
    delay = world.delay("function-version")
    if function.state == "Pending":
        delay = max(delay, world.delay("function"))
    if delay > 0:
        version.state, version.state_reason = "Pending", ("The function is being created.", "Creating")

        def ready() -> None:
            version.state, version.state_reason = "Active", None

        world.after(delay, ready)
    return version


# What Amazon Linux 2023 runs on; every function of one runtime has the same.
_RUNTIME = "0cdcfbdefbc5e7d3343f73c2e2dd3cba17d61dea0686b404502a0c9ce83931b9"


def configuration(function: Function, qualifier: str | None = None) -> dict[str, Any]:
    """`qualifier`: by which it was asked for, which its ARN then has."""
    qualifier = qualifier or (None if function.version == "$LATEST" else function.version)
    found: dict[str, Any] = {
        "FunctionName": function.name,
        "FunctionArn": f"{function.arn}:{qualifier}" if qualifier else function.arn,
        "Runtime": function.runtime,
        "Role": function.role,
        "Handler": function.handler,
        "CodeSize": len(function.code),
        "Description": function.description,
        "Timeout": function.timeout,
        "MemorySize": function.memory,
        "LastModified": function.modified,
        "CodeSha256": base64.b64encode(hashlib.sha256(function.code).digest()).decode(),
        "Version": function.version,
        "TracingConfig": {"Mode": function.tracing},
        "RevisionId": function.revision,
        "State": function.state,
        "PackageType": "Zip",
        "Architectures": function.architectures,
        "EphemeralStorage": {"Size": function.ephemeral},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {
            "LogFormat": function.logging.get("LogFormat", "Text"),
            "LogGroup": function.logging.get("LogGroup", f"/aws/lambda/{function.name}"),
            **{k: v for k, v in function.logging.items() if k.endswith("Level")},
        },
        "RuntimeVersionConfig": {
            "RuntimeVersionArn": arn_of("lambda", function.region, f"runtime:{_RUNTIME}", account="")
        },
    }
    if function.with_environment:
        unreadable = kms_keys.problem(function.region, function.kms_key) if function.kms_key else None
        found["Environment"] = {"Variables": dict(function.environment)}
        if unreadable and function.environment:
            text = f"Lambda was unable to decrypt your environment variables. KMS Message: {unreadable[0]}"
            found["Environment"] = {"Error": {"ErrorCode": unreadable[1], "Message": text}}
    if function.kms_key:
        found["KMSKeyArn"] = function.kms_key
    if function.layers:
        found["Layers"] = [{"Arn": arn} for arn in function.layers]
    if function.with_vpc:
        found["VpcConfig"] = {
            "SubnetIds": list(function.subnets),
            "SecurityGroupIds": list(function.groups),
            "VpcId": function.vpc_id,
            "Ipv6AllowedForDualStack": False,
        }
    if function.state_reason:
        found["StateReason"], found["StateReasonCode"] = function.state_reason
    if found["State"] == "Pending" and found.get("StateReasonCode") == "Creating":
        return found  # no update is told of before there is something to update
    found["LastUpdateStatus"] = function.update_status
    if function.update_reason:
        found["LastUpdateStatusReason"], found["LastUpdateStatusReasonCode"] = function.update_reason
    return found


@operation("lambda", "GetFunction")
def get_function(world: World, call: Call) -> Any:
    function = qualified(world, call)
    found = {
        "Configuration": configuration(function, _qualifier(call)),
        "Code": {"RepositoryType": "S3", "Location": f"https://awslambda.invalid/{function.name}"},
    }
    tags = world.functions.by_name[function.name].tags
    if tags:
        found["Tags"] = dict(tags)
    reserved = world.functions.by_name[function.name].reserved
    if reserved is not None:
        found["Concurrency"] = {"ReservedConcurrentExecutions": reserved}
    return found


@operation("lambda", "GetFunctionCodeSigningConfig")
def get_code_signing(world: World, call: Call) -> Any:
    """No function here has one. Terraform's provider reads it of every function, and expects an answer without an ARN."""
    return {"FunctionName": function_of(world, call).name}


@operation("lambda", "GetFunctionConfiguration")
def get_function_configuration(world: World, call: Call) -> Any:
    return configuration(qualified(world, call), _qualifier(call))


@operation("lambda", "ListFunctions")
def list_functions(world: World, call: Call) -> Any:
    functions = sorted(world.functions.by_name.values(), key=lambda function: function.name)
    functions = [function for function in functions if function.region == call.region]
    listed = [(function, None) for function in functions]
    if call.get("FunctionVersion") == "ALL":
        listed = [
            (one, one.version)
            for function in functions
            for one in (function, *sorted(function.versions.values(), key=lambda version: int(version.version)))
        ]
    size = min(call.get("MaxItems", 50), world.config["page_size"] or 50)
    start = int(call.get("Marker", "0")) if str(call.get("Marker", "0")).isdigit() else 0
    page = listed[start : start + size]
    found: dict[str, Any] = {"Functions": [summary(item, qualifier) for item, qualifier in page]}
    if start + size < len(listed):
        found["NextMarker"] = str(start + size)
    return found


# Like AWS, listings omit the state of a function.
_HIDDEN = (
    "State",
    "StateReason",
    "StateReasonCode",
    "LastUpdateStatus",
    "LastUpdateStatusReason",
    "LastUpdateStatusReasonCode",
    "RuntimeVersionConfig",
)


def summary(function: Function, qualifier: str | None = None) -> dict[str, Any]:
    return {key: value for key, value in configuration(function, qualifier).items() if key not in _HIDDEN}


def _start_update(world: World, function: Function, done: Any = None) -> dict[str, Any]:
    """Marks an update as in progress. `done` runs when the update succeeds."""
    function.touch()
    function.update_status = "InProgress"
    function.update_reason = ("The function is being created.", "Creating")  # so it is said of an update too
    reply = configuration(function)

    def finish() -> None:
        if world.functions.by_name.get(function.name) is function:
            function.update_status, function.update_reason = "Successful", None
            lambda_idle.redeployed(world, function)
            if done is not None:
                done()

    world.after(world.delay("function-update"), finish)
    return reply


@operation("lambda", "UpdateFunctionCode")
def update_code(world: World, call: Call) -> Any:
    function = function_of(world, call)
    require_revision(call, function)
    code = _check_code(call, call.get("ZipFile"))
    require_idle(function)
    if call.get("DryRun"):
        return configuration(function)
    function.code = code
    function.architectures = call.get("Architectures", function.architectures)
    return _start_update(world, function)


@operation("lambda", "UpdateFunctionConfiguration")
def update_configuration(world: World, call: Call) -> Any:
    function = function_of(world, call)
    require_revision(call, function)
    _check_limits(call)
    environment = None
    if "Environment" in call.params:
        environment = _check_environment(call.params["Environment"].get("Variables") or {})
    require_idle(function)
    network = None
    if "VpcConfig" in call.params:
        network = _check_network(world, call, call.params["VpcConfig"])
    role = call.get("Role", function.role)
    if "Role" in call.params or (network and network[0] and network[0] != function.subnets):
        roles.check_assumable(world, role, in_vpc=bool(network[0] if network else function.subnets))
    # An empty one is Lambda's own.
    key = (call.params["KMSKeyArn"] or None) if "KMSKeyArn" in call.params else function.kms_key
    kms_keys.refuse_function(call.region, key)
    function.kms_key = key
    function.role = role
    function.runtime = call.get("Runtime", function.runtime)
    function.handler = call.get("Handler", function.handler)
    function.description = call.get("Description", function.description)
    function.timeout = call.get("Timeout", function.timeout)
    function.memory = call.get("MemorySize", function.memory)
    function.tracing = call.get("TracingConfig", {}).get("Mode", function.tracing)
    function.logging = dict(call.get("LoggingConfig", function.logging))
    function.ephemeral = call.get("EphemeralStorage", {}).get("Size", function.ephemeral)
    if environment is not None:
        function.environment, function.with_environment = environment, True
    done = None
    if network is not None:
        function.subnets, function.groups, function.vpc_id = network
        function.with_vpc = True
        lambda_interfaces.use(world, function)

        def done() -> None:
            lambda_interfaces.leave_unused(world, function)

    return _start_update(world, function, done)


@operation("lambda", "DeleteFunction")
def delete_function(world: World, call: Call) -> Any:
    function = function_of(world, call)
    qualifier = call.get("Qualifier") or named(call.params["FunctionName"])[1]
    if qualifier:
        return _delete_version(world, function, qualifier)
    detaching = function.update_status == "InProgress" and function.state != "Pending"
    del world.functions.by_name[function.name]
    for version in function.versions.values():
        lambda_interfaces.strand(world, version)
    lambda_interfaces.abandon(world, function, stranded=detaching)
    return {}


def _delete_version(world: World, function: Function, qualifier: str) -> Any:
    if qualifier == "$LATEST" or not qualifier.isdigit():
        raise invalid(f"Cannot delete {qualifier}: only a published version can be deleted")
    users = [
        name
        for name, alias in function.aliases.items()
        if alias["FunctionVersion"] == qualifier
        or qualifier in alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    ]
    if users:
        raise AwsError(
            "ResourceConflictException",
            f"Function version {qualifier} cannot be deleted because it is referenced by an alias: {users[0]}",
            409,
        )
    version = function.versions.pop(qualifier, None)
    if version is None:
        raise AwsError("ResourceNotFoundException", f"Function not found: {function.arn}:{qualifier}", 404)
    lambda_interfaces.abandon(world, version, stranded=False)
    return {}


@operation("lambda", "Invoke")
def invoke(world: World, call: Call) -> Any:
    function = qualified(world, call)
    if world.functions.by_name[function.name].reserved == 0:
        reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
        raise AwsError("TooManyRequestsException", "Rate Exceeded.", 429, Reason=reason)
    lambda_idle.require_active(world, call, function)
    if function.state == "Pending":
        raise AwsError(
            "ResourceConflictException",
            "The operation cannot be performed at this time. The function is currently in the following state: Pending",
            409,
        )
    kms_keys.refuse_invocation(call.region, function.kms_key)
    payload, failed = lambda_invoke.answer(world, function, call.raw.body)
    headers = {"Content-Type": "application/json", "X-Amz-Executed-Version": function.version}
    if failed:
        headers["X-Amz-Function-Error"] = "Unhandled"
    if call.get("LogType") == "Tail":
        headers["X-Amz-Log-Result"] = base64.b64encode(b"START\nEND\n").decode()
    if call.get("InvocationType") == "Event":
        return Response(202, headers, b"")
    return Response(200, headers, json.dumps(payload).encode())

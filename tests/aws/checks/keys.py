"""KMS keys, and what is encrypted with them: parameters, and the environments of functions."""

from __future__ import annotations

import json

from .harness import Aws, check

ROOT = "arn:aws:iam::123456789012:root"


def _policy(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _allow(principal: str, action: str = "kms:*") -> dict:
    return {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": action, "Resource": "*"}


@check
def keys_of_parameters(aws: Aws) -> None:
    """The key is told by DescribeParameters only. Without one, each write takes the default. A key that cannot be used
    fails a whole call."""
    key = aws.kms.create_key()["KeyMetadata"]["Arn"]
    aws.ssm.put_parameter(Name="/p/a", Type="SecureString", Value="x", KeyId=key)
    aws.ssm.put_parameter(Name="/p/b", Type="SecureString", Value="y")
    aws.ssm.put_parameter(Name="/p/c", Type="String", Value="z")
    with aws.refused("ValidationException"):
        aws.ssm.put_parameter(Name="/p/d", Type="String", Value="z", KeyId=key)

    def known() -> dict:
        filters = [{"Key": "Path", "Option": "Recursive", "Values": ["/p"]}]
        listed = aws.ssm.describe_parameters(ParameterFilters=filters)["Parameters"]
        return {one["Name"]: one.get("KeyId") for one in listed}

    assert known() == {"/p/a": key, "/p/b": "alias/aws/ssm", "/p/c": None}
    assert "KeyId" not in aws.ssm.get_parameter(Name="/p/a", WithDecryption=True)["Parameter"]
    aws.ssm.put_parameter(Name="/p/b", Type="SecureString", Value="y", KeyId=key, Overwrite=True)
    aws.ssm.put_parameter(Name="/p/a", Type="SecureString", Value="x2", Overwrite=True)
    assert known() == {"/p/a": "alias/aws/ssm", "/p/b": key, "/p/c": None}
    assert aws.ssm.get_parameter(Name="/p/a", WithDecryption=True)["Parameter"]["Value"] == "x2"
    aws.ssm.put_parameter(Name="/p/b", Type="SecureString", Value="y", KeyId="alias/aws/ssm", Overwrite=True)
    aws.ssm.put_parameter(Name="/p/b", Type="SecureString", Value="y", KeyId=key, Overwrite=True)
    for change, word in (
        (lambda: aws.kms.disable_key(KeyId=key[-36:]), "is disabled"),
        (lambda: aws.kms.schedule_key_deletion(KeyId=key[-36:]), "is pending deletion"),
    ):
        change()
        with aws.refused("InvalidKeyId", word):
            aws.ssm.get_parameters_by_path(Path="/p", Recursive=True, WithDecryption=True)
        with aws.refused("InvalidKeyId", word):
            aws.ssm.get_parameters(Names=["/p/a", "/p/b"], WithDecryption=True)
        with aws.refused("InvalidKeyId", word):
            aws.ssm.put_parameter(Name="/p/b", Type="SecureString", Value="y", KeyId=key, Overwrite=True)
        assert len(aws.ssm.get_parameters_by_path(Path="/p", Recursive=True)["Parameters"]) == 3
    with aws.refused("InvalidKeyId", "does not exist"):
        aws.ssm.put_parameter(Name="/p/e", Type="SecureString", Value="y", KeyId=key[:-12] + "000000000000")
    elsewhere = (key.replace("us-east-1", "eu-west-1"), key.replace("1234567", "7654321"))
    for missing in (key[:-12] + "000000000000", *elsewhere):
        with aws.refused("NotFoundException", "does not exist"):
            aws.kms.describe_key(KeyId=missing)


@check
def keys_of_functions(aws: Aws) -> None:
    """A function's key stays until an update names another one or an empty one. With a key that cannot be used, the
    environment is not shown, and the function does not start."""
    key = aws.kms.create_key()["KeyMetadata"]["Arn"]
    created = aws.function(aws.role(), Environment={"Variables": {"AB": "1"}}, KMSKeyArn=key, Publish=True)
    assert created["KMSKeyArn"] == key
    aws.lambda_.update_function_configuration(FunctionName="f", MemorySize=256)
    assert aws.lambda_.get_function_configuration(FunctionName="f")["KMSKeyArn"] == key
    aws.lambda_.update_function_configuration(FunctionName="f", KMSKeyArn="")
    assert "KMSKeyArn" not in aws.lambda_.get_function_configuration(FunctionName="f")
    assert aws.lambda_.get_function_configuration(FunctionName="f", Qualifier="1")["KMSKeyArn"] == key
    aws.kms.disable_key(KeyId=key[-36:])
    with aws.refused("InvalidParameterValueException", "is disabled"):
        aws.lambda_.update_function_configuration(FunctionName="f", KMSKeyArn=key)
    shown = aws.lambda_.get_function_configuration(FunctionName="f", Qualifier="1")["Environment"]
    assert "Variables" not in shown and "is disabled" in shown["Error"]["Message"]
    with aws.refused("KMSDisabledException"):
        aws.lambda_.invoke(FunctionName="f", Qualifier="1")
    assert aws.lambda_.invoke(FunctionName="f")["StatusCode"] == 200
    aws.kms.enable_key(KeyId=key[-36:])
    assert aws.lambda_.invoke(FunctionName="f", Qualifier="1")["StatusCode"] == 200


@check
def keys_and_roles(aws: Aws) -> None:
    """A role decrypts where its policies allow it for this parameter, or the key policy does, and does not deny it."""
    key, other = (aws.kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    path = "/threescale-gw/s"
    for name in ("service-token", "hash-key"):
        aws.ssm.put_parameter(Name=f"{path}/secrets/{name}", Type="SecureString", Value="x", KeyId=key)
    role = aws.role()
    environment = {"THREESCALE_GW_PARAMETERS": path, "THREESCALE_GW_SETTINGS": '{"cache": "memory"}'}
    aws.function(role, Environment={"Variables": environment})

    def cause() -> str | None:
        answer = aws.lambda_.invoke(FunctionName="f", Payload=b'{"threescale-gw": "self-test"}')["Payload"].read()
        return json.loads(answer)["checks"][0]["cause"]

    def grant(resource: str, parameter: str) -> None:
        parameters = f"arn:aws:ssm:*:*:parameter{parameter}"
        document = _policy(
            {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "*"},
            {
                "Effect": "Allow",
                "Action": "kms:Decrypt",
                "Resource": resource,
                "Condition": {"StringLike": {"kms:EncryptionContext:PARAMETER_ARN": parameters}},
            },
        )
        aws.iam.put_role_policy(RoleName=role.rsplit("/", 1)[-1], PolicyName="p", PolicyDocument=document)

    for resource, parameter, expected in (
        (other, f"{path}/*", "ssm_denied"),
        (key, "/threescale-gw/t/*", "ssm_denied"),
        (key, f"{path}/*", None),
    ):
        grant(resource, parameter)
        assert cause() == expected, (resource, parameter)
    deny = {"Effect": "Deny", "Principal": {"AWS": role}, "Action": "kms:Decrypt", "Resource": "*"}
    for statements, expected in (
        ([_allow(ROOT), deny], "ssm_denied"),
        ([_allow("arn:aws:iam::123456789012:role/x")], "ssm_denied"),
        ([_allow(role, "kms:Decrypt")], None),
        ([_allow(ROOT)], None),
    ):
        aws.kms.put_key_policy(KeyId=key[-36:], PolicyName="default", Policy=_policy(*statements))
        assert cause() == expected, statements
    aws.kms.disable_key(KeyId=key[-36:])
    assert cause() == "ssm_denied"

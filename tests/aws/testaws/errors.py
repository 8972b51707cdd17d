"""Errors with the codes and messages of the AWS services."""

from __future__ import annotations

from moto.core.exceptions import ServiceException


class AwsError(ServiceException):
    """An error reply with the `code` and `message` that are sent.

    The HTTP status is the one for the code in the service's model, or 400. `status` overrides it.
    """

    def __init__(self, code: str, message: str, status: int | None = None, **members: str) -> None:
        super().__init__(code, message)
        self.status = status
        self.members = members  # what the body has besides, such as `Reason`


class Unimplemented(Exception):
    """A call that neither this package nor moto implements."""


class MotoReply(Exception):
    """Moto refused the call. Its reply is sent to the caller unchanged."""

    def __init__(self, response) -> None:
        super().__init__(response.status)
        self.response = response

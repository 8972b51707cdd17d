"""Errors as the AWS services word them."""

from __future__ import annotations

from moto.core.exceptions import ServiceException


class AwsError(ServiceException):
    """An error reply: `code` and `message` as on the wire.

    The HTTP status is the one the service's model gives the code, else 400; `status` overrides it.
    """

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(code, message)
        self.status = status


class Unimplemented(Exception):
    """A call neither this package nor moto implements."""


class MotoReply(Exception):
    """Moto refused the call; its reply goes to the caller as it is."""

    def __init__(self, response) -> None:
        super().__init__(response.status)
        self.response = response

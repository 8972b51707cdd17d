"""Runs ministack with gateway responses that can say what the authorizer said, as API Gateway's can.

Usage: python -c SCRIPT

ministack leaves `$context.authorizer.*` in a body as it stands, and leaves headers that come from it out.
"""

import contextvars
import re

from ministack.app import main
from ministack.services import apigateway_v1 as gateway

said = contextvars.ContextVar("said", default={})
stringify, value, respond = gateway._stringify_context, gateway._gateway_request_value, gateway._gateway_error_response
PREFIX = "context.authorizer."


def remember(context):
    text = stringify(context)
    said.set(dict(text))
    return text


def look_up(source, request):
    if source.startswith(PREFIX):
        return said.get().get(source[len(PREFIX):])
    return value(source, request)


def render(error, request):
    status, headers, body = respond(error, request)
    text = body.decode("utf-8")
    text = re.sub(r"\$context\.authorizer\.(\w+)", lambda name: said.get().get(name.group(1), ""), text)
    return status, headers, text.encode("utf-8")


gateway._stringify_context, gateway._gateway_request_value, gateway._gateway_error_response = remember, look_up, render
main()

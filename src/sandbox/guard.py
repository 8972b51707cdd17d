"""Restricts the sandbox's AWS to callers with its access key: ministack itself accepts any key and checks no signature.

Runs before gateway.py, in the same process. Every web page and every user of this machine can send requests to the
loopback interface. So a call to AWS, or to ministack's own endpoints, must be signed with the access key in the
environment. A host name that is not of the loopback interface (DNS rebinding) and any web page (`Origin`) are refused,
and no response allows a page to read it. Requests to an API's stage require no key, as on AWS: the API authorizes them.

A function's Runtime API, which sends events and receives responses, has a path that only the function receives.
"""

import json
import os
import re
import secrets
import uuid
from urllib.parse import parse_qs, quote

import ministack.app as emulator
from ministack.core import iam_actions, lambda_runtime, sigv4
from ministack.services import lambda_svc

ACCESS_KEY, SECRET_KEY = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.IGNORECASE)
STAGES = "/_aws/execute-api/"
WHERE = "`threescale-gw sandbox env` prints the access key of this sandbox, which takes no other"


class Refusal(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


def headers_of(scope):
    """As ministack reads them: a repeated name has both values, and is then not a valid host or signature."""
    headers = {}
    for name, value in scope["headers"]:
        name, value = name.decode("latin-1").lower(), sigv4.decode_header_value(value)
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def is_for_a_stage(path):
    # A path that ministack cannot parse as a stage is handled as an AWS call.
    return path.startswith(STAGES) and emulator._parse_execute_api_url("", path) is not None


def check_sender(headers, path):
    if not LOOPBACK.fullmatch(headers.get("host", "")):
        raise Refusal("AccessDenied", "this host name is none of the sandbox: call it as 127.0.0.1 or localhost")
    if not is_for_a_stage(path) and "origin" in headers:
        raise Refusal("AccessDenied", "a web page may call the stages of APIs only")


def read_signature(headers):
    if not headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 "):
        raise Refusal("MissingAuthenticationToken", f"the request is not signed; {WHERE}")
    signature = sigv4.parse_header_signature(headers)
    if isinstance(signature, tuple):
        raise Refusal(*signature)
    if not secrets.compare_digest(signature.access_key_id.encode(), ACCESS_KEY.encode()):
        raise Refusal("UnrecognizedClientException", f"the access key is not known; {WHERE}")
    if failure := sigv4.request_time_failure(signature):
        raise Refusal(*failure)
    return signature


def check_signature(signature, scope, query, headers, body):
    path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")
    failure = sigv4.header_signature_failure(signature, SECRET_KEY, scope["method"], path, query, headers, body)
    if failure:
        raise Refusal(*failure)


async def read_body(receive):
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


def read_again(body, receive):
    async def again():
        nonlocal body
        if body is None:
            return await receive()
        message, body = {"type": "http.request", "body": body, "more_body": False}, None
        return message
    return again


def without_cors(send):
    async def send_on(message):
        if message["type"] == "http.response.start":
            kept = [header for header in message["headers"] if not header[0].lower().startswith(b"access-control-")]
            message = {**message, "headers": kept}
        await send(message)
    return send_on


async def refuse(send, refusal, scope, query, headers):
    request_id = str(uuid.uuid4())
    try:
        # In the protocol of the service, so that every SDK can parse it.
        service = emulator.detect_service(scope["method"], scope["path"], headers, query)
        status, fields, body = iam_actions.access_denied_response(
            service, "", "", request_id, error_code=refusal.code, message=refusal.message, headers=headers)
    except Exception:  # a request that ministack cannot parse is refused too
        status, fields = 403, {"Content-Type": "application/json"}
        body = json.dumps({"__type": refusal.code, "message": refusal.message}).encode()
    fields = {**fields, "Content-Length": str(len(body)), "x-amzn-requestid": request_id}
    fields = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await without_cors(send)({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def guarded(app):
    async def guard(scope, receive, send):
        if scope["type"] == "lifespan":
            return await app(scope, receive, send)
        if scope["type"] != "http":
            # A web page can open a WebSocket to any host, and the sandbox has no WebSocket API.
            await receive()
            return await send({"type": "websocket.close", "code": 1008})
        headers = headers_of(scope)
        query = parse_qs(scope.get("query_string", b"").decode("utf-8", "replace"), keep_blank_values=True)
        try:
            check_sender(headers, scope["path"])
            if is_for_a_stage(scope["path"]):
                return await app(scope, receive, send)
            signature = read_signature(headers)
            body = await read_body(receive)
            if body is None:
                return None
            check_signature(signature, scope, query, headers, body)
        except Refusal as refusal:
            return await refuse(send, refusal, scope, query, headers)
        return await app(scope, read_again(body, receive), without_cors(send))
    return guard


def credentials(config):
    return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_SESSION_TOKEN": ""}


RUNTIME = f"/{secrets.token_hex(16)}/"
handler_class, worker_env = lambda_runtime.ProvidedWorker._build_handler_class, lambda_svc._provided_worker_env


def runtime_handler(worker, generation, pending):
    class Handler(handler_class(worker, generation, pending)):
        def parse_request(self):
            if not super().parse_request():
                return False
            if secrets.compare_digest(self.path[:len(RUNTIME)].encode(), RUNTIME.encode()):
                return True
            self.close_connection = True
            self.send_error(403)
            return False
    return Handler


def runtime_env(config, code_dir, port):
    env = worker_env(config, code_dir, port)
    env["AWS_LAMBDA_RUNTIME_API"] += RUNTIME.rstrip("/")
    return env


emulator.app = guarded(emulator.app)
lambda_runtime.execution_credentials = lambda_svc.execution_credentials = credentials
lambda_runtime.ProvidedWorker._build_handler_class, lambda_svc._provided_worker_env = runtime_handler, runtime_env

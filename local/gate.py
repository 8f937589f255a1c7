"""The gate before the emulator: it forwards requests signed with a secret of this run, and rejects all others.

The emulator alone is not safe on a machine with several users. It does not check the signatures of an account's root,
and has administrative paths without credentials. Many of its services start programs as the user that runs it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, quote, urlencode
from xml.sax.saxutils import escape

from ministack import app
from ministack.core import iam_evaluator, lambda_runtime, router, sigv4
from ministack.core.iam_evaluator import CredentialResolutionError
from ministack.core.responses import get_account_id, set_request_account_id

from local.patches.patch import rewrite

HEALTH = "/_ministack/health"
CUSTOM_RESOURCE_RESPONSE = "/_ministack/cfn-response/"
_MAXIMUM_BODY = 64 * 2**20
"""Bytes of a body whose hash is not in a header. Such a body is in memory before its signature is checked."""

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


def make_function_credentials_secret() -> None:
    """Derive the credentials of functions from the secret of this run. The emulator derives them from names alone."""
    names = 'f"{function_arn}:{role_arn}"'
    rewrite(
        lambda_runtime,
        "execution_credentials",
        (names, "f\"{os.environ['AWS_SECRET_ACCESS_KEY']}:{function_arn}:{role_arn}\""),
    )


class RejectedError(Exception):
    """A request that the emulator must not get. `str()` is the reason for the caller."""

    def __init__(self, reason: str, *, status: int = 403, code: str = "AccessDenied") -> None:
        super().__init__(reason)
        self.status, self.code = status, code


class Gate:
    """An ASGI application that checks each request before `application`, the emulator's."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Pass on or reject a request. Websockets are closed."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
        elif scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif scope["path"] == HEALTH:
            await _respond(send, 200, "text/plain", b"")
        elif confirmation := _confirmation(scope):
            await self._application(confirmation, _no_body, send)
        else:
            request = _Request(scope)
            try:
                receive = await _authenticate(request, receive)
            except RejectedError as rejected:
                await _respond(send, *request.rejection(rejected))
            else:
                await self._application(scope, receive, send)


class _Request:
    """A request's parts as its signature covers them."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_path = (scope.get("raw_path") or quote(self.path).encode()).decode("latin-1")
        self.query = parse_qs(scope.get("query_string", b"").decode("utf-8", "replace"), keep_blank_values=True)
        self.headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            key, text = name.decode("latin-1").lower(), sigv4.decode_header_value(value)
            self.headers[key] = f"{self.headers[key]},{text}" if key in self.headers else text

    @property
    def presigned(self) -> bool:
        return "authorization" not in self.headers and "X-Amz-Signature" in self.query

    def signature(self) -> sigv4.HeaderSignature:
        """Return the one signature. Raises RejectedError if it is missing, incomplete, of another kind or ambiguous."""
        kind = self.query.get("X-Amz-Algorithm", [""])[0] if self.presigned else self.headers.get("authorization", "")
        if kind.partition(" ")[0] != "AWS4-HMAC-SHA256":
            raise RejectedError("The request is not signed.", code="MissingAuthenticationToken")
        parse = sigv4.parse_query_signature if self.presigned else sigv4.parse_header_signature
        signature = parse(self.query if self.presigned else self.headers)
        if isinstance(signature, tuple):
            raise RejectedError(signature[1], code=signature[0])
        # The emulator finds the caller by itself: it must be the signature's.
        if router.extract_access_key_id(self.headers, self.query) != signature.access_key_id or (
            not self.presigned and {"X-Amz-Credential", "AWSAccessKeyId"} & self.query.keys()
        ):
            raise RejectedError("The request names several access keys.", code="InvalidSignatureException")
        return signature

    def token(self) -> str:
        if self.presigned:
            return str(self.query.get("X-Amz-Security-Token", [""])[0])
        return self.headers.get("x-amz-security-token", "")

    def rejection(self, rejected: RejectedError) -> tuple[int, str, bytes]:
        """Return status, content type and body of the response, in JSON or XML as the service's protocol."""
        if "x-amz-target" in self.headers or "json" in self.headers.get("content-type", "") or _REST.match(self.path):
            described = {"__type": rejected.code, "message": str(rejected)}
            return rejected.status, "application/x-amz-json-1.1", json.dumps(described).encode()
        error = f"<Code>{rejected.code}</Code><Message>{escape(str(rejected))}</Message>"
        return rejected.status, "text/xml", f"<ErrorResponse><Error>{error}</Error></ErrorResponse>".encode()


_REST = re.compile(r"/20\d\d-\d\d-\d\d/")
"""Paths of Lambda, which responds in JSON."""


async def _authenticate(request: _Request, receive: Receive) -> Receive:
    """Check the signature, and return the function that receives the body. Raises RejectedError."""
    response_url = request.method == "PUT" and request.path.startswith(CUSTOM_RESOURCE_RESPONSE) and request.presigned
    if request.path.startswith("/_ministack/") and not response_url:
        raise RejectedError("There is no such path.", status=404, code="NotFound")
    signature = request.signature()
    if signature.service not in app.SERVICE_HANDLERS:
        raise RejectedError(f"There is no service {signature.service}.", status=404, code="UnknownService")
    late = _expired(request, signature) if request.presigned else sigv4.request_time_failure(signature)
    if late:
        raise RejectedError(late[1], code=late[0])
    secret = _secret(signature.access_key_id, request.token())
    body = b""
    if "x-amz-content-sha256" not in request.headers and not (request.presigned and signature.service == "s3"):
        body, receive = await _read(receive)
    failure = sigv4.header_signature_failure(
        signature,
        secret,
        request.method,
        request.raw_path,
        request.query,
        request.headers,
        body,
        presigned=request.presigned,
    )
    if failure:
        raise RejectedError(failure[1], code=failure[0])
    return receive


def _expired(request: _Request, signature: sigv4.HeaderSignature) -> tuple[str, str] | None:
    try:
        expired = sigv4.presigned_request_is_expired(signature.amz_date, request.query.get("X-Amz-Expires", ["0"])[0])
    except ValueError:
        expired = True
    return ("AccessDenied", "The presigned request has expired.") if expired else None


def _secret(key: str, token: str) -> str:
    """Return the secret of an access key: an account's root, a role's session or an IAM user. Raises RejectedError."""
    if iam_evaluator.is_root_access_key(key) and not re.fullmatch(r"\d{12}", key):
        # Such as "test", which the emulator accepts as root of every account.
        raise RejectedError("The access key does not exist.", code="InvalidClientTokenId")
    try:
        set_request_account_id(app._request_account_scope(key))
    except iam_evaluator.AmbiguousAccessKeyError:
        raise RejectedError("The access key is not unique.", code="InvalidClientTokenId") from None
    credential = iam_evaluator.resolve_credential(key, get_account_id(), token)
    if isinstance(credential, CredentialResolutionError):
        raise RejectedError(credential.message, code=credential.code)
    return str(credential.secret_access_key)


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    """Read a body, and return it with a function that receives it again. Raises RejectedError if it is too large."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _MAXIMUM_BODY:
            raise RejectedError(f"The body has more than {_MAXIMUM_BODY:,} bytes.", status=413, code="RequestTooLarge")
    messages = iter([{"type": "http.request", "body": bytes(body), "more_body": False}])

    async def receive_again() -> dict[str, Any]:
        message = next(messages, None)
        return message if message is not None else await receive()

    return bytes(body), receive_again


def _confirmation(scope: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the request that confirms an HTTPS subscription, with only the topic and the token of the original.

    As on AWS, it is not signed: SNS sends the token, which cannot be guessed, to the endpoint.
    """
    query = parse_qs(scope["query_string"].decode("utf-8", "replace"))
    topic = query.get("TopicArn", [""])[0]
    if scope["method"] != "GET" or scope["path"] != "/" or query.get("Action") != ["ConfirmSubscription"]:
        return None
    if any(name == b"authorization" for name, _ in scope["headers"]) or not (region := _TOPIC.match(topic)):
        return None
    parts = {"Action": "ConfirmSubscription", "TopicArn": topic, "Token": query.get("Token", [""])[0]}
    host = f"sns.{region[1]}.amazonaws.com"
    return {**scope, "headers": [(b"host", host.encode())], "query_string": urlencode(parts).encode()}


_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:([a-z0-9-]+):\d{12}:")


async def _no_body() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _respond(send: Send, status: int, content_type: str, body: bytes) -> None:
    # The body of a rejected request is not read, so that its connection cannot be used again.
    headers = {"content-type": content_type, "content-length": str(len(body)), "connection": "close"}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body, "more_body": False})

"""The gate before the emulator: without a secret of the run, no request reaches a service."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import boto3
import pytest
import urllib3
from botocore import UNSIGNED
from botocore.auth import HmacV1QueryAuth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from local.emulator import SERVICES, Emulator
from tests.local.support import NEAR, PUBLISHER, SUBSCRIBER, Account, processes

pytestmark = pytest.mark.system

Send = Callable[[AWSRequest], urllib3.BaseHTTPResponse]


@pytest.fixture(scope="module")
def web(emulator: Emulator) -> urllib3.PoolManager:
    return urllib3.PoolManager(ca_certs=str(emulator.ca_bundle), retries=False)


@pytest.fixture(scope="module")
def send(web: urllib3.PoolManager) -> Send:
    def send(request: AWSRequest) -> urllib3.BaseHTTPResponse:
        prepared = request.prepare()
        headers: Mapping[str, str] = dict(prepared.headers)
        body: Any = prepared.body
        return web.request(prepared.method, prepared.url, headers=headers, body=body)

    return send


def _request(emulator: Emulator, path: str = "/", **headers: str) -> AWSRequest:
    """Return a request to STS for the caller's identity, or to another path."""
    body = "Action=GetCallerIdentity&Version=2011-06-15"
    form = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    return AWSRequest("POST", emulator.endpoint + path, headers=form, data=body)


def _signed(request: AWSRequest, secret: str, *, service: str = "sts") -> AWSRequest:
    SigV4Auth(Credentials(PUBLISHER, secret), service, NEAR).add_auth(request)
    return request


def _client(emulator: Emulator, service: str, key: str, secret: str, token: str | None = None, **config: Any) -> Any:
    client: Any = boto3.client
    return client(
        service,
        region_name=NEAR,
        endpoint_url=emulator.endpoint,
        verify=str(emulator.ca_bundle),
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}, **config),
    )


@pytest.mark.parametrize("key", [PUBLISHER, "777777777777", "test", "", "AKIAIOSFODNN7EXAMPLE"])
@pytest.mark.parametrize("secret", ["test", "another secret"])
def test_other_secret_starts_nothing(emulator: Emulator, key: str, secret: str) -> None:
    """These calls ran code as the user, when root's signature was not checked."""
    before = processes(emulator.pid)
    role = {"RoleName": "stranger", "AssumeRolePolicyDocument": "{}"}
    function = {"FunctionName": "stranger", "Runtime": "python3.14", "Handler": "index.handler", "Role": "arn"}
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("iam", "create_role", role),
        ("lambda", "create_function", {**function, "Code": {"ZipFile": b""}}),
        ("lambda", "invoke", {"FunctionName": "stranger"}),
        ("s3", "list_buckets", {}),
        ("s3", "put_object", {"Bucket": "stranger", "Key": "k", "Body": b"x"}),
        ("sts", "assume_role", {"RoleArn": f"arn:aws:iam::{PUBLISHER}:role/any", "RoleSessionName": "stranger"}),
        ("cloudformation", "create_stack", {"StackName": "stranger", "TemplateBody": "{}"}),
        ("glue", "create_job", {"Name": "j", "Role": "r", "Command": {"Name": "pythonshell"}}),
    ]

    for service, operation, parameters in calls:
        with pytest.raises(ClientError) as caught:
            getattr(_client(emulator, service, key or "-", secret), operation)(**parameters)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404)

    assert processes(emulator.pid) <= before


@pytest.mark.parametrize("service", ["s3", "sqs", "iam", "lambda", "dynamodb"])
def test_unsigned_request_is_rejected(emulator: Emulator, service: str) -> None:
    client = _client(emulator, service, PUBLISHER, "", signature_version=UNSIGNED)
    operation = {"s3": "list_buckets", "sqs": "list_queues", "iam": "list_roles", "lambda": "list_functions"}

    with pytest.raises(ClientError, match=r"\((MissingAuthenticationToken|AccessDenied)"):
        getattr(client, operation.get(service, "list_tables"))()


def test_function_credentials_cannot_be_computed(emulator: Emulator, publisher: Account) -> None:
    """The emulator computes them from the function's and the role's names."""
    function = publisher.function("import os\n\ndef handler(event, context):\n    return dict(os.environ)\n")
    environment = publisher.invoke(function)
    assert environment["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert emulator.secret not in environment.values()
    role = publisher.client("lambda").get_function(FunctionName=function)["Configuration"]["Role"]
    digest = hashlib.sha256(f"{function}:{role}".encode()).hexdigest()
    secret, token = (hashlib.sha256(f"{name}:{digest}".encode()).hexdigest() for name in ("secret", "token"))

    with pytest.raises(ClientError, match="security token included in the request is invalid"):
        _client(emulator, "sts", f"ASIA{digest[:16].upper()}", secret, token).get_caller_identity()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("signed", [False, True])
def test_administrative_paths_do_not_exist(emulator: Emulator, send: Send, method: str, signed: bool) -> None:
    for path in ("reset", "config", "ready", "sqs/messages", "cfn-signal/1", "cfn-response/1", "rds/iam-auth", ""):
        request = AWSRequest(method, f"{emulator.endpoint}/_ministack/{path}", data=b"{}")
        response = send(_signed(request, emulator.secret) if signed else request)
        assert response.status == 404, path
    for path in ("/_localstack/health", "/health", "/latest/meta-data/", "/2015-03-31/functions", "/"):
        assert send(AWSRequest(method, emulator.endpoint + path)).status == 403, path


def test_health_names_no_service(emulator: Emulator, web: urllib3.PoolManager) -> None:
    response = web.request("GET", f"{emulator.endpoint}/_ministack/health")

    assert (response.status, response.data) == (200, b"")


def test_every_other_service_does_not_exist(emulator: Emulator, send: Send) -> None:
    from ministack.app import SERVICE_NAME_ALIASES, SERVICE_REGISTRY
    from ministack.core.router import SERVICE_PATTERNS

    others = {*SERVICE_REGISTRY, *SERVICE_NAME_ALIASES} - set(SERVICES)
    assert set(SERVICES) <= set(SERVICE_REGISTRY)
    for service in others:
        assert send(_signed(_request(emulator), emulator.secret, service=service)).status == 404, service
    for service in others & set(SERVICE_PATTERNS):  # named by a header, with the signature of another service
        for prefix in SERVICE_PATTERNS[service].get("target_prefixes", []):
            request = _request(emulator, **{"X-Amz-Target": f"{prefix}.ListJobs", "Content-Type": "application/json"})
            response = send(_signed(request, emulator.secret))
            assert response.status >= 400, prefix
            assert b"Unsupported service" in response.data or b"denied" in response.data.lower(), response.data


def test_websocket_is_rejected(emulator: Emulator, web: urllib3.PoolManager) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}

    response = web.request(
        "GET", emulator.endpoint, headers={**headers, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    )

    assert response.status == 403


def test_signature_covers_the_body(emulator: Emulator, send: Send) -> None:
    request = _signed(_request(emulator), emulator.secret)
    assert send(request).status == 200

    request.data = "Action=GetSessionToken&Version=2011-06-15"

    assert send(request).status == 403


@pytest.mark.parametrize("name", ["X-Amz-Credential", "AWSAccessKeyId"])
def test_second_access_key_is_rejected(emulator: Emulator, send: Send, name: str) -> None:
    """The caller must be the signature's access key."""
    request = _request(emulator, f"/?{name}={SUBSCRIBER}/20260101/{NEAR}/sts/aws4_request")

    assert send(_signed(request, emulator.secret)).status == 403


@pytest.mark.parametrize("secret", ["run", "other"])
@pytest.mark.parametrize(
    ("service", "sign", "status"),
    [
        ("s3", lambda keys, seconds: S3SigV4QueryAuth(keys, "s3", NEAR, expires=seconds), 200),
        ("sqs", lambda keys, seconds: SigV4QueryAuth(keys, "sqs", NEAR, expires=seconds), 200),
        ("s3", lambda keys, seconds: HmacV1QueryAuth(keys, expires=seconds), 403),  # an old kind of signature
    ],
    ids=["s3", "sqs", "version 2"],
)
def test_presigned_url_needs_the_secret(
    emulator: Emulator, publisher: Account, send: Send, service: str, sign: Any, status: int, secret: str
) -> None:
    path = f"/{publisher.bucket()}" if service == "s3" else "/?Action=ListQueues&Version=2012-11-05"
    keys = Credentials(PUBLISHER, emulator.secret if secret == "run" else "test")
    for seconds, expected in ((60, status if secret == "run" else 403), (-60, 403)):
        request = AWSRequest("GET", emulator.endpoint + path)
        sign(keys, seconds).add_auth(request)
        assert send(request).status == expected


def test_confirmation_passes_only_topic_and_token(emulator: Emulator, send: Send, publisher: Account) -> None:
    """It is the one request without a signature: its token is the secret."""
    topic = publisher.topic()
    confirm = f"/?Action=ConfirmSubscription&TopicArn={topic}&Token=guessed"

    for path, status in (
        (confirm, 400),
        (f"{confirm}&Action=DeleteTopic", 403),
        (f"/?Action=Unsubscribe&SubscriptionArn={topic}:1", 403),
        ("/?Action=ConfirmSubscription&TopicArn=arn:aws:sqs:us-east-1:111111111111:queue&Token=guessed", 403),
    ):
        assert send(AWSRequest("GET", emulator.endpoint + path)).status == status
    target = {"X-Amz-Target": "AmazonSQS.ListQueues", "Host": "bucket.s3.amazonaws.com"}
    assert send(AWSRequest("GET", emulator.endpoint + confirm, headers=target)).status == 400
    assert publisher.client("sns").get_topic_attributes(TopicArn=topic)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a process as another user")
def test_other_user_finds_no_secret(emulator: Emulator) -> None:
    found = f"cat /proc/{emulator.pid}/environ /proc/{emulator.pid}/cmdline; grep -r . {emulator.folder}"

    process = subprocess.run(["sh", "-c", found], capture_output=True, text=True, user=65534, group=65534, check=False)

    assert "local.emulator_process" in process.stdout
    assert emulator.secret not in process.stdout
    assert "PRIVATE KEY" not in process.stdout
    assert process.stderr.count("Permission denied") == 2

"""Patches of CloudFormation."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from ministack.core.responses import get_account_id
from ministack.services import cloudformation, sqs
from ministack.services.cloudformation import custom_resource

from local.patches.patch import patch, replaces, replaces_handler

WAIT_SECONDS = 4.0


@patch
def description_waits_for_the_operation() -> None:
    """Delay the response to DescribeStacks while the stack is in progress.

    AWS and the emulator: respond at once. The CDK CLI polls every five seconds, and the emulator's stacks need fewer.
    """

    @replaces(cloudformation, "handle_request")
    async def handle_request(original: Any, method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        deadline = time.monotonic() + (WAIT_SECONDS if b"Action=DescribeStacks&" in body else 0)
        while True:
            response = await original(method, path, headers, body, query)
            if b"_IN_PROGRESS</StackStatus>" not in _bytes(response[2]) or time.monotonic() > deadline:
                return response
            await asyncio.sleep(0.05)


@patch
def response_url_is_presigned() -> None:
    """Sign the URL to which a custom resource's function sends its response.

    AWS: a presigned URL of S3. The emulator: a URL with a token and without a signature.
    """

    @replaces(custom_resource, "_response_url")
    def response_url(original: Any, token: str) -> str:
        request = AWSRequest("PUT", original(token))
        root = Credentials("000000000000", os.environ["AWS_SECRET_ACCESS_KEY"])
        S3SigV4QueryAuth(root, "s3", "us-east-1", expires=_RESPONSE_SECONDS).add_auth(request)
        return str(request.url)


_RESPONSE_SECONDS = 3600  # the longest timeout of a custom resource


def _bytes(body: bytes | str) -> bytes:
    return body.encode() if isinstance(body, str) else body


@patch
def existing_queue_is_refused() -> None:
    """Refuse a template's queue whose name is in use.

    AWS: the deployment fails, because the queue exists. The emulator: replaces the queue and loses its messages.
    """

    @replaces_handler("AWS::SQS::Queue", "create")
    def create(original: Any, logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        name = properties.get("QueueName", "")
        url = sqs._queue_url_for_account(get_account_id(), name)
        if url in sqs._queues:
            raise ValueError(f"Resource of type 'AWS::SQS::Queue' with identifier '{url}' already exists.")
        return original(logical_id, properties, stack)

"""Patch of CloudFormation."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ministack.services import cloudformation

from local.patches.patch import patch, replaces

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


def _bytes(body: bytes | str) -> bytes:
    return body.encode() if isinstance(body, str) else body

"""The consume function without a queue, which starts a second task for a duplicate."""

import uuid
from typing import Any

from consume_topic import handler as correct

_run_task = correct.ecs.run_task
correct.ecs.run_task = lambda **request: _run_task(**{**request, "clientToken": str(uuid.uuid4())})  # type: ignore[method-assign]
correct.idempotency.find_task = lambda message: None  # type: ignore[method-assign]


def handler(event: dict[str, Any], context: Any) -> None:
    """Process an SNS event."""
    correct.handler(event, context)

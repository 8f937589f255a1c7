"""The function of the Lambda subscriber, had nobody thought of messages that are delivered twice."""

import uuid
from typing import Any

from consume_topic import handler as careful

_run_task = careful.ecs.run_task
careful.ecs.run_task = lambda **request: _run_task(**{**request, "clientToken": str(uuid.uuid4())})  # type: ignore[method-assign]
careful.idempotency.find_task = lambda message: None  # type: ignore[method-assign]


def handler(event: dict[str, Any], context: Any) -> None:
    careful.handler(event, context)

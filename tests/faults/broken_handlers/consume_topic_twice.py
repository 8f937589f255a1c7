"""The consume function without a queue, which starts a second task for a duplicate."""

import uuid
from typing import Any

from consume_topic import handler as correct

application: Any = correct.consumer.application
_run_task = application.runner.ecs.run_task
application.runner.ecs.run_task = lambda **request: _run_task(**{**request, "clientToken": str(uuid.uuid4())})
application.idempotency.find_task = lambda message: None


def handler(event: dict[str, Any], context: Any) -> None:
    """Process an SNS event."""
    correct.handler(event, context)

"""The consume function with a FIFO queue, which processes a group's messages after a failed message."""

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType

from consume_queue import handler as correct

correct.SqsFifoPartialProcessor = lambda **_: BatchProcessor(event_type=EventType.SQS)  # type: ignore[assignment,attr-defined]
handler = correct.handler

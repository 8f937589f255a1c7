"""The function of the subscriber with a FIFO queue, had nobody thought of the order after a record that failed."""

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType

from consume_queue import handler as careful

careful.SqsFifoPartialProcessor = lambda **_: BatchProcessor(event_type=EventType.SQS)  # type: ignore[assignment,attr-defined]
handler = careful.handler

"""What a run costs, at the list prices of us-east-1."""

import math

from stacks.deployment import Deployment

_MESSAGES = 3
_OFFLOADED = 2
_REQUESTS_CENTS = 0.5
"""More than some hundred requests of S3, KMS, SNS, SQS, Lambda, Step Functions and CloudWatch Logs cost."""
_TRANSFER_CENTS = 2.0
"""A gigabyte from one Region to another."""
_CPU_CENTS, _MEMORY_CENTS = 4.05, 0.445
"""An hour of a vCPU and of a gigabyte on Fargate, which counts a minute at least."""


def cents(deployment: Deployment, *, payload_bytes: int) -> int:
    """Return the cost of a run with a file of this size in cents, rounded up, without that of the applications."""
    total = _REQUESTS_CENTS
    for subscriber in deployment.subscribers:
        if subscriber.region != deployment.publisher.region:
            total += _OFFLOADED * payload_bytes / 10**9 * _TRANSFER_CENTS
        if subscriber.kind == "lambda":
            hourly = subscriber.task.cpu / 1024 * _CPU_CENTS + subscriber.task.memory_mib / 1024 * _MEMORY_CENTS
            total += _MESSAGES * hourly / 60
    return math.ceil(total)

"""The queues of a deployment that letters wait in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cli.redrive import letter
from cli.redrive.destination import Destination, Function, Queue
from cli.redrive.letter import Shape
from stacks import names
from stacks.deployment import Deployment, HttpsSubscriber, LambdaSubscriber, SqsSubscriber


class NoSuchSource(ValueError):
    """The deployment has no such queue. The message says what it has."""


Client = Callable[[str, str], Any]
"""From an AWS service and a Region to a boto3 client."""


@dataclass(frozen=True)
class Source:
    """A queue, where it is, the shapes of what is in it, and where that goes."""

    queue: str
    account: str
    region: str
    shapes: tuple[Shape, ...]
    destination: Callable[[Client], Destination]


def of_publisher(deployment: Deployment) -> Source:
    """What the publish function could not publish."""
    home = deployment.publisher
    return Source(
        queue=names.publish_dead_letter_queue(deployment),
        account=home.account,
        region=home.region,
        shapes=(letter.failed_invocation, letter.untaken_event),
        destination=_function(names.publish_function(deployment), home.region),
    )


def of_intake(deployment: Deployment, name: str) -> Source:
    """What the function that feeds a research pipeline gave up, or was not given.

    Raises:
        NoSuchSource: there is no such subscriber, or it feeds no pipeline.
    """
    subscriber = next((each for each in deployment.subscribers if each.name == name), None)
    if not isinstance(subscriber, SqsSubscriber) or not subscriber.pipeline:
        raise NoSuchSource(f"{name!r} is no subscriber that feeds a pipeline")
    return Source(
        queue=names.intake_dead_letter_queue(deployment, subscriber),
        account=subscriber.account,
        region=subscriber.region,
        shapes=(letter.failed_invocation, letter.untaken_event),
        destination=_function(names.intake_function(deployment, subscriber), subscriber.region),
    )


def of_subscriber(deployment: Deployment, name: str, *, undelivered: bool) -> Source:
    """What the subscriber's function could not handle; or, `undelivered`, what SNS could not deliver to it.

    Raises:
        NoSuchSource: there is no such subscriber, or it is one that takes its letters itself.
    """
    subscriber = next((each for each in deployment.subscribers if each.name == name), None)
    match subscriber:
        case SqsSubscriber():
            back = _queue(names.queue(deployment, subscriber), subscriber.region)
            shapes: tuple[Shape, ...] = (letter.undelivered,) if undelivered else (letter.queued,)
        case LambdaSubscriber():
            back = _function(names.consume_function(deployment, subscriber), subscriber.region)
            shapes = (letter.notification,) if undelivered else (letter.failed_invocation, letter.failed_task)
        case HttpsSubscriber():
            raise NoSuchSource(
                f"{name!r} is a subscriber of kind https: what SNS could not post to it waits in "
                f"{names.redrive_queue(deployment, subscriber)}, and its own process takes it from there"
            )
        case _:
            known = ", ".join(each.name for each in deployment.subscribers)
            raise NoSuchSource(f"{name!r} is no subscriber of this deployment; there are: {known}")
    if undelivered:
        queue, region = names.redrive_queue(deployment, subscriber), deployment.publisher.region
    else:
        queue, region = names.dead_letter_queue(deployment, subscriber), subscriber.region
    return Source(queue=queue, account=subscriber.account, region=region, shapes=shapes, destination=back)


def _queue(name: str, region: str) -> Callable[[Client], Destination]:
    return lambda client: Queue(name, sqs=client("sqs", region))


def _function(name: str, region: str) -> Callable[[Client], Destination]:
    return lambda client: Function(name, lambda_=client("lambda", region))

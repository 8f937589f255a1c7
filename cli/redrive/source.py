"""The queues of a deployment that letters wait in, and the state machines whose executions are such."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cli.redrive import letter
from cli.redrive.destination import Destination, Function, Queue, StateMachine
from cli.redrive.executions import Executions
from cli.redrive.letter import Shape
from cli.redrive.pile import Pile
from stacks.deployment import Deployment, HttpsSubscriberConfig, LambdaSubscriberConfig, SqsSubscriberConfig, names


class NoSuchSource(ValueError):
    """The deployment has no such queue. The message says what it has."""


Client = Callable[[str, str], Any]
"""From an AWS service and a Region to a boto3 client."""


@dataclass(frozen=True)
class Source:
    """A queue or a state machine, where it is, what a letter of it is called, its letters, and where they go."""

    name: str
    account: str
    region: str
    pile: Callable[[Client], Pile | Executions]
    destination: Callable[[Client], Destination]
    noun: str = "letter"


def of_publisher(deployment: Deployment) -> Source:
    """What the publish function could not publish."""
    home = deployment.publisher
    queue = names.publish_dead_letter_queue(deployment)
    return Source(
        name=queue,
        account=home.account,
        region=home.region,
        pile=_pile(queue, home.region, letter.failed_invocation, letter.untaken_event),
        destination=_function(names.publish_function(deployment), home.region),
    )


def of_intake(deployment: Deployment, name: str) -> Source:
    """What the function that feeds a research pipeline gave up, or was not given.

    Raises:
        NoSuchSource: there is no such subscriber, or it feeds no pipeline.
    """
    subscriber = next((each for each in deployment.subscribers if each.name == name), None)
    if not isinstance(subscriber, SqsSubscriberConfig) or not subscriber.pipeline:
        raise NoSuchSource(f"{name!r} is no subscriber that feeds a pipeline")
    queue = names.pipeline_trigger_dead_letter_queue(deployment, subscriber)
    return Source(
        name=queue,
        account=subscriber.account,
        region=subscriber.region,
        pile=_pile(queue, subscriber.region, letter.failed_invocation, letter.untaken_event),
        destination=_function(names.pipeline_trigger_function(deployment, subscriber), subscriber.region),
    )


def of_subscriber(deployment: Deployment, name: str, *, undelivered: bool) -> Source:
    """What the subscriber's function could not handle; or, `undelivered`, what SNS could not deliver to it.

    Raises:
        NoSuchSource: there is no such subscriber, or it is one that takes its letters itself.
    """
    subscriber = next((each for each in deployment.subscribers if each.name == name), None)
    match subscriber:
        case SqsSubscriberConfig():
            back = _queue(names.queue(deployment, subscriber), subscriber.region)
            shapes: tuple[Shape, ...] = (letter.undelivered,) if undelivered else (letter.queued,)
        case LambdaSubscriberConfig():
            back = _function(names.consume_function(deployment, subscriber), subscriber.region)
            shapes = (letter.notification,) if undelivered else (letter.failed_invocation, letter.failed_task)
        case HttpsSubscriberConfig():
            raise NoSuchSource(
                f"{name!r} is a subscriber of kind https: what SNS could not post to it waits in "
                f"{names.undelivered_queue(deployment, subscriber)}, and its own process takes it from there"
            )
        case _:
            known = ", ".join(each.name for each in deployment.subscribers)
            raise NoSuchSource(f"{name!r} is no subscriber of this deployment; there are: {known}")
    if undelivered:
        queue, region = names.undelivered_queue(deployment, subscriber), deployment.publisher.region
    else:
        queue, region = names.dead_letter_queue(deployment, subscriber), subscriber.region
    pile = _pile(queue, region, *shapes)
    return Source(name=queue, account=subscriber.account, region=region, pile=pile, destination=back)


def of_executions(deployment: Deployment, name: str) -> Source:
    """Executions of the subscriber's state machine that failed, timed out or were aborted.

    Raises:
        NoSuchSource: there is no such subscriber, or it has no state machine.
    """
    subscriber = next((each for each in deployment.subscribers if each.name == name), None)
    if not isinstance(subscriber, SqsSubscriberConfig):
        raise NoSuchSource(f"{name!r} is no subscriber of kind sqs, which alone have a state machine")
    machine, region = names.state_machine(deployment, subscriber), subscriber.region
    arn = names.state_machine_arn(deployment, subscriber)
    return Source(
        name=machine,
        account=subscriber.account,
        region=region,
        pile=lambda client: Executions(state_machine_arn=arn, states=client("stepfunctions", region)),
        destination=lambda client: StateMachine(machine, states=client("stepfunctions", region)),
        noun="unsuccessful execution",
    )


def _pile(queue: str, region: str, *shapes: Shape) -> Callable[[Client], Pile]:
    def pile(client: Client) -> Pile:
        sqs = client("sqs", region)
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        return Pile(url=url, sqs=sqs, shapes=shapes, until=datetime.now(tz=UTC))

    return pile


def _queue(name: str, region: str) -> Callable[[Client], Destination]:
    return lambda client: Queue(name, sqs=client("sqs", region))


def _function(name: str, region: str) -> Callable[[Client], Destination]:
    return lambda client: Function(name, lambda_=client("lambda", region))

"""The example deployment: what its templates allow is what is meant."""

from collections import Counter

import pytest

from stacks.deployment import SqsSubscriberConfig, SubscriberConfig
from tests.policies import matrix
from tests.policies.rows import disagreements
from tests.policies.simulator import Simulator
from tests.policies.terms import SERVICES_WITHOUT_SOURCE, Service, names_of, subscriber_names
from tests.policies.verdict import Judged, counterexamples, settings, unaccounted


@pytest.fixture(params=["example", "in_organization"])
def case(request: pytest.FixtureRequest) -> Judged:
    found: Judged = request.getfixturevalue(request.param)
    return found


def test_everything_is_accounted_for(case: Judged) -> None:
    assert not unaccounted(case)


def test_settings(case: Judged) -> None:
    assert not settings(case)


def test_proof(case: Judged) -> None:
    found = list(counterexamples(case))
    assert not found, "\n\n".join(map(str, found))


def test_matrix(case: Judged, simulator: Simulator) -> None:
    """Every row is decided as the intent says; and the matrix is not hollow."""
    rows = list(matrix.rows(case.deployment, case.found, case.intent))
    found = disagreements(rows, simulator)
    assert not found, "\n".join(map(str, found[:20]))
    assert len(rows) > 20_000
    assert Counter(row.expected for row in rows)[True] > 1_000


def test_the_way_of_a_message_is_open(case: Judged, simulator: Simulator) -> None:
    """Liveness, spelled out: what each station has to do, it may."""
    deployment = case.messaging
    bucket, topic = names_of(deployment).publisher.payload_bucket.bucket.arn, names_of(deployment).publisher.topic.arn
    publish = case.found.arn_of(names_of(deployment).publisher.stack, "PublishRole")
    (sender,) = deployment.senders
    sender_role = f"role {names_of(deployment).senders[sender.name].role.name}"
    key = case.found.arn_of(names_of(deployment).publisher.stack, "Key")
    needed = {
        (sender_role, "events:PutEvents", names_of(deployment).publisher.event_bus.arn),
        (sender_role, "s3:PutObject", f"{bucket}/outbox/shop/one"),
        # An upload of an encrypted object is two requests, in parts three.
        (sender_role, "kms:GenerateDataKey", key),
        (sender_role, "kms:Decrypt", key),
        (f"role {publish.rsplit('/', 1)[1]}", "s3:PutObject", f"{bucket}/payloads/one"),
        (f"role {publish.rsplit('/', 1)[1]}", "s3:GetObject", f"{bucket}/outbox/one"),
        (f"role {publish.rsplit('/', 1)[1]}", "s3:DeleteObject", f"{bucket}/outbox/one"),
        (f"role {publish.rsplit('/', 1)[1]}", "sns:Publish", topic),
        (f"role {names_of(deployment).publisher.role.name}", "s3:PutObject", f"{bucket}/payloads/one"),
        (f"role {names_of(deployment).publisher.role.name}", "sns:Publish", topic),
        (
            "sns.amazonaws.com for our topic",
            "sqs:SendMessage",
            subscriber_names(deployment, deployment.subscribers[0]).queue.arn,
        ),
        (
            "sns.amazonaws.com for our topic",
            "lambda:InvokeFunction",
            subscriber_names(deployment, deployment.subscribers[1]).consume_function.arn,
        ),
    }
    for subscriber in deployment.subscribers:
        redrive = subscriber_names(deployment, subscriber).undelivered_queue.arn
        needed.add(("sns.amazonaws.com for our topic", "sqs:SendMessage", redrive))
        needed.add((f"administrator of {subscriber.account}", "sns:Subscribe", topic))
        for reader in [role.arn for role in subscriber_names(deployment, subscriber).reader_roles]:
            needed.add((f"role {reader.rsplit('/', 1)[1]}", "s3:GetObject", f"{bucket}/payloads/one"))
            # A read of an encrypted object is two requests.
            needed.add((f"role {reader.rsplit('/', 1)[1]}", "kms:Decrypt", key))
        needed |= _landing(case, subscriber)
    actors = {who for who, _, _ in needed}
    rows = [row for row in matrix.rows(deployment, case.found, case.intent) if row.caller.who in actors]
    answers = simulator.answer([row.question() for row in rows])
    allowed = {
        (row.caller.who, row.action, row.target.arn)
        for row, answer in zip(rows, answers, strict=True)
        if answer.allowed and row.context["aws:SecureTransport"] == "true"
    }
    assert needed <= allowed, needed - allowed


def _landing(case: Judged, subscriber: SubscriberConfig) -> set[tuple[str, str, str]]:
    """Requests that copying a payload into the landing bucket needs."""
    if not isinstance(subscriber, SqsSubscriberConfig) or not subscriber.landing:
        return set()
    stack = subscriber_names(case.messaging, subscriber).stack
    bucket = f"arn:aws:s3:::{subscriber_names(case.messaging, subscriber).landing_bucket.name}"
    key = case.found.arn_of(stack, "LandingKey")
    land = f"role {subscriber_names(case.messaging, subscriber).copy_role.name}"
    name = subscriber_names(case.messaging, subscriber).copy_function.name
    copy = f"arn:aws:lambda:{subscriber.region}:{subscriber.account}:function:{name}"
    machine = f"role {case.found.arn_of(stack, 'StateMachineRole').rsplit('/', 1)[1]}"
    return {
        (land, "s3:PutObject", f"{bucket}/landed/one"),
        (land, "kms:GenerateDataKey", key),
        (machine, "lambda:InvokeFunction", copy),
    }


def test_nobody_crosses_an_account_but_through_a_door(case: Judged) -> None:
    """The statement of intent itself: all that it lets across accounts is the contract."""
    crossing = [
        (guard.kind, door.may)
        for guard in case.intent.guards.values()
        for door in guard.doors
        if getattr(door.who, "account", getattr(door.who, "id", None)) not in (guard.account, None)
    ]
    assert Counter(crossing) == {
        ("bucket", ("s3:GetObject",)): 2,
        ("bucket", ("s3:PutObject", "s3:AbortMultipartUpload")): 1,
        ("key", ("kms:Decrypt",)): 2,
        ("key", ("kms:GenerateDataKey", "kms:Decrypt")): 1,
        ("topic", ("sns:Subscribe",)): 2,
        ("bus", ("events:PutEvents",)): 1,
    }


def test_every_service_names_its_source(case: Judged) -> None:
    """Confused deputies: a service is let in for one source or one account; Lambda alone cannot be held to it."""
    services = [
        (guard.kind, door.who)
        for guard in case.intent.guards.values()
        for door in guard.doors
        if isinstance(door.who, Service)
    ]
    assert len(services) > 10
    for kind, service in services:
        if not (service.sources or service.account):
            assert kind == "role"
            assert service.name in SERVICES_WITHOUT_SOURCE

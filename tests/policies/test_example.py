"""The policies of the example deployment, alone and in an organisation."""

from collections import Counter

import pytest

from stacks.deployment import SqsSubscriberConfig, SubscriberConfig
from tests.policies import matrix
from tests.policies.checks import Case, assert_as_intended
from tests.policies.rows import disagreements
from tests.policies.simulator import Simulator
from tests.policies.terms import SERVICES_WITHOUT_SOURCE, Service, names_of, subscriber_names


@pytest.fixture(params=["example", "in_organization"])
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.getfixturevalue(request.param)
    return found


def test_policies_are_as_intended(case: Case) -> None:
    assert_as_intended(case)


@pytest.mark.exhaustive
def test_matrix_agrees_with_intent(case: Case, simulator: Simulator) -> None:
    rows = list(matrix.rows(case.deployment, case.inventory, case.intent))
    found = disagreements(rows, simulator)
    assert not found, "\n".join(map(str, found[:20]))
    assert len(rows) > 60_000
    assert Counter(row.expected for row in rows)[True] > 1_000


def test_message_flow_is_allowed(in_organization: Case, simulator: Simulator) -> None:
    """The requests of each step, with the policies of both sides. The simulator also decides similar requests."""
    case, deployment = in_organization, in_organization.messaging
    names = names_of(deployment).publisher
    bucket, topic, key = names.payload_bucket.bucket.arn, names.topic.arn, case.inventory.arn_of(names.stack, "Key")
    (sender,) = names_of(deployment).senders.values()
    sender_role = f"role {sender.role.name}"
    publish_role = f"role {_role_name(case.inventory.arn_of(names.stack, 'PublishRole'))}"
    orders, billing = (subscriber_names(deployment, subscriber) for subscriber in deployment.subscribers)
    sns = "sns.amazonaws.com for the topic"
    needed = {
        (sender_role, "events:PutEvents", names.event_bus.arn),
        (sender_role, "s3:PutObject", f"{bucket}/outbox/shop/one"),
        # An upload of an encrypted object needs a data key. A multipart upload also decrypts it.
        (sender_role, "kms:GenerateDataKey", key),
        (sender_role, "kms:Decrypt", key),
        (publish_role, "s3:PutObject", f"{bucket}/payloads/one"),
        (publish_role, "s3:GetObject", f"{bucket}/outbox/one"),
        (publish_role, "s3:DeleteObject", f"{bucket}/outbox/one"),
        (publish_role, "sns:Publish", topic),
        (f"role {names.role.name}", "s3:PutObject", f"{bucket}/payloads/one"),
        (f"role {names.role.name}", "sns:Publish", topic),
        (sns, "sqs:SendMessage", orders.queue.arn),
        (sns, "lambda:InvokeFunction", billing.consume_function.arn),
    }
    for subscriber in deployment.subscribers:
        needed.add((sns, "sqs:SendMessage", subscriber_names(deployment, subscriber).undelivered_queue.arn))
        needed.add((f"administrator of {subscriber.account}", "sns:Subscribe", topic))
        for reader in subscriber_names(deployment, subscriber).reader_roles:
            needed.add((f"role {reader.name}", "s3:GetObject", f"{bucket}/payloads/one"))
            needed.add((f"role {reader.name}", "kms:Decrypt", key))
        needed |= _landing(case, subscriber)
    callers = {caller for caller, _, _ in needed}
    rows = list(matrix.rows(deployment, case.inventory, case.intent, callers=callers))
    assert not disagreements(rows, simulator)
    allowed = {(row.caller.name, row.action, row.target.arn) for row in rows if row.expected}
    assert needed <= allowed, needed - allowed


def _landing(case: Case, subscriber: SubscriberConfig) -> set[tuple[str, str, str]]:
    """Return the requests that copy a payload into the landing bucket."""
    if not isinstance(subscriber, SqsSubscriberConfig) or not subscriber.landing:
        return set()
    names = subscriber_names(case.messaging, subscriber)
    copy_role = f"role {names.copy_role.name}"
    machine_role = f"role {_role_name(case.inventory.arn_of(names.stack, 'StateMachineRole'))}"
    return {
        (copy_role, "s3:PutObject", f"{names.landing_bucket.arn}/landed/one"),
        (copy_role, "kms:GenerateDataKey", case.inventory.arn_of(names.stack, "LandingKey")),
        (machine_role, "lambda:InvokeFunction", names.copy_function.arn),
    }


def _role_name(arn: str) -> str:
    return arn.rsplit("/", 1)[1]


def test_cross_account_grants_are_the_contract(case: Case) -> None:
    """The statement of intent has no other grant to a principal of another account."""
    grants = [
        (resource.kind, grant.actions)
        for resource in case.intent.resource_policies.values()
        for grant in resource.grants
        if getattr(grant.principal, "account", getattr(grant.principal, "id", None)) not in (resource.account, None)
    ]
    assert Counter(grants) == {
        ("bucket", ("s3:GetObject",)): 2,
        ("bucket", ("s3:PutObject", "s3:AbortMultipartUpload")): 1,
        ("key", ("kms:Decrypt",)): 2,
        ("key", ("kms:GenerateDataKey", "kms:Decrypt")): 1,
        ("topic", ("sns:Subscribe",)): 2,
        ("bus", ("events:PutEvents",)): 1,
    }


def test_services_have_a_source_condition(case: Case) -> None:
    """Protection against confused deputies. Lambda and S3 cannot have a source condition."""
    services = [
        (resource.kind, grant.principal)
        for resource in case.intent.resource_policies.values()
        for grant in resource.grants
        if isinstance(grant.principal, Service)
    ]
    assert len(services) > 10
    for kind, service in services:
        if not (service.sources or service.account):
            assert kind == "role"
            assert service.name in SERVICES_WITHOUT_SOURCE

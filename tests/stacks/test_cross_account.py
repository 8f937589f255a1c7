"""Statements that cross an account, on the resource's side."""

import json
from typing import Any

import pytest

from stacks import cross_account
from stacks.deployment import Deployment, parse_messaging
from stacks.deployment.names import Names
from stacks.deployment.quotas import SUBSCRIBERS_AND_SENDERS
from tests.stacks.conftest import publisher_template
from tests.stacks.policies import resources

BUCKET = "arn:aws:s3:::coatcheck-payloads-111111111111-us-east-1"


def size(policy: object) -> int:
    return len(json.dumps(policy, separators=(",", ":")))


def test_policies_fit_the_maximum_number_of_subscribers(example: Deployment) -> None:
    """A bucket policy has at most 20 KB, a key policy 32 KB; with the longest possible names."""
    table = json.loads(example.model_dump_json()) | {"name": "c" * 22, "organization": "o-" + "a" * 32}
    subscriber, table["senders"] = table["subscribers"][0] | {"landing": {}}, []
    table["subscribers"] = [subscriber | {"name": f"s{'x' * 5}{n:02}"} for n in range(SUBSCRIBERS_AND_SENDERS)]
    deployment = parse_messaging(table)
    names = Names(deployment)
    assert all(len(subscriber.landing_bucket.name) > 60 for subscriber in names.subscribers.values())
    for statement, kilobytes in ((cross_account.read_payloads, 20), (cross_account.decrypt_payloads, 32)):
        policy = [
            statement(
                names.publisher.payload_bucket, subscriber, organization=deployment.organization
            ).to_statement_json()
            for subscriber in names.subscribers.values()
        ]
        # One KB is reserved for the other statements: the owner's, and the denial of requests without TLS.
        assert size(policy) < (kilobytes - 1) * 1024


LONGEST = {
    # The longest deployment name (limited by the bucket's name), with the longest sender names (limited by the role's).
    "senders": {
        "name": "c" * 26,
        "senders": [{"name": f"s{i:029}", "account": f"{i % 25:012}"} for i in range(28)],
        "subscribers": [{"name": "o", "kind": "sqs", "account": "1" * 12, "landing": {}}],
    },
    # Senders in the publisher's account, which count twice.
    "own senders": {
        "name": "c" * 26,
        "senders": [{"name": f"s{i:029}", "account": "1" * 12} for i in range(14)],
        "subscribers": [{"name": "o", "kind": "sqs", "account": "1" * 12, "landing": {}}],
    },
    # Subscribers with two reader roles.
    "subscribers": {
        "name": "coatcheck",
        "subscribers": [
            {"name": f"s{i:016}", "kind": "lambda", "account": f"{i:012}", "task": {"image": f"a@sha256:{0:064}"}}
            for i in range(29)
        ],
    },
}


@pytest.mark.parametrize("table", LONGEST.values(), ids=LONGEST)
def test_largest_deployment_fits_every_policy(table: dict[str, Any]) -> None:
    """The limits of `stacks/deployment/quotas.py`, with the longest names, in the partition with the longest ARNs.

    An ephemeral deployment has one statement more than others.
    """
    template = publisher_template(
        parse_messaging(
            {
                **table,
                "ephemeral": True,
                "organization": "o-" + "a" * 32,
                "publisher": {"account": "1" * 12, "region": "us-gov-west-1"},
                "subscribers": [{**subscriber, "region": "us-gov-west-1"} for subscriber in table["subscribers"]],
            }
        )
    )

    def sizes(kind: str, document: str) -> list[int]:
        return [size(resource["Properties"].get(document)) for resource in resources(template, kind).values()]

    assert 11_000 < max(sizes("AWS::S3::BucketPolicy", "PolicyDocument")) <= 20 * 1024 - 500
    assert 7_000 < max(sizes("AWS::KMS::Key", "KeyPolicy")) <= 32 * 1024
    assert max(sizes("AWS::SNS::TopicPolicy", "PolicyDocument")) <= 30 * 1024
    assert sum(sizes("AWS::Events::EventBusPolicy", "Statement")) <= 10 * 1024
    assert max(sizes("AWS::Lambda::Function", "Environment")) <= 4 * 1024

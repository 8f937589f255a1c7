"""Replicas and HTTPS endpoints: what their templates allow is what is meant, and what breaks it is noticed."""

import json
from collections.abc import Callable

import pytest

from stacks.deployment import load_messaging, parse_messaging
from tests.policies import matrix
from tests.policies.mutants import Mutant, Templates, every_way
from tests.policies.rows import Changed, disagreements
from tests.policies.simulator import Simulator
from tests.policies.terms import payload_bucket
from tests.policies.verdict import Judged, caught, counterexamples, judged, settings, unaccounted
from tests.templates import ROOT, synthesize

REPLICA, PARTNER, PUBLISHER = "coatcheck-replica-us-west-2", "coatcheck-partner", "coatcheck-publisher"


@pytest.fixture(scope="module")
def everywhere() -> Judged:
    table = json.loads(load_messaging(ROOT / "deployments" / "everywhere.toml").model_dump_json(exclude_none=True))
    deployment = parse_messaging({**table, "organization": "o-a1b2c3d4e5"})
    return judged(deployment, synthesize(deployment))


def test_all_of_it_is_as_meant(everywhere: Judged) -> None:
    assert not unaccounted(everywhere)
    assert not settings(everywhere)
    found = list(counterexamples(everywhere))
    assert not found, "\n\n".join(map(str, found))


def test_what_is_new_is_decided_as_meant(everywhere: Judged, simulator: Simulator) -> None:
    """The rows that these decide; those about everything are asked of the example."""
    deployment, found = everywhere.messaging, everywhere.found
    about = {
        payload_bucket(deployment, "us-west-2").bucket.arn,
        "arn:aws:iam::555555555555:role/coatcheck-partner-reader",
    }
    rows = list(matrix.rows(deployment, found, everywhere.intent, about=Changed(frozenset(about), frozenset(about))))
    differing = disagreements(rows, simulator)
    assert not differing, "\n".join(map(str, differing[:20]))
    allowed = {(row.caller.who, row.action) for row in rows if row.expected and row.target.arn in about}
    assert ("role hooks", "sts:AssumeRole") in allowed
    reader = "role coatcheck-orders-reader"
    assert any(row.expected for row in rows if row.caller.who == reader and row.action == "s3:GetObject")


@pytest.mark.exhaustive
def test_every_part_of_every_new_statement_is_needed(everywhere: Judged) -> None:
    new = ("Replication", "ReplicaBucketPolicy", "Key", "Reader")
    mutants = [
        each
        for each in every_way(
            tuple(stack for stack in everywhere.stacks if stack.name in (REPLICA, PARTNER, PUBLISHER))
        )
        if each.name.split("/")[1].startswith(new)
    ]
    survivors = [each.name for each in mutants if not caught(everywhere, each.of(everywhere.stacks), None)]
    assert not survivors
    assert len(mutants) > 100


def _replication(t: Templates) -> dict[str, object]:
    rules: list[dict[str, object]] = t.one(PUBLISHER, "AWS::S3::Bucket")["ReplicationConfiguration"]["Rules"]
    return rules[0]


BREAKS: dict[str, Callable[[Templates], object]] = {
    "replicates to a stranger": lambda t: _replication(t)["Destination"].update(Bucket="arn:aws:s3:::collector"),  # type: ignore[attr-defined]
    "gives replicas away": lambda t: _replication(t)["Destination"].update(  # type: ignore[attr-defined]
        AccessControlTranslation={"Owner": "Destination"}, Account="999999999999"
    ),
    "replicates under another key": lambda t: _replication(t)["Destination"].update(  # type: ignore[attr-defined]
        EncryptionConfiguration={"ReplicaKmsKeyID": "arn:aws:kms:us-west-2:111111111111:alias/other"}
    ),
    "replicates the outbox too": lambda t: _replication(t).update(Filter={"Prefix": ""}),
    "replicates nothing": lambda t: _replication(t).update(Status="Disabled"),
    "replicates as the publisher": lambda t: t.one(PUBLISHER, "AWS::S3::Bucket")["ReplicationConfiguration"].update(
        Role="arn:aws:iam::111111111111:role/coatcheck-publisher"
    ),
    "does not replicate": lambda t: t.one(PUBLISHER, "AWS::S3::Bucket").pop("ReplicationConfiguration"),
    "a replica is replicated on": lambda t: t.one(REPLICA, "AWS::S3::Bucket").update(
        ReplicationConfiguration={"Role": "arn:aws:iam::111111111111:role/any", "Rules": [_replication(t)]}
    ),
    "a replica is not encrypted with its key": lambda t: t.one(REPLICA, "AWS::S3::Bucket").update(
        BucketEncryption={
            "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        }
    ),
    "a replica may be public": lambda t: t.one(REPLICA, "AWS::S3::Bucket").pop("PublicAccessBlockConfiguration"),
    "posts what is not signed": lambda t: t.one(PARTNER, "AWS::SNS::Subscription").update(RawMessageDelivery=True),
    "posts to somebody else": lambda t: t.one(PARTNER, "AWS::SNS::Subscription").update(
        Endpoint="https://collector.invalid/"
    ),
    "anybody of the account becomes the endpoint": lambda t: t.trust(PARTNER, "Reader").pop("Condition"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_a_hostile_reader_thinks_of(name: str, everywhere: Judged) -> None:
    assert caught(everywhere, Mutant(name, BREAKS[name]).of(everywhere.stacks), None)

"""The policies of replicas and HTTPS endpoints, and their mutants."""

import json
from collections.abc import Callable

import pytest

from stacks.deployment import load_messaging, parse_messaging
from tests.policies import matrix
from tests.policies.checks import Case, assert_as_intended, findings, read_case
from tests.policies.mutants import NOT_KMS, Mutant, Templates, generated_mutants
from tests.policies.rows import Changes, disagreements
from tests.policies.simulator import Simulator
from tests.policies.terms import payload_bucket
from tests.templates import ROOT

REPLICA, PARTNER, PUBLISHER = "coatcheck-replica-us-west-2", "coatcheck-partner", "coatcheck-publisher"


@pytest.fixture(scope="module")
def everywhere() -> Case:
    table = json.loads(load_messaging(ROOT / "deployments" / "everywhere.toml").model_dump_json(exclude_none=True))
    return read_case(parse_messaging({**table, "organization": "o-a1b2c3d4e5"}))


def test_policies_are_as_intended(everywhere: Case) -> None:
    assert_as_intended(everywhere)


@pytest.mark.exhaustive
def test_matrix_agrees_on_replica_and_reader_role(everywhere: Case, simulator: Simulator) -> None:
    """The rows that their policies decide. The example's matrix has all others."""
    deployment, inventory = everywhere.messaging, everywhere.inventory
    arns = frozenset(
        {
            payload_bucket(deployment, "us-west-2").bucket.arn,
            "arn:aws:iam::555555555555:role/coatcheck-partner-reader",
        }
    )
    rows = list(matrix.rows(deployment, inventory, everywhere.intent, changes=Changes(arns, arns)))
    found = disagreements(rows, simulator)
    assert not found, "\n".join(map(str, found[:20]))
    allowed = {(row.caller.name, row.action) for row in rows if row.expected}
    assert {("role hooks", "sts:AssumeRole"), ("role coatcheck-orders-reader", "s3:GetObject")} <= allowed


@pytest.mark.exhaustive
def test_generated_mutants_are_found(everywhere: Case) -> None:
    constructs = ("Replication", "ReplicaBucketPolicy", "Key", "Reader")
    stacks = tuple(stack for stack in everywhere.stacks if stack.name in (REPLICA, PARTNER, PUBLISHER))
    mutants = [mutant for mutant in generated_mutants(stacks) if mutant.name.split("/")[1].startswith(constructs)]
    survivors = [mutant.name for mutant in mutants if not findings(everywhere, mutant.apply(everywhere.stacks), None)]
    assert not survivors
    assert len(mutants) > 100


def _replication(t: Templates) -> dict[str, object]:
    rules: list[dict[str, object]] = t.find(PUBLISHER, "AWS::S3::Bucket")["ReplicationConfiguration"]["Rules"]
    return rules[0]


CHANGES: dict[str, Callable[[Templates], object]] = {
    "replicates to another account": lambda t: _replication(t)["Destination"].update(Bucket="arn:aws:s3:::collector"),  # type: ignore[attr-defined]
    "gives replicas to another account": lambda t: _replication(t)["Destination"].update(  # type: ignore[attr-defined]
        AccessControlTranslation={"Owner": "Destination"}, Account="999999999999"
    ),
    "replicates with another key": lambda t: _replication(t)["Destination"].update(  # type: ignore[attr-defined]
        EncryptionConfiguration={"ReplicaKmsKeyID": "arn:aws:kms:us-west-2:111111111111:alias/other"}
    ),
    "replicates the outbox": lambda t: _replication(t).update(Filter={"Prefix": ""}),
    "replicates nothing": lambda t: _replication(t).update(Status="Disabled"),
    "replicates with the publisher role": lambda t: t.find(PUBLISHER, "AWS::S3::Bucket")[
        "ReplicationConfiguration"
    ].update(Role="arn:aws:iam::111111111111:role/coatcheck-publisher"),
    "does not replicate": lambda t: t.find(PUBLISHER, "AWS::S3::Bucket").pop("ReplicationConfiguration"),
    "a replica is replicated": lambda t: t.find(REPLICA, "AWS::S3::Bucket").update(
        ReplicationConfiguration={"Role": "arn:aws:iam::111111111111:role/any", "Rules": [_replication(t)]}
    ),
    "a replica is not encrypted with its key": lambda t: t.find(REPLICA, "AWS::S3::Bucket").update(
        BucketEncryption=NOT_KMS
    ),
    "a replica has no public access block": lambda t: t.find(REPLICA, "AWS::S3::Bucket").pop(
        "PublicAccessBlockConfiguration"
    ),
    "posts without a signature": lambda t: t.find(PARTNER, "AWS::SNS::Subscription").update(RawMessageDelivery=True),
    "posts to another endpoint": lambda t: t.find(PARTNER, "AWS::SNS::Subscription").update(
        Endpoint="https://collector.invalid/"
    ),
    "any role of the account assumes the endpoint's role": lambda t: t.trust(PARTNER, "Reader").pop("Condition"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_mutant_is_found(name: str, everywhere: Case) -> None:
    assert findings(everywhere, Mutant(name, CHANGES[name]).apply(everywhere.stacks), None)

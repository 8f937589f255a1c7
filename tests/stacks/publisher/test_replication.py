"""Replicas: a stack in each Region, which the publisher's stack fills and the subscribers there read."""

import json
from typing import Any

import pytest

from stacks.deployment import load_messaging, parse_messaging
from tests.stacks.policies import Template, every_statement, only, resources, statements
from tests.templates import ROOT, synthesize

ORIGIN = "coatcheck-payloads-111111111111-us-east-1"
REPLICA = "coatcheck-payloads-111111111111-us-west-2"


@pytest.fixture(scope="module")
def everywhere() -> dict[str, Template]:
    """The example with a replica, and a subscriber in a Region without one."""
    table = json.loads(load_messaging(ROOT / "deployments" / "everywhere.toml").model_dump_json(exclude_none=True))
    table["subscribers"].append({"name": "far", "kind": "lambda", "account": "333333333333", "region": "us-east-1"})
    return {stack.name: stack.template for stack in synthesize(parse_messaging(table))}


def bucket(template: Template) -> dict[str, Any]:
    found: dict[str, Any] = only(template, "AWS::S3::Bucket")["Properties"]
    return found


def test_replica_bucket_has_the_properties_of_its_original(everywhere: dict[str, Template]) -> None:
    origin, replica = bucket(everywhere["coatcheck-publisher"]), bucket(everywhere["coatcheck-replica-us-west-2"])
    assert (origin["BucketName"], replica["BucketName"]) == (ORIGIN, REPLICA)
    for name in ("OwnershipControls", "PublicAccessBlockConfiguration", "VersioningConfiguration"):
        assert replica[name] == origin[name]
    rules = {rule["Id"]: rule for rule in origin["LifecycleConfiguration"]["Rules"]}
    del rules["ExpireUploads"]
    assert {rule["Id"]: rule for rule in replica["LifecycleConfiguration"]["Rules"]} == rules
    assert rules["ArchivePayloads"] == {
        "Id": "ArchivePayloads",
        "Status": "Enabled",
        "Prefix": "payloads/",
        "ObjectSizeGreaterThan": 1_048_576,
        "Transitions": [{"StorageClass": "GLACIER_IR", "TransitionInDays": 1}],
    }
    keys = resources(everywhere["coatcheck-replica-us-west-2"], "AWS::KMS::Key")
    assert len(keys) == 1
    alias = only(everywhere["coatcheck-replica-us-west-2"], "AWS::KMS::Alias")
    assert alias["Properties"]["AliasName"] == "alias/coatcheck-replica"


def test_subscribers_of_other_regions_do_not_read_the_replica(everywhere: dict[str, Template]) -> None:
    policy = statements(everywhere["coatcheck-replica-us-west-2"], "AWS::S3::BucketPolicy")
    assert {each["Sid"] for each in policy if "Sid" in each} == {"ReadPayloadsOrders", "ReadPayloadsPartner"}
    sids = {statement.get("Sid") for statement in every_statement(everywhere["coatcheck-far"])}
    assert "ReadPayloads" in sids
    assert "ReadReplica" not in sids


def test_nothing_is_replicated_without_replicas(templates: dict[str, Template]) -> None:
    assert "ReplicationConfiguration" not in bucket(templates["coatcheck-publisher"])
    assert not [role for role in resources(templates["coatcheck-publisher"], "AWS::IAM::Role") if "Replic" in role]

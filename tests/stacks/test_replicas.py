"""Replicas: a stack in each Region, filled by the publisher's, read by the subscribers there."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from stacks.deployment import Deployment, load_messaging, parse_messaging
from tests.stacks.policies import Template, every_statement, only, resources, statements, with_sid
from tests.templates import ROOT

ORIGIN = "coatcheck-payloads-111111111111-us-east-1"
REPLICA = "coatcheck-payloads-111111111111-us-west-2"


@pytest.fixture(scope="module")
def everywhere(synth: Callable[[Deployment], dict[str, Template]]) -> dict[str, Template]:
    return synth(load_messaging(ROOT / "deployments" / "everywhere.toml"))


def bucket(template: Template) -> dict[str, Any]:
    found: dict[str, Any] = only(template, "AWS::S3::Bucket")["Properties"]
    return found


def test_a_replica_is_kept_as_its_original_is(everywhere: dict[str, Template]) -> None:
    origin, replica = bucket(everywhere["coatcheck-publisher"]), bucket(everywhere["coatcheck-replica-us-west-2"])
    assert (origin["BucketName"], replica["BucketName"]) == (ORIGIN, REPLICA)
    for same in ("OwnershipControls", "PublicAccessBlockConfiguration", "VersioningConfiguration"):
        assert replica[same] == origin[same]
    rules = {rule["Id"]: rule for rule in origin["LifecycleConfiguration"]["Rules"]}
    assert replica["LifecycleConfiguration"]["Rules"] == [
        rule for name, rule in rules.items() if name != "ExpireOverwrittenUploads"
    ]
    keys = resources(everywhere["coatcheck-replica-us-west-2"], "AWS::KMS::Key")
    assert len([key for key in keys if not key.startswith("Alarms")]) == 1
    alias = only(everywhere["coatcheck-replica-us-west-2"], "AWS::KMS::Alias")
    assert alias["Properties"]["AliasName"] == "alias/coatcheck-replica"


def test_payloads_alone_are_replicated_and_no_deletion_is(everywhere: dict[str, Template]) -> None:
    (rule,) = bucket(everywhere["coatcheck-publisher"])["ReplicationConfiguration"]["Rules"]
    assert rule == {
        "Id": "Replicate-us-west-2",
        "Status": "Enabled",
        "Priority": 1,
        "Filter": {"Prefix": "payloads/"},
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}},
        "Destination": {
            "Bucket": f"arn:aws:s3:::{REPLICA}",
            "EncryptionConfiguration": {
                "ReplicaKmsKeyID": "arn:aws:kms:us-west-2:111111111111:alias/coatcheck-replica"
            },
            "Metrics": {"Status": "Enabled"},
        },
    }


DIMENSIONS = [
    {"Name": "DestinationBucket", "Value": REPLICA},
    {"Name": "RuleId", "Value": "Replicate-us-west-2"},
    {"Name": "SourceBucket", "Value": ORIGIN},
]


def test_each_alarm_of_replication_is_in_the_region_that_counts_it(everywhere: dict[str, Template]) -> None:
    """CloudWatch counts failures where the source is and lag where the replica is; an alarm is where its metric is."""
    alarms = {
        alarm["Properties"]["AlarmName"]: alarm["Properties"]
        for template in everywhere.values()
        for alarm in resources(template, "AWS::CloudWatch::Alarm").values()
        if alarm["Properties"]["Namespace"] == "AWS/S3"
    }
    failed = alarms.pop("coatcheck-publisher-us-west-2-NotReplicated")
    late = alarms.pop("coatcheck-replica-us-west-2-ReplicaLate")
    assert not alarms
    assert (failed["MetricName"], failed["Statistic"], failed["Threshold"]) == ("OperationsFailedReplication", "Sum", 1)
    assert (late["MetricName"], late["Statistic"], late["Threshold"]) == ("ReplicationLatency", "Maximum", 3600)
    assert failed["Dimensions"] == late["Dimensions"] == DIMENSIONS
    assert "us-west-2" in failed["AlarmDescription"]


def test_the_publishers_dashboard_shows_replication_of_both_regions(everywhere: dict[str, Template]) -> None:
    body = only(everywhere["coatcheck-publisher"], "AWS::CloudWatch::Dashboard")["Properties"]["DashboardBody"]
    text = "".join(part if isinstance(part, str) else "FILLED-IN" for part in body["Fn::Join"][1])
    (shown,) = (each for each in json.loads(text)["widgets"] if "Replic" in each["properties"].get("title", ""))
    failed, behind = shown["properties"]["metrics"]
    named = [part for each in DIMENSIONS for part in each.values()]
    assert failed[:8] == ["AWS/S3", "OperationsFailedReplication", *named]
    assert behind[:8] == ["AWS/S3", "ReplicationLatency", *named]
    assert (behind[8]["region"], behind[8]["yAxis"]) == ("us-west-2", "right")


def test_subscribers_there_trust_the_store_with_its_replica(everywhere: dict[str, Template]) -> None:
    function = only(everywhere["coatcheck-orders"], "AWS::Lambda::Function")["Properties"]
    for stores in (
        function["Environment"]["Variables"]["TRUSTED_STORES"],
        everywhere["coatcheck-partner"]["Outputs"]["TrustedStores"]["Value"],
    ):
        (store,) = json.loads(stores)
        assert store["bucket"] == ORIGIN
        assert store["replicas"] == [{"bucket": REPLICA, "region": "us-west-2"}]
    reading = with_sid(list(every_statement(everywhere["coatcheck-orders"])), "ReadReplica")
    assert reading["Resource"] == f"arn:aws:s3:::{REPLICA}/payloads/*"


def test_readers_of_a_replica_are_those_of_its_region(
    everywhere: dict[str, Template], synth: Callable[[Deployment], dict[str, Template]]
) -> None:
    table = json.loads(load_messaging(ROOT / "deployments" / "everywhere.toml").model_dump_json(exclude_none=True))
    table["subscribers"].append({"name": "near", "kind": "lambda", "account": "333333333333", "region": "us-east-1"})
    templates = synth(parse_messaging(table))
    found = statements(templates["coatcheck-replica-us-west-2"], "AWS::S3::BucketPolicy")
    assert {each["Sid"] for each in found if "Sid" in each} == {"ReadPayloadsOrders", "ReadPayloadsPartner"}
    sids = {each.get("Sid") for each in every_statement(templates["coatcheck-near"])}
    assert "ReadPayloads" in sids
    assert "ReadReplica" not in sids


def test_without_replicas_nothing_is_replicated(templates: dict[str, Template]) -> None:
    assert "ReplicationConfiguration" not in bucket(templates["coatcheck-publisher"])
    assert not [role for role in resources(templates["coatcheck-publisher"], "AWS::IAM::Role") if "Replic" in role]

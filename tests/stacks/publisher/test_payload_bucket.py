"""The payload bucket: name, events and lifecycle."""

import pytest

from tests.stacks.policies import Template, only, without_alarms


@pytest.fixture(scope="module")
def publisher(templates: dict[str, Template]) -> Template:
    return without_alarms(templates["coatcheck-publisher"])


def test_payload_bucket_sends_events_and_keeps_versions(publisher: Template) -> None:
    properties = only(publisher, "AWS::S3::Bucket")["Properties"]
    assert properties["BucketName"] == "coatcheck-payloads-111111111111-us-east-1"
    assert properties["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}


def test_payloads_and_refused_uploads_expire(publisher: Template) -> None:
    """A refused upload can be redriven for as long as its dead letter. An overwritten one lives as long."""
    rules = only(publisher, "AWS::S3::Bucket")["Properties"]["LifecycleConfiguration"]["Rules"]
    assert {rule["Id"]: {key: rule[key] for key in rule if key not in ("Id", "Status")} for rule in rules} == {
        "ExpirePayloads": {
            "Prefix": "payloads/",
            "ExpirationInDays": 101,
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        },
        "ExpireUploads": {
            "Prefix": "outbox/",
            "ExpirationInDays": 101 + 14,
            "NoncurrentVersionExpiration": {"NoncurrentDays": 101},
        },
        "RemoveDeleteMarkers": {"ExpiredObjectDeleteMarker": True},
        "AbortUnfinishedUploads": {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}},
    }
    assert {rule["Status"] for rule in rules} == {"Enabled"}

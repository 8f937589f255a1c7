"""Patch of DynamoDB."""

from typing import Any

import pytest

from tests.local.support import Account, unique

pytestmark = pytest.mark.system


def _time_to_live(account: Account, resource_type: str, *, enabled: bool = True) -> dict[str, Any]:
    """Deploy a table, and return the description of its time to live."""
    name = unique("table")
    properties: dict[str, Any] = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "TimeToLiveSpecification": {"AttributeName": "expiration", "Enabled": enabled},
    }
    if resource_type == "AWS::DynamoDB::GlobalTable":
        properties["Replicas"] = [{"Region": account.region}]
    account.create({"Table": {"Type": resource_type, "Properties": properties}})
    client = account.client("dynamodb")
    description: dict[str, Any] = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    return description


@pytest.mark.patched
@pytest.mark.parametrize("resource_type", ["AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"])
def test_template_sets_time_to_live(publisher: Account, resource_type: str) -> None:
    assert _time_to_live(publisher, resource_type) == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expiration"}


def test_template_disables_time_to_live(publisher: Account) -> None:
    assert _time_to_live(publisher, "AWS::DynamoDB::Table", enabled=False)["TimeToLiveStatus"] == "DISABLED"

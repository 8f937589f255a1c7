"""DynamoDB's gap."""

from typing import Any

import pytest

from local.accounts import Accounts
from tests.local.support import PUBLISHER, Account, unique

pytestmark = pytest.mark.system


def _time_to_live(account: Account, resource_type: str, *, enabled: bool = True) -> dict[str, Any]:
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
    status, reasons = account.deploy({"Table": {"Type": resource_type, "Properties": properties}})
    assert status == "CREATE_COMPLETE", reasons
    found: dict[str, Any] = account.client("dynamodb").describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    return found


@pytest.mark.parametrize("resource_type", ["AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"])
def test_time_to_live_by_cloudformation(publisher: Account, resource_type: str) -> None:
    assert _time_to_live(publisher, resource_type) == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expiration"}


def test_time_to_live_switched_off(publisher: Account) -> None:
    assert _time_to_live(publisher, "AWS::DynamoDB::Table", enabled=False)["TimeToLiveStatus"] == "DISABLED"


def test_gap_time_to_live(bare: Accounts) -> None:
    assert _time_to_live(Account(bare, PUBLISHER), "AWS::DynamoDB::Table")["TimeToLiveStatus"] == "DISABLED"

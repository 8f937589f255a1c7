"""DynamoDB's gap."""

from __future__ import annotations

from typing import Any

from ministack.services import dynamodb

from local.patches.patch import on_each_deployment


def install() -> None:
    """Fill every gap of this file."""
    time_to_live_by_cloudformation()


def time_to_live_by_cloudformation() -> None:
    """AWS: a template's TimeToLiveSpecification is the table's. The emulator: drops the property."""

    @on_each_deployment("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable")
    def apply(table: str, properties: dict[str, Any]) -> None:
        wanted = properties.get("TimeToLiveSpecification")
        if wanted:
            enabled = str(wanted.get("Enabled")).lower() == "true"
            attribute = {"AttributeName": wanted["AttributeName"]} if "AttributeName" in wanted else {}
            answer = dynamodb._update_ttl(
                {"TableName": table, "TimeToLiveSpecification": {"Enabled": enabled, **attribute}}
            )
            if answer[0] != 200:
                raise ValueError(f"TimeToLiveSpecification refused: {answer[2]!r}")

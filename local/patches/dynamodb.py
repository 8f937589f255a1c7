"""Patch of DynamoDB."""

from __future__ import annotations

from typing import Any

from ministack.services import dynamodb

from local.patches.patch import after_deployment, patch


@patch
def template_sets_time_to_live() -> None:
    """Apply a template's TimeToLiveSpecification.

    AWS: the specification is applied to the table. The emulator: ignores the property.
    """

    @after_deployment("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable")
    def apply(table: str, properties: dict[str, Any]) -> None:
        specification = properties.get("TimeToLiveSpecification")
        if specification:
            enabled = str(specification.get("Enabled")).lower() == "true"
            attribute = {"AttributeName": specification["AttributeName"]} if "AttributeName" in specification else {}
            response = dynamodb._update_ttl(
                {"TableName": table, "TimeToLiveSpecification": {"Enabled": enabled, **attribute}}
            )
            if response[0] != 200:
                raise ValueError(f"TimeToLiveSpecification is invalid: {response[2]!r}")

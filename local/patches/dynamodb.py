"""Patches of DynamoDB."""

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


@patch
def template_sets_point_in_time_recovery() -> None:
    """Apply the point-in-time recovery of a template's global table.

    AWS: each replica has its own setting. The emulator: ignores replicas. With the patch, that of the only replica.
    """

    @after_deployment("AWS::DynamoDB::GlobalTable")
    def apply(table: str, properties: dict[str, Any]) -> None:
        (replica,) = properties["Replicas"]
        specification = replica.get("PointInTimeRecoverySpecification") or {}
        enabled = str(specification.get("PointInTimeRecoveryEnabled")).lower() == "true"
        recovery = {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": enabled}}
        dynamodb._update_continuous_backups({"TableName": table, **recovery})

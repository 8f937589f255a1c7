"""DynamoDB's gap."""

from __future__ import annotations

from typing import Any

from ministack.services import dynamodb

from local.gaps.fill import instead_of_handler


def install() -> None:
    """Fill every gap of this file."""
    time_to_live_by_cloudformation()


def time_to_live_by_cloudformation() -> None:
    """AWS: a template's TimeToLiveSpecification is the table's. The emulator: drops the property."""

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

    for resource_type in ("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"):

        @instead_of_handler(resource_type, "create")
        def create(original: Any, logical_id: str, properties: dict[str, Any], stack: str) -> Any:
            created = original(logical_id, properties, stack)
            apply(created[0], properties)
            return created

        @instead_of_handler(resource_type, "update")
        def update(original: Any, physical_id: str, old: Any, new: dict[str, Any], *rest: Any, **named: Any) -> Any:
            updated = original(physical_id, old, new, *rest, **named)
            apply(updated[0], new)
            return updated

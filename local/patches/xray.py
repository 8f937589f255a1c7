"""X-Ray's gaps: what a template says of it is taken, since the rest of the template has to be deployed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ministack.services.cloudformation import provisioners


def install() -> None:
    """Fill every gap of this file."""
    resource_policy_by_cloudformation()


def resource_policy_by_cloudformation() -> None:
    """AWS: AWS::XRay::ResourcePolicy lets a service, such as SNS, send its segments to X-Ray.

    The emulator: has no X-Ray, and refuses the resource type. Here it is taken and does nothing: no segment is sent,
    and none is kept (`local.limitations`, "Traces").
    """

    def put(_logical_id: str, properties: Mapping[str, Any], _stack: str) -> tuple[str, dict[str, str]]:
        return properties["PolicyName"], {}

    def update(_physical_id: str, _old: Any, new: Mapping[str, Any], stack: str, logical_id: str = "") -> Any:
        return put(logical_id, new, stack)

    def delete(_physical_id: str, _properties: Any) -> None: ...

    provisioners._RESOURCE_HANDLERS["AWS::XRay::ResourcePolicy"] = {"create": put, "update": update, "delete": delete}

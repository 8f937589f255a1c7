"""The handler of the domain's custom resources."""

from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from botocore.stub import Stubber

from domain_clean_up.settings import CLEAN_UP, GUARD, GuardSettings
from tests.lambdas.conftest import imported
from tests.lambdas.domain_clean_up.test_clean_up import DOMAIN, SETTINGS, add_lists, add_profiles

CLEAN_UP_PROPERTIES = replace(SETTINGS, spaces=(), log_groups=("/aws/sagemaker/studio",)).to_properties()


@pytest.fixture(scope="module")
def function() -> Iterator[ModuleType]:
    with imported("domain_clean_up.handler") as module:
        yield module


def event(request_type: str) -> dict[str, Any]:
    return {
        "RequestType": request_type,
        "ResourceType": CLEAN_UP,
        "PhysicalResourceId": DOMAIN,
        "ResourceProperties": {"ServiceToken": "arn:aws:lambda:…", **CLEAN_UP_PROPERTIES},
    }


@pytest.mark.parametrize("request_type", ["Create", "Update"])
def test_create_and_update_describe_kept_spaces(
    function: ModuleType, context: SimpleNamespace, request_type: str
) -> None:
    with Stubber(function.clean_up.sagemaker) as sagemaker, Stubber(function.logs) as logs:
        group = {"logGroupName": "/aws/sagemaker/studio"}
        logs.add_client_error("create_log_group", "ResourceAlreadyExistsException", expected_params=group)
        logs.add_response(
            "describe_log_groups", {"logGroups": [group]}, {"logGroupNamePrefix": "/aws/sagemaker/studio"}
        )
        logs.add_response("put_retention_policy", {}, {**group, "retentionInDays": 90})
        sagemaker.add_response("list_spaces", {"Spaces": []}, {"DomainIdEquals": DOMAIN})
        response = function.handler(event(request_type), context)
        logs.assert_no_pending_responses()
    assert response == {"PhysicalResourceId": DOMAIN, "IsComplete": True, "Data": {"KeptSpaces": "none"}}


@pytest.mark.parametrize(("profile", "complete"), [("ada", True), ("created-by-studio", False)])
def test_delete_is_complete_when_nothing_remains(
    function: ModuleType, context: SimpleNamespace, profile: str, complete: bool
) -> None:
    with Stubber(function.clean_up.sagemaker) as sagemaker:
        add_lists(sagemaker)
        add_profiles(sagemaker, {"DomainId": DOMAIN, "UserProfileName": profile, "Status": "Deleting"})
        response = function.handler(event("Delete"), context)
        sagemaker.assert_no_pending_responses()
    assert response == {"PhysicalResourceId": DOMAIN, "IsComplete": complete}


def test_guard_is_complete_at_once(function: ModuleType, context: SimpleNamespace) -> None:
    properties = GuardSettings(fixed={"name": "coatcheck-research"}).to_properties()
    created = {"RequestType": "Create", "ResourceType": GUARD, "ResourceProperties": properties}
    response = function.handler(created, context)
    assert response["IsComplete"]
    assert len(response["PhysicalResourceId"]) == 32

"""What a run leaves in the accounts, and what it says of it."""

from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from cli.scenario.deliveries import ReceivedPayload
from cli.scenario.routes import Submission
from cli.verify.clean_up import clean_up
from stacks.deployment import load_messaging
from tests.cli.conftest import Deployed
from tests.cli.redrive.fake_aws import ACCOUNT
from tests.cli.scenario.test_report import ARRIVAL, START

SENT = ReceivedPayload(Submission("a file", "the library", 7, "", START, "m"), START, {"billing": ARRIVAL})


class World:
    """Accounts whose credentials the caller has."""

    def __init__(self, deployed: Deployed, *accounts: str) -> None:
        self._s3, self._accounts = deployed.s3, accounts

    def reaches(self, account: str) -> bool:
        return account in self._accounts

    def client(self, service: str, **_: str) -> Any:
        return self._s3


@pytest.fixture
def left(deployed: Deployed) -> Any:
    """Store a payload, clean up, and return what is left in the payload bucket, with the reason."""
    deployed.s3.put_object(Bucket=deployed.bucket, Key="payloads/m", Body=b"payload")
    deployment = load_messaging(deployed.file)

    def left(*accounts: str, **filter_policy: str) -> dict[str, str]:
        service, billing = deployment.subscribers
        filtered = service.model_copy(update={"filter_policy": '{"source":["shop"]}'} | filter_policy)
        filtering = deployment.model_copy(update={"subscribers": [filtered, billing]})
        found = clean_up(World(deployed, *accounts), filtering, [SENT])  # type: ignore[arg-type]
        return {each.subject: each.reason for each in found if deployed.bucket in each.subject}

    return left


def test_payload_is_deleted(left: Any, deployed: Deployed) -> None:
    assert left(ACCOUNT) == {}
    assert deployed.versions("payloads/") == []


def test_payload_stays_for_a_subscriber_without_arrival(left: Any) -> None:
    assert "perhaps service still reads it" in str(left(ACCOUNT, filter_policy_scope="body"))


def test_payload_of_an_unreached_account_is_named(left: Any, deployed: Deployed) -> None:
    reasons = left("222222222222")
    assert list(reasons) == [f"s3://{deployed.bucket}/payloads/m"]
    assert f"no credentials of {ACCOUNT}" in str(reasons)


def test_payload_is_named_when_s3_is_not_reached(left: Any, deployed: Deployed) -> None:
    """The report is written nevertheless."""

    def fail(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3")

    deployed.s3.meta.events.register("before-call.s3.DeleteObject", fail)
    assert "Could not connect" in str(left(ACCOUNT))

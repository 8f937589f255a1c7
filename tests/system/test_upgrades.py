"""A deployment's life: a failed first deployment, tables in and out, removal and return. Messages arrive after each."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claim_check import put_event
from local.accounts import Accounts
from local.cdk import Cdk, CdkError
from local.emulator import Emulator
from stacks.deployment import Names, parse_messaging
from tests.local.support import Account, eventually
from tests.templates import assembly

pytestmark = [pytest.mark.system, pytest.mark.exhaustive]

HOME, OTHER, REGION = "111111111111", "222222222222", "us-east-1"
TABLE: dict[str, Any] = {"name": "life", "publisher": {"account": HOME, "region": REGION}}
ORDERS: dict[str, Any] = {"name": "orders", "kind": "sqs", "account": OTHER, "region": REGION}
NAMES = Names(parse_messaging(TABLE | {"subscribers": [ORDERS]}))


class Site:
    """The accounts of the publisher and of the subscriber `orders`."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self._cdk, self._folder = Cdk(emulator, lambda *_: None), folder
        accounts = Accounts(emulator)
        self.home, self.other = Account(accounts, HOME, REGION), Account(accounts, OTHER, REGION)
        for account in (HOME, OTHER):
            self._cdk.bootstrap(account, [REGION])

    def deploy(self, *stacks: str, platform: dict[str, Any] | None = None, **orders: Any) -> None:
        """Deploy stacks, in this order, with keys of the subscriber."""
        table = TABLE | {"subscribers": [ORDERS | orders], "platform": platform or {}}
        folder = assembly(parse_messaging(table), self._folder / str(len(list(self._folder.iterdir()))))
        for stack in stacks:
            self._cdk.deploy(HOME if stack == "life-publisher" else OTHER, REGION, [stack], folder)

    def delete(self, account: Account, stack: str) -> None:
        """Delete a stack, its protection and what it retains, as the runbook says."""
        cloudformation = account.client("cloudformation")
        cloudformation.update_termination_protection(StackName=stack, EnableTerminationProtection=False)
        cloudformation.delete_stack(StackName=stack)
        eventually(lambda: stack not in {each["StackName"] for each in cloudformation.describe_stacks()["Stacks"]})

    def delete_retained(self, account: Account) -> None:
        """Delete queues, buckets, archives and buses. On AWS, all but the queues can be imported instead."""
        sqs, s3, events = (account.client(service) for service in ("sqs", "s3", "events"))
        for url in sqs.list_queues(QueueNamePrefix="life-").get("QueueUrls", ()):
            sqs.delete_queue(QueueUrl=url)
        for archive in events.list_archives()["Archives"]:
            events.delete_archive(ArchiveName=archive["ArchiveName"])
        for bus in events.list_event_buses(NamePrefix="life")["EventBuses"]:
            events.delete_event_bus(Name=bus["Name"])
        for bucket in s3.list_buckets()["Buckets"]:
            if bucket["Name"].startswith("life-"):
                for version in s3.list_object_versions(Bucket=bucket["Name"]).get("Versions", ()):
                    s3.delete_object(Bucket=bucket["Name"], Key=version["Key"], VersionId=version["VersionId"])
                s3.delete_bucket(Bucket=bucket["Name"])

    def receives(self, **detail: Any) -> dict[str, Any]:
        """Publish an event and return the output of its execution."""
        bus = NAMES.publisher.event_bus.arn
        id = put_event(bus=bus, source="shop", detail_type="order", detail=detail, events=self.home.client("events"))
        states = self.other.client("stepfunctions")
        arn = f"{NAMES.subscribers['orders'].state_machine.arn.replace(':stateMachine:', ':execution:')}:{id}"
        execution = eventually(lambda: _succeeded(states, arn))
        output: dict[str, Any] = json.loads(execution["output"])
        return output


def _succeeded(states: Any, arn: str) -> Any:
    try:
        execution = states.describe_execution(executionArn=arn)
    except states.exceptions.ExecutionDoesNotExist:
        return None
    return execution if execution["status"] == "SUCCEEDED" else None


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Emulator() as emulator:
        yield Site(emulator, tmp_path_factory.mktemp("assemblies"))


def test_failed_first_deployment_is_repeated(site: Site) -> None:
    bucket = NAMES.publisher.payload_bucket.bucket.name
    site.home.client("s3").create_bucket(Bucket=bucket)  # the name is taken
    with pytest.raises(CdkError):
        site.deploy("life-publisher")
    site.home.client("s3").delete_bucket(Bucket=bucket)
    with pytest.raises(CdkError, match="TerminationProtection"):
        site.deploy("life-publisher")
    site.delete(site.home, "life-publisher")
    site.deploy("life-publisher", "life-orders")
    assert site.receives(n=1)


@pytest.mark.parametrize(
    "keys",
    [
        {"filter_policy": {"detail-type": ["order"]}},
        {"landing": {}},
        {"platform": {"customer_keys": True, "tags": {"team": "a"}}},
    ],
    ids=["filter", "landing", "platform"],
)
def test_table_goes_in_out_and_in(site: Site, keys: dict[str, Any]) -> None:
    """Stacks are upgraded, rolled back and upgraded again. What a table retains is deleted before its return."""
    order = ("life-publisher", "life-orders")
    site.deploy(*order, **keys)
    assert ("landed" in site.receives(n=2)) == ("landing" in keys)
    site.deploy(*order)
    assert "landed" not in site.receives(n=3)
    if "landing" in keys:
        with pytest.raises(CdkError):
            site.deploy(*order, **keys)
        _delete_bucket(site, NAMES.subscribers["orders"].landing_bucket.name)
    site.deploy(*order, **keys)
    assert site.receives(n=4)
    site.deploy(*order)


def _delete_bucket(site: Site, name: str) -> None:
    s3 = site.other.client("s3")
    for found in s3.list_objects_v2(Bucket=name).get("Contents", ()):
        s3.delete_object(Bucket=name, Key=found["Key"])
    s3.delete_bucket(Bucket=name)


def test_removed_subscriber_returns(site: Site) -> None:
    site.delete(site.other, "life-orders")
    with pytest.raises(CdkError):
        site.deploy("life-orders")  # the queues are still there
    site.delete(site.other, "life-orders")
    site.delete_retained(site.other)
    site.deploy("life-orders")
    assert site.receives(n=5)


def test_removed_publisher_returns(site: Site) -> None:
    """Its topic took the subscription with it. The subscriber's stack makes another one."""
    site.delete(site.home, "life-publisher")
    site.delete_retained(site.home)
    site.deploy("life-publisher")
    site.deploy("life-orders", subscribed=False)
    site.deploy("life-orders")
    assert site.receives(n=6)

"""A deployment's life: a failed first deployment, tables in and out, removal and return. Messages arrive after each."""

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import pytest

from access.assembly import StackTemplate, read
from claim_check import Publisher, put_event
from local.accounts import Accounts
from local.cdk import Cdk, CdkError
from local.emulator import Emulator
from shared.handoff import HandOff
from stacks.deployment import Deployment, Names, parse_messaging
from tests.local.support import Account, delete_bucket, eventually
from tests.templates import assembly

pytestmark = [pytest.mark.system, pytest.mark.exhaustive]

HOME, OTHER, REGION, OTHER_REGION = "111111111111", "222222222222", "us-east-1", "us-west-2"
TABLE: dict[str, Any] = {"name": "life", "publisher": {"account": HOME, "region": REGION}}
ORDERS: dict[str, Any] = {"name": "orders", "kind": "sqs", "account": OTHER, "region": REGION}
FAR: dict[str, Any] = {"name": "far", "kind": "sqs", "account": OTHER, "region": OTHER_REGION}
Keys = Mapping[str, Any]
NONE: Keys = MappingProxyType({})
NAMES = Names(parse_messaging(TABLE | {"subscribers": [ORDERS, FAR]}))


class Site:
    """The accounts of the publisher and of the subscriber `orders`."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self._cdk, self._folder = Cdk(emulator, lambda *_: None), folder
        self._assemblies: dict[Deployment, Path] = {}
        self._deployed: dict[str, StackTemplate] = {}
        self.accounts = Accounts(emulator)
        self.home, self.other = Account(self.accounts, HOME, REGION), Account(self.accounts, OTHER, REGION)
        for account in (HOME, OTHER):
            self._cdk.bootstrap(account, [REGION, OTHER_REGION])

    def deploy(
        self, *stacks: str, publisher: Keys = NONE, orders: Keys = NONE, far: Keys = NONE, **tables: Any
    ) -> None:
        """Deploy stacks, in this order, with keys of the publisher and of a subscriber, and other tables.

        Unchanged stacks are left out, as the CLI does after seconds. Neighbours of one account are one command.
        """
        subscribers = [{**ORDERS, **orders}, *([{**FAR, **far}] if far else [])]
        table = {**TABLE, "publisher": {**TABLE["publisher"], **publisher}, "subscribers": subscribers, **tables}
        deployment = parse_messaging(table)
        if deployment not in self._assemblies:
            self._assemblies[deployment] = assembly(deployment, self._folder / str(len(self._assemblies)))
        folder = self._assemblies[deployment]
        found = {each.id: each for each in read(folder)}
        changed = [found[stack] for stack in stacks if found[stack] != self._deployed.get(stack)]
        for account, (*together,) in groupby(changed, key=lambda each: each.account):
            ids = [each.id for each in together]
            for id in ids:
                self._deployed.pop(id, None)  # it is unknown after a failure
            self._cdk.deploy(account, together[0].region, ids, folder)
            self._deployed |= {each.id: each for each in together}

    def delete(self, account: Account, stack: str) -> None:
        """Delete a stack, its protection and what it retains, as in the runbook."""
        cloudformation = account.client("cloudformation")
        cloudformation.update_termination_protection(StackName=stack, EnableTerminationProtection=False)
        cloudformation.delete_stack(StackName=stack)
        self._deployed.pop(stack, None)
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
                delete_bucket(s3, bucket["Name"])

    def receives(self, **detail: Any) -> Any:
        """Publish an event and return the output of its execution, or nothing but the message id of its task."""
        bus = NAMES.publisher.event_bus.arn
        id = put_event(bus=bus, source="shop", detail_type="order", detail=detail, events=self.home.client("events"))
        return eventually(lambda: self._execution("orders", id) or self._task(id))

    def replicates(self, bucket: str) -> bool:
        """Publish a large payload, and return whether it is in a bucket when its execution has succeeded."""
        names = NAMES.publisher
        sns, s3 = (self.home.client(service, role=names.role.name) for service in ("sns", "s3"))
        publisher = Publisher(topic_arn=names.topic.arn, store=names.store, sns=sns, s3=s3)
        publisher.publish(b"x" * 300_000, message_id=(id := str(uuid4())))
        output = eventually(lambda: self._execution("far", id))
        key = output["pointer"]["key"]
        s3 = Account(self.accounts, HOME, OTHER_REGION).client("s3")
        found = s3.list_objects_v2(Bucket=bucket, Prefix=key)
        return bool(found.get("Contents"))

    def _execution(self, subscriber: str, id: str) -> Any:
        names = NAMES.subscribers[subscriber]
        states = Account(self.accounts, OTHER, names.place.region).client("stepfunctions")
        arn = f"{names.state_machine.arn.replace(':stateMachine:', ':execution:')}:{id}"
        try:
            execution = states.describe_execution(executionArn=arn)
        except states.exceptions.ExecutionDoesNotExist:
            return None
        return dict(json.loads(execution["output"])) if execution["status"] == "SUCCEEDED" else None

    def end_tasks(self) -> None:
        """End the tasks of `orders`. A task whose image is not built here does not end, and its cluster stays."""
        ecs, cluster = self.other.client("ecs"), NAMES.subscribers["orders"].cluster.name
        for task in ecs.list_tasks(cluster=cluster)["taskArns"]:
            ecs.stop_task(cluster=cluster, task=task)
        eventually(lambda: not ecs.list_tasks(cluster=cluster)["taskArns"])

    def _task(self, id: str) -> Any:
        """Return the message of a task that ended with 0, or of one whose image is not built here: it only starts."""
        ecs, cluster = self.other.client("ecs"), NAMES.subscribers["orders"].cluster.name
        try:
            arns = (
                ecs.list_tasks(cluster=cluster)["taskArns"]
                + ecs.list_tasks(cluster=cluster, desiredStatus="STOPPED")["taskArns"]
            )
        except ecs.exceptions.ClusterNotFoundException:
            return None
        tasks = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
        done = (task for task in tasks if task["containers"][0].get("exitCode") == 0 or "public.ecr.aws" in str(task))
        return next(({"message_id": id} for task in done if HandOff.from_task(task).message_id == id), None)


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


def _delete_landing_bucket(site: Site) -> None:
    delete_bucket(site.other.client("s3"), NAMES.subscribers["orders"].landing_bucket.name)


def _delete_trigger_queue(site: Site) -> None:
    sqs = site.other.client("sqs")
    name = NAMES.subscribers["orders"].pipeline_trigger_dead_letter_queue.name
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"])


IMAGE = {"image": f"public.ecr.aws/example/orders@sha256:{'0' * 64}"}
RESEARCH = {
    "account": OTHER,
    "region": REGION,
    "auth": "iam",
    "job_image": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3",
    "users": [{"name": "ada"}],
    "pipelines": [{"name": "qc"}],
}


@pytest.mark.parametrize(
    ("keys", "kept"),
    [
        ({"orders": {"filter_policy": {"detail-type": ["order"]}}}, None),
        ({"orders": {"landing": {}}}, _delete_landing_bucket),
        ({"platform": {"customer_keys": True, "tags": {"team": "a"}}}, None),
        ({"orders": {"pipeline": "qc"}, "research": RESEARCH}, _delete_trigger_queue),
    ],
    ids=["filter", "landing", "platform", "pipeline"],
)
def test_table_goes_in_out_and_in(site: Site, keys: dict[str, Any], kept: Callable[[Site], None] | None) -> None:
    """Stacks are upgraded, rolled back and upgraded again. What a table retains is deleted before its return.

    The next test's first deployment takes the table out again.
    """
    order = ("life-publisher", "life-orders")
    site.deploy(*order, **keys)
    assert ("landed" in site.receives(n=2)) == ("landing" in keys.get("orders", ()))
    site.deploy(*order)
    assert "landed" not in site.receives(n=3)
    if kept:
        with pytest.raises(CdkError):
            site.deploy(*order, **keys)
        kept(site)
    site.deploy(*order, **keys)
    assert site.receives(n=4)


def test_built_image_goes_in_out_and_in(site: Site) -> None:
    """A task with a built image gives way to one with a given image, and returns. So does the first application.

    The emulator takes up an existing table and image repository, which AWS refuses without an import.
    """
    order = ("life-publisher", "life-orders")
    built = {"application": "ecs_task"}
    site.deploy(*order, orders=built)
    assert site.receives(n=2)
    site.deploy(*order, orders={**built, "task": IMAGE})
    assert site.receives(n=3)
    site.end_tasks()
    site.deploy(*order, orders=built)
    assert site.receives(n=4)
    with pytest.raises(CdkError, match="EventBus already exists"):
        site.deploy(*order)
    site.other.client("events").delete_event_bus(Name=NAMES.subscribers["orders"].event_bus.name)
    site.deploy(*order)
    assert site.receives(n=5)


def test_replica_goes_out_and_in(site: Site) -> None:
    """Its stack is protected and stays. Payloads are replicated with the table only, and arrive without it."""
    order = ("life-publisher", "life-far-undelivered", "life-far")
    replicas = {"publisher": {"replicas": [OTHER_REGION]}, "far": FAR}
    bucket = f"life-payloads-{HOME}-{OTHER_REGION}"
    site.deploy("life-replica-us-west-2", *order, **replicas)
    assert site.replicates(bucket)
    site.deploy(*order, far=FAR)
    assert not site.replicates(bucket)
    site.deploy("life-replica-us-west-2", *order, **replicas)
    assert site.replicates(bucket)
    site.deploy(*order, far=FAR)
    home = Account(site.accounts, HOME, OTHER_REGION)
    site.delete(home, "life-replica-us-west-2")
    with pytest.raises(CdkError):
        site.deploy("life-replica-us-west-2", **replicas)  # the bucket is still there
    site.delete(home, "life-replica-us-west-2")
    delete_bucket(home.client("s3"), bucket)
    site.deploy("life-replica-us-west-2", *order, **replicas)
    assert site.replicates(bucket)


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
    site.deploy("life-orders", orders={"subscribed": False})
    site.deploy("life-orders")
    assert site.receives(n=6)

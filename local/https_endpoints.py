"""The web servers of a deployment's HTTPS subscribers, each in a process of `local/https_endpoint_process.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from local.accounts import Accounts, credentials, profiles
from local.emulator import Emulator
from stacks.deployment import HttpsSubscriberConfig, Names, SubscriberConfig

_ROOT = Path(__file__).parents[1]
_CONFIRM_SECONDS = 20.0


class EndpointError(RuntimeError):
    """A server did not start, or did not confirm its subscription. The message ends with the server's log."""


class Endpoints:
    """The web servers of the HTTPS subscribers. A context manager: on exit it stops them.

    Start them when the emulator runs and before the subscribers' stacks are deployed, because SNS asks each server to
    confirm its subscription.
    """

    def __init__(self, subscribers: Iterable[SubscriberConfig], names: Names) -> None:
        self._subscribers = [
            each for each in subscribers if isinstance(each, HttpsSubscriberConfig) and each.subscribed
        ]
        self._names = names
        self._folder = Path()
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, emulator: Emulator) -> None:
        """Start a server for each subscriber. Raises EndpointError."""
        self._folder = emulator.folder / "endpoints"
        ports: dict[str, int] = {}
        for subscriber in self._subscribers:
            ports[str(urlsplit(subscriber.endpoint).hostname)] = self._start(emulator, subscriber)
        emulator.resolve(ports)

    def wait_until_confirmed(self, accounts: Accounts) -> None:
        """Wait until every subscription is confirmed. Raises EndpointError after 20 seconds."""
        publisher = self._names.publisher
        sns = accounts.client("sns", account=publisher.place.account, region=publisher.place.region)
        deadline = time.monotonic() + _CONFIRM_SECONDS
        while self._subscribers:
            listed = sns.list_subscriptions_by_topic(TopicArn=publisher.topic.arn)["Subscriptions"]
            attributes = [
                sns.get_subscription_attributes(SubscriptionArn=subscription["SubscriptionArn"])["Attributes"]
                for subscription in listed
                if subscription["Protocol"] == "https"
            ]
            pending = [each["Endpoint"] for each in attributes if each["PendingConfirmation"] != "false"]
            if len(attributes) == len(self._subscribers) and not pending:
                return
            if time.monotonic() > deadline:
                raise EndpointError(f"Not confirmed: {', '.join(pending) or 'a subscription'}.\n{self._logs()}")
            time.sleep(0.1)

    def received(self, subscriber: HttpsSubscriberConfig) -> Sequence[tuple[Path, dict[str, Any]]]:
        """Return each stored payload: its file, and the server's receipt for it."""
        receipts = sorted((self._folder / subscriber.name / "received").glob("*.json"))
        return [(receipt.with_suffix(""), json.loads(receipt.read_text())) for receipt in receipts]

    def stop(self) -> None:
        """Stop the servers. Does nothing if none is running."""
        for process in self._processes:
            assert process.stdin
            assert process.stdout
            process.stdin.close()  # the server ends with its standard input
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            process.kill()
            process.wait()
            process.stdout.close()
        self._processes.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self, emulator: Emulator, subscriber: HttpsSubscriberConfig) -> int:
        """Start a server and return its port."""
        home = self._folder / subscriber.name
        (home / "received").mkdir(parents=True)
        config = home / "config"
        config.write_text(self._profiles(emulator, subscriber))
        publisher, names = self._names.publisher, self._names.subscribers[subscriber.name]
        environment = {
            **credentials(emulator, subscriber.account, publisher.place.region),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{_ROOT}:{_ROOT / 'lambdas'}",
            "AWS_CONFIG_FILE": str(config),
            "AWS_PROFILE": "reader",
            "TOPIC_ARN": publisher.topic.arn,
            "TRUSTED_STORES": json.dumps([asdict(store) for store in names.trusted_stores]),
            "RECEIVED": str(home / "received"),
        }
        # boto3 prefers keys in the environment to the profile.
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            del environment[key]
        arguments = ["--sns", emulator.endpoint, "--signing-certificate", str(emulator.sns_certificate)]
        with (home / "log").open("w") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "local.https_endpoint_process", *arguments),
                    *("--server-certificate", str(emulator.server_certificate)),
                ],
                cwd=_ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._processes.append(process)
        assert process.stdout
        port = process.stdout.readline().strip()
        if not port:
            raise EndpointError(f"The server of {subscriber.name} did not start.\n{self._logs()}")
        return int(port)

    def _profiles(self, emulator: Emulator, subscriber: HttpsSubscriberConfig) -> str:
        """Return an AWS configuration file: the server's role assumes the reader role, as outside this machine."""
        server_role = _create_server_role(emulator, subscriber) if subscriber.reader_principals else ""
        return "\n".join(
            [
                profiles(emulator, {"account": subscriber.account}),
                *(["[profile server]", f"role_arn = {server_role}", "source_profile = account"] if server_role else []),
                "[profile reader]",
                f"role_arn = {self._names.subscribers[subscriber.name].reader_role.arn}",
                f"source_profile = {'server' if server_role else 'account'}",
                "",
            ]
        )

    def _logs(self) -> str:
        return "\n".join(log.read_text()[-2000:] for log in self._folder.glob("*/log"))


def _create_server_role(emulator: Emulator, subscriber: HttpsSubscriberConfig) -> str:
    """Create the first of the `reader_principals`, which a deployment expects to exist, and return its ARN."""
    arn = subscriber.reader_principals[0]
    path, _, name = arn.partition(":role/")[2].rpartition("/")
    iam = Accounts(emulator).client("iam", account=subscriber.account, region=subscriber.region)
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": subscriber.account}}
    assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
    with suppress(ClientError):  # another subscriber's server uses the same role
        iam.create_role(RoleName=name, Path=f"/{path}/" if path else "/", AssumeRolePolicyDocument=_document(trust))
    iam.put_role_policy(RoleName=name, PolicyName="assume", PolicyDocument=_document(assume))
    return arn


def _document(statement: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

"""The web servers of a deployment's HTTPS subscribers: a process each (`local/https_endpoint_process.py`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from local.accounts import Accounts
from local.emulator import Emulator
from local.sign_in import sign_in
from stacks.deployment import Deployment, HttpsSubscriberConfig, names
from stacks.deployment.stores import trusted_stores

_ROOT = Path(__file__).parents[1]
_CONFIRM_SECONDS = 20.0


class EndpointError(RuntimeError):
    """A server did not start, or did not confirm its subscription. The message ends with what it printed."""


class Endpoints:
    """A context manager. `start` them when the emulator runs and before the subscribers' stacks are deployed: SNS asks
    each to confirm its subscription. `received` is what one has kept."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._subscribers = [each for each in deployment.subscribers if isinstance(each, HttpsSubscriberConfig)]
        self._folder = Path()
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, emulator: Emulator) -> None:
        """Start a server for each. Raises EndpointError."""
        self._folder = emulator.folder / "endpoints"
        ports: dict[str, int] = {}
        for subscriber in self._subscribers:
            ports[str(urlsplit(subscriber.endpoint).hostname)] = self._start(emulator, subscriber)
        emulator.resolve(ports)

    def wait_until_confirmed(self, accounts: Accounts) -> None:
        """Raises EndpointError when a subscription stays pending."""
        publisher = self._deployment.publisher
        sns = accounts.client("sns", account=publisher.account, region=publisher.region)
        deadline = time.monotonic() + _CONFIRM_SECONDS
        while self._subscribers:
            listed = sns.list_subscriptions_by_topic(TopicArn=names.topic_arn(self._deployment))["Subscriptions"]
            attributes = [
                sns.get_subscription_attributes(SubscriptionArn=one["SubscriptionArn"])["Attributes"]
                for one in listed
                if one["Protocol"] == "https"
            ]
            pending = [one["Endpoint"] for one in attributes if one["PendingConfirmation"] != "false"]
            if len(attributes) == len(self._subscribers) and not pending:
                return
            if time.monotonic() > deadline:
                raise EndpointError(f"Not confirmed: {', '.join(pending) or 'a subscription'}.\n{self._printed()}")
            time.sleep(0.1)

    def received(self, subscriber: HttpsSubscriberConfig) -> Sequence[tuple[Path, dict[str, Any]]]:
        """Each payload that was kept: its file, and what the server wrote down of it."""
        receipts = sorted((self._folder / subscriber.name / "received").glob("*.json"))
        return [(receipt.with_suffix(""), json.loads(receipt.read_text())) for receipt in receipts]

    def stop(self) -> None:
        """Stop the servers. Harmless when there is none."""
        for process in self._processes:
            assert process.stdin
            assert process.stdout
            process.stdin.close()  # which ends it
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
        """The port it listens on."""
        home = self._folder / subscriber.name
        (home / "received").mkdir(parents=True)
        config = home / "config"
        config.write_text(self._profiles(emulator, subscriber))
        arguments = ["--sns", emulator.endpoint, "--signing-certificate", str(emulator.sns_certificate)]
        tls = [str(emulator.folder / "chain.pem"), str(emulator.folder / "key.pem")]
        region = self._deployment.publisher.region
        environment = {
            **sign_in(emulator, subscriber.account, region),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{_ROOT}:{_ROOT / 'lambdas'}",
            "AWS_CONFIG_FILE": str(config),
            "AWS_PROFILE": "reader",
            "TOPIC_ARN": names.topic_arn(self._deployment),
            "TRUSTED_STORES": json.dumps(trusted_stores(self._deployment, subscriber)),
            "RECEIVED": str(home / "received"),
        }
        # Keys in the environment would come before the profile.
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            del environment[key]
        with (home / "log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "local.https_endpoint_process", *arguments, "--tls", *tls],
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
            raise EndpointError(f"The server of {subscriber.name} did not start.\n{self._printed()}")
        return int(port)

    def _profiles(self, emulator: Emulator, subscriber: HttpsSubscriberConfig) -> str:
        """An AWS configuration as such a server would have: it signs in as itself, and takes on the reader role."""
        (reader,) = names.reader_role_arns(self._deployment, subscriber)
        itself = _own_role(emulator, subscriber) if subscriber.reader_principals else ""
        return "\n".join(
            [
                "[profile account]",
                f"aws_access_key_id = {subscriber.account}",
                "aws_secret_access_key = test",
                *(["[profile itself]", f"role_arn = {itself}", "source_profile = account"] if itself else []),
                "[profile reader]",
                f"role_arn = {reader}",
                f"source_profile = {'itself' if itself else 'account'}",
                "",
            ]
        )

    def _printed(self) -> str:
        return "\n".join(log.read_text()[-2000:] for log in self._folder.glob("*/log"))


def _own_role(emulator: Emulator, subscriber: HttpsSubscriberConfig) -> str:
    """The ARN of the first role that may read for the subscriber, which is made: here nobody else makes it."""
    arn = subscriber.reader_principals[0]
    path, _, name = arn.partition(":role/")[2].rpartition("/")
    iam = Accounts(emulator).client("iam", account=subscriber.account, region=subscriber.region)
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": subscriber.account}}
    takes = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
    with suppress(ClientError):  # it is there already
        iam.create_role(RoleName=name, Path=f"/{path}/" if path else "/", AssumeRolePolicyDocument=_document(trust))
    iam.put_role_policy(RoleName=name, PolicyName="reads", PolicyDocument=_document(takes))
    return arn


def _document(statement: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

"""`coatcheck local` with a deployment file and kept state: the deployment works in the next run."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from claim_check import put_event
from stacks.deployment import Names, load_messaging
from tests.local.support import eventually, interruptible
from tests.templates import ROOT

pytestmark = [pytest.mark.system, pytest.mark.exhaustive]

_FILE = """
name = "kept"
[publisher]
account = "111111111111"
region = "us-east-1"
[[subscribers]]
name = "orders"
kind = "sqs"
account = "222222222222"
region = "us-west-2"
"""


@contextmanager
def _local(file: Path, state: Path) -> Iterator[dict[str, str]]:
    """Run the command until it is ready, and yield the variables that it prints. End it as Ctrl-C does."""
    command = [sys.executable, "-c", "from cli.main import main; main()", "local", "--logs"]
    with subprocess.Popen(
        [*command, "--deployment", str(file), "--state", str(state)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'lambdas'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=interruptible,
    ) as local:
        assert local.stdout
        printed = ""
        for line in local.stdout:
            printed += line
            if "limitations of the emulator" in line:
                break
        assert "Profiles: publisher, orders" in printed, printed
        try:
            yield dict(re.findall(r"^export (\w+)=(\S+)$", printed, flags=re.MULTILINE))
        finally:
            local.send_signal(signal.SIGINT)
            rest, _ = local.communicate(timeout=60)
    assert local.returncode == 0, rest
    assert "111111111111 kept-publish: {" in rest, "the logs of functions"


def test_kept_deployment_processes_messages_in_the_next_run(tmp_path: Path) -> None:
    file = tmp_path / "kept.toml"
    file.write_text(_FILE)
    names = Names(load_messaging(file))
    for run in (1, 2):
        with _local(file, tmp_path / "state") as variables:

            def client(service: str, account: str, region: str, variables: dict[str, str] = variables) -> Any:
                return boto3.client(  # type: ignore[call-overload]
                    service,
                    endpoint_url=variables["AWS_ENDPOINT_URL"],
                    verify=variables["AWS_CA_BUNDLE"],
                    aws_access_key_id=account,
                    aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
                    region_name=region,
                )

            put_event(
                bus=names.publisher.event_bus.arn,
                source="test",
                detail_type="Order placed",
                detail={"run": run},
                events=client("events", "111111111111", "us-east-1"),
            )
            states = client("stepfunctions", "222222222222", "us-west-2")
            machine = names.subscribers["orders"].state_machine.arn

            def succeeded(count: int = run, states: Any = states, machine: str = machine) -> bool:
                found = states.list_executions(stateMachineArn=machine, statusFilter="SUCCEEDED")["executions"]
                return len(found) == count

            eventually(succeeded, seconds=60)

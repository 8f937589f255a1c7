"""`pytest --world unpatched` and `--world aws`, as a user gives them. Emulated accounts take the place of AWS's."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.accounts import Accounts, profiles
from local.emulator import Emulator
from local.environment import ROOT
from tests.local.support import FAR, NEAR

pytestmark = [pytest.mark.system, pytest.mark.exhaustive]

# Other accounts than those of the emulator's own tests, so that no test can name these.
PROFILES = {"first": "777777777777", "second": "888888888888"}
_PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--world")


@pytest.fixture(scope="module")
def unpatched() -> Iterator[subprocess.Popen[str]]:
    """The tests marked `patched`, on the emulator without patches. They mostly wait, beside the other tests."""
    command = [*_PYTEST, "unpatched", "tests/local/patches"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        yield run


def _run(emulator: Emulator, folder: Path, tests: str, *names: str) -> subprocess.CompletedProcess[str]:
    """Run tests with these profiles."""
    connection = f"endpoint_url = {emulator.endpoint}\nca_bundle = {emulator.ca_bundle}\nregion = {NEAR}\n"
    text = profiles(emulator, PROFILES).replace("\n[", f"\n{connection}[") + connection
    (folder / "config").write_text(text)
    options = ["--propagation", "0", *(option for name in names for option in ("--profile", name))]
    return subprocess.run(
        [*_PYTEST, "aws", *options, tests],
        cwd=ROOT,
        env=os.environ | {"AWS_CONFIG_FILE": str(folder / "config")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _resources(emulator: Emulator) -> list[str]:
    """Return the resources of both accounts and Regions that exist, and the keys that are not about to be deleted."""
    accounts, found = Accounts(emulator), []
    for account in PROFILES.values():
        for region in (NEAR, FAR):

            def client(service: str, account: str = account, region: str = region) -> Any:
                return accounts.client(service, account=account, region=region)

            keys = (client("kms").describe_key(KeyId=key["KeyId"]) for key in client("kms").list_keys()["Keys"])
            found += [key["KeyMetadata"] for key in keys if key["KeyMetadata"]["KeyState"] != "PendingDeletion"]
            found += [bus for bus in client("events").list_event_buses()["EventBuses"] if bus["Name"] != "default"]
            for service, operation, member in (
                ("cloudformation", "describe_stacks", "Stacks"),
                ("cloudwatch", "describe_alarms", "MetricAlarms"),
                ("events", "list_archives", "Archives"),
                ("events", "list_rules", "Rules"),
                ("iam", "list_roles", "Roles"),
                ("lambda", "list_functions", "Functions"),
                ("s3", "list_buckets", "Buckets"),
                ("sns", "list_topics", "Topics"),
                ("sqs", "list_queues", "QueueUrls"),
                ("stepfunctions", "list_state_machines", "stateMachines"),
            ):
                found += getattr(client(service), operation)().get(member, [])
    return [str(each) for each in found]


@pytest.mark.usefixtures("unpatched")
def test_marked_tests_pass_and_leave_no_resource(tmp_path: Path) -> None:
    with Emulator() as emulator:
        run = _run(emulator, tmp_path, "tests/local/patches", *PROFILES)
        assert run.returncode == 0, run.stdout
        assert "skipped" not in run.stdout
        assert _resources(emulator) == []


def test_tests_between_accounts_need_two_profiles(tmp_path: Path) -> None:
    with Emulator() as emulator:
        run = _run(emulator, tmp_path, "tests/local/patches/test_iam.py", "first")
    assert run.returncode == 0, run.stdout
    assert "needs the --profile of a second account" in run.stdout
    assert "passed" in run.stdout


def test_every_patch_is_needed(unpatched: subprocess.Popen[str]) -> None:
    output, _ = unpatched.communicate()
    assert unpatched.returncode == 0, output
    assert " xfailed" in output

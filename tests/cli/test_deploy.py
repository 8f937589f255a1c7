"""The commands of a deployment: their order, their profiles, and what follows a failure."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from access.assembly import StackTemplate
from cli import deploy as module
from cli.profiles import Caller
from local.environment import ROOT
from tests.cli.conftest import run

PUBLISHER, ORDERS, BILLING, SHOP = (digit * 12 for digit in "1234")
STACKS = {
    "coatcheck-publisher": (PUBLISHER, "us-east-1"),
    "coatcheck-shop-sender": (SHOP, "us-east-1"),
    "coatcheck-orders": (ORDERS, "us-west-2"),
    "coatcheck-orders-undelivered": (ORDERS, "us-east-1"),
    "coatcheck-billing": (BILLING, "us-east-1"),
}
GIVEN = "deployment=deployments/example.toml"
DEPLOYMENT = f"deployment={ROOT / 'deployments' / 'example.toml'}"
Deploy = Callable[..., tuple[int, str, list[list[str]]]]


@pytest.fixture
def deploy(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Deploy:
    """The command with profiles of these accounts. Returns the exit code, the output, and the commands that ran."""
    stacks = tuple(StackTemplate(name, name, *place, {}) for name, place in STACKS.items())
    monkeypatch.setattr(module, "synthesize", lambda _: stacks)

    def deploy(*arguments: str, profiles: dict[str, str | None], fails: str = "") -> tuple[int, str, list[list[str]]]:
        callers = {account: Caller(profile, account, "", None) for account, profile in profiles.items()}
        monkeypatch.setattr(module, "find_callers", lambda *_: (callers, []))
        commands: list[list[str]] = []

        def started(command: list[str], **_: Any) -> Any:
            commands.append(command)
            return SimpleNamespace(returncode=int(fails in command))

        monkeypatch.setattr("cli.deploy.subprocess.run", started)
        return run("deploy", *arguments), "".join(capfd.readouterr()), commands

    return deploy


def test_accounts_are_deployed_in_order_one_by_one(deploy: Deploy) -> None:
    file = ("--deployment", "deployments/example.toml")
    profiles: dict[str, str | None] = {SHOP: "shop", BILLING: "billing", PUBLISHER: "publisher", ORDERS: "orders"}
    code, printed, commands = deploy(*file, "--", "--require-approval", "never", profiles=profiles)
    cdk, end = ["npx", "cdk", "deploy"], ["--require-approval", "never"]
    assert code == 0
    assert commands == [
        [*cdk, *stacks, "-c", DEPLOYMENT, "--profile", profile, *end]
        for profile, *stacks in (
            ("publisher", "coatcheck-publisher"),
            ("orders", "coatcheck-orders", "coatcheck-orders-undelivered"),
            ("billing", "coatcheck-billing"),
            ("shop", "coatcheck-shop-sender"),
        )
    ]
    for command in commands:
        assert f"   {' '.join(command).replace(DEPLOYMENT, GIVEN)}\n" in printed


def test_failure_ends_the_deployment(deploy: Deploy) -> None:
    profiles: dict[str, str | None] = {PUBLISHER: "publisher", ORDERS: None, BILLING: "billing"}
    code, printed, commands = deploy(profiles=profiles, fails="coatcheck-orders")
    assert (code, len(commands)) == (1, 2)
    assert commands[1] == ["npx", "cdk", "deploy", "coatcheck-orders", "coatcheck-orders-undelivered"]
    assert f"Stopped: account {ORDERS} was not deployed." in printed


def test_account_without_credentials_is_left_out(deploy: Deploy) -> None:
    code, printed, commands = deploy(profiles={ORDERS: "orders"})
    assert (code, len(commands)) == (0, 1)
    assert f"1. account {PUBLISHER}, no credentials, left out. Give --profile {PUBLISHER}=NAME" in printed
    assert f"2. account {ORDERS}, orders\n   coatcheck-orders (us-west-2)\n" in printed


def test_dry_run_starts_nothing(deploy: Deploy) -> None:
    code, printed, commands = deploy("--dry-run", profiles={})
    assert (code, commands) == (0, [])
    assert printed.count("npx cdk deploy") == 4
    assert deploy(profiles={})[0] == 2


def test_one_region_of_one_account_is_selected(deploy: Deploy) -> None:
    selected = ("--account", ORDERS, "--region", "us-west-2")
    _, _, commands = deploy(*selected, profiles={ORDERS: "orders"})
    assert commands == [["npx", "cdk", "deploy", "coatcheck-orders", "--profile", "orders"]]
    code, printed, commands = deploy("--account", ORDERS, "--account", "9" * 12, profiles={ORDERS: "orders"})
    assert (code, commands) == (2, [])
    assert "No stack is in account 999999999999." in printed
    code, printed, _ = deploy("--region", "eu-west-9", profiles={})
    assert code == 2
    assert "No stack is in Region eu-west-9." in printed

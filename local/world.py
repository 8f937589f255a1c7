"""The local world: one emulator with a synthesized assembly deployed into all its accounts."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from local.accounts import Accounts
from local.cdk import Cdk, Progress
from local.emulator import Emulator


@dataclass(frozen=True)
class Stack:
    """A stack of the assembly. id: what the CLI calls it. account, region: where it is deployed."""

    id: str
    name: str
    account: str
    region: str


class World:
    """Emulated accounts with the system deployed. A context manager; leaving it stops everything.

    Made by `World.start`. `accounts` gives boto3 clients, `stacks` what was deployed and where.
    """

    def __init__(self, emulator: Emulator, stacks: Sequence[Stack]) -> None:
        self.emulator = emulator
        self.accounts = Accounts(emulator)
        self.stacks = tuple(stacks)

    @classmethod
    def start(
        cls,
        assembly: Path,
        *,
        publisher: str,
        progress: Progress,
        before: Callable[[Emulator], object] = lambda _: None,
    ) -> Self:
        """Start an emulator, bootstrap every account and Region of `assembly`, deploy its stacks.

        publisher: the account deployed before the others, whose subscriptions need its topic; all others then go in
        parallel, one CLI process each. progress: called with (account, line) for every line of the CLI, from several
        threads. before: called with the emulator when it runs and nothing is deployed. Raises EmulatorError, CdkError
        or what `before` raises, and leaves nothing running then; ValueError for a publisher without a stack.
        """
        stacks = read_stacks(assembly)
        if publisher not in {stack.account for stack in stacks}:
            raise ValueError(f"publisher={publisher!r} has no stack in {assembly}.")
        emulator = Emulator().start()
        cli = Cdk(emulator, progress)
        try:
            before(emulator)
            _deploy(cli, stacks, publisher, assembly)
        except BaseException:  # Ctrl-C too, which finds this thread waiting for those that run the CLI
            cli.stop()
            emulator.stop()
            raise
        return cls(emulator, stacks)

    def outputs(self, stack: Stack) -> dict[str, str]:
        """A deployed stack's outputs, by output key."""
        client = self.accounts.client("cloudformation", account=stack.account, region=stack.region)
        described = client.describe_stacks(StackName=stack.name)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}

    def stop(self) -> None:
        """Stop the emulator and everything in it."""
        self.emulator.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def read_stacks(assembly: Path) -> list[Stack]:
    """The stacks a cloud assembly's manifest.json lists. Raises ValueError for one without an account and Region."""
    artifacts = json.loads((assembly / "manifest.json").read_text())["artifacts"]
    return [
        _stack(id_, artifact) for id_, artifact in artifacts.items() if artifact["type"] == "aws:cloudformation:stack"
    ]


def _stack(id_: str, artifact: dict[str, object]) -> Stack:
    environment = str(artifact["environment"])
    account, _, region = environment.removeprefix("aws://").partition("/")
    if not account.isdigit() or region.startswith("unknown"):
        raise ValueError(f"Stack {id_} has environment {environment!r}: give it an account and a Region.")
    properties = artifact.get("properties")
    name = properties.get("stackName", id_) if isinstance(properties, dict) else id_
    return Stack(id=id_, name=str(name), account=account, region=region)


def _deploy(cdk: Cdk, stacks: Sequence[Stack], publisher: str, assembly: Path) -> None:
    by_account: dict[str, list[Stack]] = defaultdict(list)
    for stack in stacks:
        by_account[stack.account].append(stack)

    def bootstrap(account: str) -> None:
        cdk.bootstrap(account, list(dict.fromkeys(stack.region for stack in by_account[account])))

    def deploy(account: str) -> None:
        mine = by_account[account]
        cdk.deploy(account, mine[0].region, [stack.id for stack in mine], assembly)

    others = [account for account in by_account if account != publisher]
    _in_parallel(bootstrap, by_account)
    deploy(publisher)
    _in_parallel(deploy, others)


def _in_parallel(work: Callable[[str], None], accounts: Iterable[str]) -> None:
    with ThreadPoolExecutor() as pool:
        running: list[Future[None]] = [pool.submit(work, account) for account in accounts]
    for done in running:
        done.result()

"""The local world: an emulator with a synthesized cloud assembly deployed into its accounts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

from access.assembly import StackTemplate, read
from local.accounts import Accounts
from local.cdk import DEFAULT_QUALIFIER, Cdk, Progress
from local.emulator import Emulator
from local.kept_state import KeptState


class World:
    """Emulated accounts with deployed stacks. A context manager: on exit it stops everything.

    Create it with `World.start`. `accounts` returns boto3 clients; `stacks` are the deployed stacks.
    """

    def __init__(self, emulator: Emulator, stacks: Sequence[StackTemplate]) -> None:
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
        prepare: Callable[[Emulator], object] = lambda _: None,
        images: bool = False,
        port: int = 0,
        state: KeptState | None = None,
    ) -> Self:
        """Start an emulator, bootstrap every account and Region of the assembly, and deploy its stacks.

        The publisher's account is deployed before accounts with subscriptions, which need its topic. Accounts are
        deployed in parallel, with one CLI process each. An error leaves no process running.

        assembly: a folder that `cdk synth` or the app has written.
        publisher: the publisher's account.
        progress: called with (account, line) for every line of the CLI, from several threads.
        prepare: called with the running emulator before the first deployment.
        images: run ECS tasks in containers of their images.
        port, state: those of the emulator.

        Raises:
            ValueError: the publisher's account has no stack, or a stack has no account or no Region.
            EmulatorError: the emulator does not start.
            CdkError: a deployment fails.
        """
        stacks = read(assembly)
        if publisher not in {stack.account for stack in stacks}:
            raise ValueError(f"publisher={publisher!r} has no stack in {assembly}.")
        emulator = Emulator(images=images, port=port, state=state).start()
        cli = Cdk(emulator, progress)
        try:
            prepare(emulator)
            _deploy(cli, stacks, publisher, assembly)
        except BaseException:  # also Ctrl-C, which interrupts this thread while others run the CLI
            cli.stop()
            emulator.stop()
            raise
        return cls(emulator, stacks)

    def stop(self) -> None:
        """Stop the emulator and every process that it started."""
        self.emulator.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _deploy(cdk: Cdk, stacks: Sequence[StackTemplate], publisher: str, assembly: Path) -> None:
    stacks_of: dict[str, list[StackTemplate]] = defaultdict(list)
    for stack in stacks:
        stacks_of[stack.account].append(stack)

    def bootstrap(account: str) -> None:
        own = stacks_of[account]
        cdk.bootstrap(account, list(dict.fromkeys(stack.region for stack in own)), qualifier=_qualifier(own[0]))

    def deploy(account: str) -> None:
        own = stacks_of[account]
        cdk.deploy(account, own[0].region, [stack.id for stack in own], assembly)

    subscribed = {stack.account for stack in stacks if _subscribes(stack)} - {publisher}
    _run_in_parallel(bootstrap, stacks_of)
    _run_in_parallel(deploy, [account for account in stacks_of if account not in subscribed])
    _run_in_parallel(deploy, subscribed)


def _qualifier(stack: StackTemplate) -> str:
    """Return the qualifier of the bootstrap stack that the stack requires: `/cdk-bootstrap/<qualifier>/version`."""
    match stack.template:
        case {"Parameters": {"BootstrapVersion": {"Default": str(version)}}}:
            return version.split("/")[2]
    return DEFAULT_QUALIFIER


def _subscribes(stack: StackTemplate) -> bool:
    """Return whether the stack subscribes to a topic of another stack, which its template names by ARN."""
    subscriptions = (
        resource["Properties"]
        for resource in stack.template["Resources"].values()
        if resource["Type"] == "AWS::SNS::Subscription"
    )
    return any(isinstance(subscription["TopicArn"], str) for subscription in subscriptions)


def _run_in_parallel(work: Callable[[str], None], accounts: Iterable[str]) -> None:
    with ThreadPoolExecutor() as pool:
        running: list[Future[None]] = [pool.submit(work, account) for account in accounts]
    for future in running:
        future.result()

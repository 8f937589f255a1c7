"""For all tests.

CDK's own validation of templates takes most of a process's first synth, and one test only,
`tests/policies/test_hygiene.py`, runs it. CDK reads the variable when it is imported; a fixture comes too late.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

from local import environment
from tests import descriptions

environment.isolate()
descriptions.share()
os.environ["CDK_VALIDATION"] = "false"
os.environ.pop("COLUMNS", None)  # xdist's workers have the width of the terminal, which would wrap a command's output

from local.accounts import Accounts  # noqa: E402
from local.emulator import Emulator  # noqa: E402

_ORDER = (
    *("system/test_example", "system", "research/system", "policies", "access", "stacks", "cli/check", "applications"),
    *("", "lambdas", "faults", "local"),
)
"""Files, by the start of their path. The first of these folders synthesize, the last use the shared emulator."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("accounts of AWS")
    group.addoption(
        "--world",
        choices=["emulated", "unpatched", "aws"],
        default="emulated",
        help="aws: run the tests marked `aws` in accounts of AWS (some cents, see tests/README.md), and no other test; "
        "unpatched: run those marked `patched` on the emulator without patches, where each must fail",
    )
    group.addoption(
        "--profile", action="append", default=[], metavar="NAME", help="AWS profile; give two, of two accounts"
    )
    group.addoption(
        "--propagation",
        type=float,
        default=15.0,
        metavar="SECONDS",
        help="time until a change of an IAM role applies everywhere (default: 15)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Give tests in accounts of AWS the user's variables: profiles, proxies, certificates."""
    if config.getoption("--world") == "aws":
        os.environ.update(environment.users())
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED"):
            if name not in environment.users():
                del os.environ[name]
        if not config.getoption("--profile"):
            raise pytest.UsageError("--world aws: give --profile NAME, twice for tests between two accounts.")
    elif config.getoption("--profile"):
        raise pytest.UsageError("--profile: only with --world aws.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort tests by `_ORDER`. The first worker takes files from the start, the others from the end."""
    root = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        path = item.path.relative_to(root).as_posix()
        return next((n for n, start in enumerate(_ORDER) if start and path.startswith(start)), _ORDER.index(""))

    items.sort(key=place)
    if marker := {"aws": "aws", "unpatched": "patched"}.get(config.getoption("--world")):
        config.hook.pytest_deselected(items=[item for item in items if not item.get_closest_marker(marker)])
        items[:] = [item for item in items if item.get_closest_marker(marker)]
    if config.getoption("--world") == "unpatched":
        for item in items:
            item.add_marker(pytest.mark.xfail(strict=True, reason="the emulator lacks what the patch adds"))


class _FromBothEnds(LoadFileScheduling):  # type: ignore[misc]
    """One worker synthesizes, the other starts the shared emulator, until they meet."""

    def _assign_work_unit(self, node: WorkerController) -> None:
        if node.gateway.id != "gw0":
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    return _FromBothEnds(config, log)


@pytest.fixture(scope="session")
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """One emulator for all tests of a process. Give resources names that no other test uses."""
    with Emulator(patched=request.config.getoption("--world") != "unpatched") as running:
        yield running


@pytest.fixture(scope="session")
def accounts(emulator: Emulator) -> Accounts:
    return Accounts(emulator)

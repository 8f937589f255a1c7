"""The run of the scenario."""

from types import SimpleNamespace
from typing import Any

from cli.scenario.run import aws_time
from stacks.deployment import Names
from tests.cli.scenario.test_report import DEPLOYMENT, START


def test_run_has_the_clock_of_aws() -> None:
    """A clock that is minutes ahead would see no entry of a log."""
    response = {"ResponseMetadata": {"HTTPHeaders": {"date": "Thu, 01 Jan 2026 00:00:00 GMT"}}}
    sts = SimpleNamespace(get_caller_identity=lambda: response)
    world: Any = SimpleNamespace(reaches=lambda _: True, client=lambda *_, **__: sts)
    assert aws_time(world, Names(DEPLOYMENT)) == START

"""A subscriber that feeds a research pipeline: what is refused, and what its function may do."""

import tomllib

import pytest

from stacks.deployment import DeploymentError, parse_messaging
from tests.templates import ROOT

EXAMPLE = (ROOT / "deployments" / "research-messages.toml").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("pipeline", "none"), "subscribers[0].pipeline = 'none': is none of [[research.pipelines]] (qc)"),
        (("account", "666666666666"), "subscribers[0].pipeline = 'qc': the subscriber is in 666666666666 us-east-1"),
        (("region", "us-west-2"), "they have to be in the same account and Region"),
        (("kind", "lambda"), 'is a key of kind = "sqs" only'),
    ],
)
def test_a_pipeline_that_cannot_be_fed_is_refused(change: tuple[str, str], said: str) -> None:
    table = tomllib.loads(EXAMPLE)
    table["subscribers"][0] |= dict([change])
    with pytest.raises(DeploymentError) as refused:
        parse_messaging(table)
    assert said in str(refused.value)


def test_without_research_there_is_nothing_to_feed() -> None:
    table = tomllib.loads(EXAMPLE)
    del table["research"]
    with pytest.raises(DeploymentError, match="there are none"):
        parse_messaging(table)

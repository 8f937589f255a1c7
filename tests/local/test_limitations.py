"""The list of the local world's limitations."""

from local.limitations import NOT_ENFORCED


def test_limitation_describes_aws_and_local_once() -> None:
    names = [limitation.name for limitation in NOT_ENFORCED]

    assert len(names) == len(set(names)) > 10
    for limitation in NOT_ENFORCED:
        assert limitation.aws.endswith(".")
        assert limitation.local.endswith(".")

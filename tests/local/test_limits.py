"""What is said of the local world's limits."""

from local.limitations import NOT_ENFORCED


def test_every_limit_says_both_sides_once() -> None:
    names = [limit.name for limit in NOT_ENFORCED]

    assert len(names) == len(set(names)) > 10
    for limit in NOT_ENFORCED:
        assert limit.aws.endswith(".")
        assert limit.here.endswith(".")

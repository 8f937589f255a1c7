"""`[platform]`: invalid values."""

import pytest

from tests.stacks.deployment.samples import changed, problem


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            {"permissions_boundary": "arn:aws:iam::111111111111:policy/boundary"},
            'platform.permissions_boundary = "arn:aws:iam::111111111111:policy/boundary": must be the name of a',
        ),
        ({"bootstrap_qualifier": "A"}, 'platform.bootstrap_qualifier = "A": must be 1 to 10 lower-case'),
        ({"tags": {"aws:x": "y"}}, 'platform.tags = { "aws:x" = "y" }: has the key "aws:x". Keys that begin with'),
        ({"tags": {"Coatcheck:x": "y"}}, "Keys that begin with aws: or coatcheck: are reserved."),
        ({"tags": {"a;b": "y"}}, 'has the key "a;b". Use 1 to 128 characters'),
        ({"tags": {"a": "b" * 257}}, "must have at most 256 characters"),
        ({"tags": {str(n): "" for n in range(41)}}, "must have 40 or fewer members"),
    ],
)
def test_invalid_platform_is_rejected(keys: dict[str, object], expected: str) -> None:
    assert expected in problem(changed("platform", to=keys))

"""The documentation of the deployment file has every key, and no other."""

import re
from pathlib import Path

from stacks.deployment import Deployment, LambdaSubscriber, Publisher, SqsSubscriber

DOC = (Path(__file__).parents[2] / "docs" / "deployment-file.md").read_text()


def test_every_key_is_documented_and_every_documented_key_exists() -> None:
    models = (Deployment, Publisher, SqsSubscriber, LambdaSubscriber)
    keys = {name for model in models for name in model.model_fields} - {"publisher", "subscribers"}
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \|", DOC, flags=re.MULTILINE)
    documented = {key for row in rows for key in re.findall(r"`([a-z_]+)`", row)} - {"sqs", "lambda"}
    assert documented == keys


def test_documented_defaults_are_the_defaults() -> None:
    for model in (Deployment, Publisher, SqsSubscriber, LambdaSubscriber):
        for name, field in model.model_fields.items():
            if isinstance(field.default, bool | int):
                value = str(field.default).lower()
                assert f"| `{name}` | `{value}` |" in DOC, name

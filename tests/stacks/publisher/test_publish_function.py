"""The publish function: its triggers, its dead letters and its settings."""

import pytest

from publish.settings import Settings
from stacks.deployment import Deployment, Names
from tests.stacks.policies import Template, named_functions, without_alarms


@pytest.fixture(scope="module")
def publisher(templates: dict[str, Template]) -> Template:
    return without_alarms(templates["coatcheck-publisher"])


def test_publish_function_can_read_its_settings(publisher: Template, example: Deployment) -> None:
    (function,) = named_functions(publisher)
    environment = {key: str(value) for key, value in function["Environment"]["Variables"].items()}
    settings = Settings.from_environment(environment)
    assert settings.payload_store.bucket == "coatcheck-payloads-111111111111-us-east-1"
    assert settings.sender_accounts == {"shop": "444444444444"}
    assert settings.bus_of("shop") == Names(example).senders["shop"].event_bus.arn
    assert (settings.threshold_bytes, settings.maximum_upload_bytes) == (262_144, 64 * 1024**2)

"""Settings of the domain's custom resources: written by the stack, read by the function."""

from dataclasses import replace

import pytest

from domain_clean_up.settings import CleanUpSettings, GuardSettings
from image_build.settings import Settings
from shared.settings import InvalidSettings
from tests.lambdas.domain_clean_up.test_clean_up import SETTINGS

CLEAN_UP = replace(SETTINGS, pipelines=("coatcheck-qc",), log_groups=("/aws/sagemaker/studio",))
GUARD = GuardSettings(fixed={"research.auth": "sso"})
BUILD = Settings(project="p", repository="r", tag="t", source="b/k")


@pytest.mark.parametrize("settings", [CLEAN_UP, GUARD, BUILD])
def test_properties_are_read_as_written(settings: CleanUpSettings | GuardSettings | Settings) -> None:
    properties = settings.to_properties()
    assert type(settings).from_properties(properties) == settings
    for name in properties:
        with pytest.raises(InvalidSettings, match=f"{name}: .* Deploy its stack again"):
            type(settings).from_properties({key: value for key, value in properties.items() if key != name})

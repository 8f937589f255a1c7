"""Settings of the domain's custom resources: written by the stack, read by the function."""

import pytest

from domain_clean_up.settings import CleanUpSettings, GuardSettings
from image_build.settings import Settings
from shared.settings import InvalidSettings

CLEAN_UP = CleanUpSettings(
    domain_id="d-1",
    profiles=("ada", "grace"),
    spaces=("single-cell",),
    pipelines=("coatcheck-qc",),
    job_prefix="coatcheck-",
    log_groups=("/aws/sagemaker/studio",),
    log_retention_days=90,
    ephemeral=False,
    retained=("s3://data", "key"),
)
GUARD = GuardSettings(fixed={"research.auth": "sso"})


BUILD = Settings(project="p", repository="r", tag="t", source="b/k")


@pytest.mark.parametrize("settings", [CLEAN_UP, GUARD, BUILD])
def test_properties_are_read_as_written(settings: CleanUpSettings | GuardSettings | Settings) -> None:
    properties = settings.to_properties()
    assert type(settings).from_properties(properties) == settings
    for name in properties:
        with pytest.raises(InvalidSettings, match=f"{name}: .* Deploy its stack again"):
            type(settings).from_properties({key: value for key, value in properties.items() if key != name})

"""The example deployment, with a landing bucket."""

from tests.templates import ROOT

_REGION = 'region = "us-west-2"\n'
EXAMPLE_WITH_LANDING = (
    (ROOT / "deployments" / "example.toml")
    .read_text()
    .replace(_REGION, f"{_REGION}\n[subscribers.landing]\n")
    .replace("67_108_864", "16_777_216")
    .replace('"../', f'"{ROOT}/')
)

"""Templates of research environments, each synthesized once a session; the marker `image`."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from aws_cdk import App

from app import add_stacks
from stacks.deployment import Deployment, ResearchDeployment, load
from tests.templates import CONTEXT, ROOT

Template = dict[str, Any]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "image: installs what an image installs (minutes, 900 MB); only with -m image")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "image" in config.option.markexpr:
        return
    for item in items:
        if item.get_closest_marker("image"):
            item.add_marker(pytest.mark.skip(reason="installs what an image installs; run it with -m image"))


@pytest.fixture(scope="session", autouse=True)
def _quick_synth() -> Iterator[None]:
    """CDK's own template validation takes most of a synth; one test of its own runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CDK_VALIDATION", "false")
        yield


@cache
def _template(deployment: Deployment | ResearchDeployment) -> Template:
    app = App(context={**CONTEXT, "aws:cdk:bundling-stacks": []})
    add_stacks(app, deployment)
    (template,) = (s.template for s in app.synth().stacks if s.stack_name == f"{deployment.name}-research")
    assert isinstance(template, dict)
    return template


@pytest.fixture(scope="session")
def synth() -> Callable[[Deployment | ResearchDeployment], Template]:
    """The research stack's template."""
    return _template


@pytest.fixture(scope="session")
def example() -> ResearchDeployment:
    """Single sign-on, a network of its own, users and groups, one image."""
    return _load("research.toml")


@pytest.fixture(scope="session")
def several() -> ResearchDeployment:
    """IAM, a network that is there, three images, a workstation."""
    return _load("research-images.toml")


def _load(name: str) -> ResearchDeployment:
    deployment = load(ROOT / "deployments" / name)
    assert isinstance(deployment, ResearchDeployment)
    return deployment


@pytest.fixture(scope="session")
def template(example: ResearchDeployment) -> Template:
    return _template(example)


@pytest.fixture(scope="session")
def several_template(several: ResearchDeployment) -> Template:
    return _template(several)

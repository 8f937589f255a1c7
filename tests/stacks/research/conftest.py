"""Templates of the research environments in deployments/."""

import pytest

from stacks.deployment import ResearchDeployment
from tests.stacks.policies import Template
from tests.stacks.research.environments import load_example, research_template, with_changes


@pytest.fixture(scope="session")
def example() -> ResearchDeployment:
    """An environment with single sign-on, its own network, users, groups and one image."""
    return load_example("research.toml")


@pytest.fixture(scope="session")
def several() -> ResearchDeployment:
    """An environment with IAM, an existing network, three images and a workstation."""
    return load_example("research-images.toml")


@pytest.fixture(scope="session")
def template(example: ResearchDeployment) -> Template:
    return research_template(example)


@pytest.fixture(scope="session")
def several_template(several: ResearchDeployment) -> Template:
    return research_template(several)


@pytest.fixture(scope="session")
def pipeline_template(example: ResearchDeployment) -> Template:
    """The first example with a pipeline that starts every night."""
    pipelines = [{"name": "qc", "schedule": "cron(0 3 * * ? *)"}]
    return research_template(with_changes(example, {"pipelines": pipelines}))

"""Checks between keys of `[research]`."""

import tomllib
from typing import Any

import pytest

from local.environment import ROOT
from tests.stacks.deployment.samples import RESEARCH, RESEARCH_IMAGES, changed, problem, problems, research
from tests.stacks.deployment.test_research import LIN

MESSAGES: dict[str, Any] = tomllib.loads((ROOT / "deployments" / "research-messages.toml").read_text())
PIPELINE = {"name": "qc"}
SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
GPU = {"name": "gpu", "instance_type": "ml.g5.xlarge"}


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (research("identity_center", to=None), 'research.auth = "sso": needs [research.identity_center]. Add that'),
        (research("auth", to="iam"), 'research.groups: applies only with auth = "sso". Remove it or change auth.'),
        (research("auth", to="iam"), 'research.identity_center: applies only with auth = "sso".'),
        (research("auth", to="iam"), 'research.users[0] = "ada": has other keys than name'),
        (research("users", 0, "principal_id", to=None), "needs principal_id (existing Identity Center user) or given"),
        (research("users", 1, "email", to=None), 'research.users[1] = "grace@example.com": needs principal_id'),
        (research("users", 0, "email", to="a@example.com"), "has principal_id, so the user is not created. Remove"),
        (research("users", to=[LIN, LIN]), 'research.users[1].name = "lin": is used twice as name.'),
        (research("users", to=[LIN, LIN | {"name": "Lin"}]), '[1].name = "lin": is used twice as profile name.'),
        (research("groups", 1, "members", to=["lin"]), 'research.groups[1].members = "lin": is not in [[research.us'),
        (research("groups", 1, "name", to="single-cell"), 'research.groups[1].name = "single-cell": is used twice'),
        (research("spaces", to=RESEARCH["research"]["spaces"] * 2), "research.spaces[1].name"),
        (research("spaces", 0, "owner", to="lin"), 'research.spaces[0].owner = "lin": is not in [[research.users]].'),
        (research("spaces", 0, "volume_gb", to=500), "research.spaces[0].volume_gb = 500: must be at most maximum_vol"),
        (research("volume_gb", to=101), "research.volume_gb = 101: must be at most maximum_volume_gb = 100. Lower it"),
        (research("vpc_id", to="vpc-0123456789abcdef0"), "research.subnet_ids: is missing. Add subnets of vpc_id."),
        (research("subnet_ids", to=["subnet-0123456789abcdef0"]), "research.vpc_id: is missing. Add the VPC of subnet"),
        (research("instance_types", to=["m5.large"]), 'research.instance_types[0] = "m5.large": is not an instance'),
        (research("job_instance_types", to=["ml.c5.large"]), '_types[0] = "ml.c5.large": is not an instance type of'),
        (
            research("instance_types", to=["ml.r5d.large"]),
            '"ml.r5d.large": is not an instance type of SageMaker\'s apps',
        ),
        (research("home_efs", to=True), "research.home_efs = true: SageMaker's file system leaves network interfaces"),
        (research("workstation", to={}), "research.workstation: a created VPC reaches no registry and no package"),
        (
            research("availability_zones", to=["us-east-1a", "us-west-2a"]),
            'research.availability_zones[1] = "us-west-2a": is not in us-east-1. Change it.',
        ),
        (
            research("availability_zones", to=["eu-central-1a"], table=RESEARCH_IMAGES),
            'research.availability_zones = ["eu-central-1a"]: applies to a created VPC. Remove it, or vpc_id',
        ),
        (research("hidden_apps", to=["KernelGateway"]), 'hidden_apps = "KernelGateway": is not an app that Studio can'),
        (research("region", to="eu-north-1"), "research.users: eu-north-1 has no AWS::IdentityStore::User in"),
        (research("region", to="cn-north-1"), "research.spaces: cn-north-1 has no AWS::SageMaker::Space in CloudForm"),
        (research("region", to="ca-west-1"), 'research.region = "ca-west-1": ca-west-1 has no AWS::SageMaker::Domain'),
        (research("region", to="us-gov-west-1"), "research.budget: us-gov-west-1 has no AWS::Budgets::Budget in Cloud"),
        (
            research("job_image", to=SKLEARN),
            f'research.job_image = "{SKLEARN}": pegasus has processing = true. Remove on',
        ),
        (
            research("job_image", to=SKLEARN, table=RESEARCH_IMAGES),
            "SageMaker requires an image of the Region eu-central-1. Use the registry of that Region.",
        ),
        (research("default_instance_type", to="ml.g5.xlarge"), '"ml.g5.xlarge": is not in instance_types (ml.t3.medi'),
        (research("hidden_apps", to=["Excel"]), 'research.hidden_apps = "Excel": is not an app that Studio can hide.'),
        (research("hidden_apps", to=["JupyterLab"]), 'research.hidden_apps = "JupyterLab": an image uses this app.'),
        (research("images", 0, "context", to="nowhere"), 'research.images[0].context = "nowhere": '),
        (research("images", 0, "dockerfile", to="Other"), "has no Other. Paths are relative to the project's folder."),
        (
            research("images", 0, "apps", to=["KernelGateway"]),
            'has no stage "kernel", only build, build-studio, share, runtime, processing, studio, code-editor.',
        ),
        (research("home_efs", to=False, table=RESEARCH_IMAGES), 'the app "KernelGateway" (Studio Classic) needs it'),
        (research("images", 1, "name", to="pegasus", table=RESEARCH_IMAGES), 'images[1].name = "pegasus": is used twi'),
        (
            research("workstation", "instance_type", to="ml.tiny", table=RESEARCH_IMAGES),
            'research.workstation.instance_type = "ml.tiny": is not an instance type of SageMaker notebook instances.',
        ),
        (research("users", 0, "name", to="a" * 60), f"the user's role's name \"coatcheck-studio-{'a' * 60}\" has 77"),
        (research("images", 0, "name", to="p" * 50), "the image configuration's name"),
        (
            research("pipelines", to=[PIPELINE | {"name": "q-c"}, PIPELINE]),
            'research.pipelines[1].name = "qc": differs from the name "q-c" by hyphens only.',
        ),
        (research("pipelines", to=[PIPELINE, PIPELINE]), 'research.pipelines[1].name = "qc": is used twice'),
        (research("pipelines", to=[PIPELINE | {"name": "q" * 40}]), "the pipeline job's name"),
        (research("images", 0, "processing", to=False, table=MESSAGES), "research.pipelines: need an image. Set proc"),
        (
            research("pipelines", to=[PIPELINE | {"image": "r"}]),
            'research.pipelines[0].image = "r": is no image with processing = true (pegasus). Choose one',
        ),
        (research("pipelines", to=[PIPELINE | {"script": "x.py"}]), 'research.pipelines[0].script = "x.py": '),
        (
            research("pipelines", to=[PIPELINE | {"instance_type": "ml.g5.xlarge"}]),
            'pipelines[0].instance_type = "ml.g5.xlarge": is not in job_instance_types',
        ),
        (
            RESEARCH
            | {"research": RESEARCH["research"] | {"job_instance_types": ["ml.g5.xlarge"], "pipelines": [GPU]}},
            'pipelines[0].instance_type = "ml.g5.xlarge": has local storage, for which SageMaker accepts no key',
        ),
        (
            research("pipelines", to=[PIPELINE | {"parameters": {"input": 1}}]),
            "research.pipelines[0].parameters.input: is a parameter of every pipeline. Choose another name.",
        ),
        (
            research("pipelines", to=[PIPELINE | {"parameters": {"minGenes": 1}}]),
            "research.pipelines[0].parameters.minGenes: must be lower-case words joined by underscores",
        ),
        (changed("subscribers", 0, "pipeline", to="none", table=MESSAGES), '"none": is not in [[research.pipelines]]'),
        (changed("subscribers", 0, "account", to="666666666666", table=MESSAGES), "is in 666666666666 us-east-1, the"),
        (changed("subscribers", 0, "region", to="us-west-2", table=MESSAGES), "Use the same account and Region for"),
        (changed("research", to=None, table=MESSAGES), "is not in [[research.pipelines]] (which is empty). Add it"),
        (
            changed("subscribers", 0, "kind", to="lambda", table=MESSAGES),
            'pipeline = "qc": applies with application = "state_machine", and application is "ecs_task".',
        ),
    ],
)
def test_conflict_is_reported_with_key_and_value(table: dict[str, Any], expected: str) -> None:
    lines = problems(table)
    assert [line for line in lines if expected in line], lines


def test_subscriber_cannot_have_the_research_stacks_name() -> None:
    table = changed("subscribers", 0, "name", to="research") | {"research": RESEARCH["research"]}
    assert '"coatcheck-research" is already used by the research stack' in problem(table)

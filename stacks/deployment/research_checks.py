"""Checks of `[research]`: values that are valid alone but not together, and values that SageMaker does not have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from botocore.session import get_session

from research.instance_types import family
from research.script import is_script
from stacks.deployment.dockerfile import stage_names
from stacks.deployment.problems import Problem
from stacks.deployment.regions import has_resource_type, is_isolated, partition
from stacks.deployment.research import ImageConfig, ResearchConfig

RESERVED_PARAMETERS = ("input", "output", "instance_type")
"""Parameters of every pipeline."""
NOT_HIDEABLE = frozenset({"KernelGateway", "RSessionGateway"})
"""Apps that CloudFormation does not accept as hidden."""
NOT_IN_CLOUDFORMATION = frozenset({"g7"})
"""Families of app instances that CloudFormation does not accept as hidden."""


def check(research: ResearchConfig) -> Iterator[Problem]:
    """Yield all problems between the keys of `[research]`."""
    yield from _check_sign_on(research)
    yield from _check_users(research)
    yield from _check_groups(research)
    yield from _check_spaces(research)
    yield from _check_images(research)
    yield from _check_network(research)
    yield from _check_region(research)
    yield from _check_instance_types(research)
    yield from _check_hidden_apps(research)
    yield from _check_pipelines(research)


def _check_sign_on(research: ResearchConfig) -> Iterator[Problem]:
    if research.auth == "sso" and not research.identity_center:
        yield Problem("research.auth", "sso", 'needs [research.identity_center]. Add that table or use auth = "iam".')
    if research.auth == "iam":
        for key in ("identity_center", "groups"):
            if getattr(research, key):
                yield Problem(f"research.{key}", None, 'applies only with auth = "sso". Remove it or change auth.')


def _check_users(research: ResearchConfig) -> Iterator[Problem]:
    yield from _check_unique("research.users", "name", [user.name for user in research.users])
    yield from _check_unique("research.users", "name", [user.profile for user in research.users], "profile name")
    for index, user in enumerate(research.users):
        key = f"research.users[{index}]"
        new = {"given_name": user.given_name, "family_name": user.family_name, "email": user.email}
        missing = [name for name, value in new.items() if value is None]
        if research.auth == "iam" and (user.principal_id or len(missing) < len(new)):
            text = 'has other keys than name, which apply only with auth = "sso". Remove them.'
        elif research.auth == "sso" and not user.principal_id and missing:
            text = "needs principal_id (existing Identity Center user) or given_name, family_name and email (new user)."
        elif user.principal_id and len(missing) < len(new):
            text = "has principal_id, so the user is not created. Remove given_name, family_name and email."
        else:
            continue
        yield Problem(key, user.name, text)


def _check_groups(research: ResearchConfig) -> Iterator[Problem]:
    yield from _check_unique("research.groups", "name", [group.name for group in research.groups])
    users = {user.name for user in research.users}
    for index, group in enumerate(research.groups):
        for member in group.members:
            if member not in users:
                text = "is not in [[research.users]]. Add the user there, or to the group in Identity Center."
                yield Problem(f"research.groups[{index}].members", member, text)


def _check_spaces(research: ResearchConfig) -> Iterator[Problem]:
    yield from _check_unique("research.spaces", "name", [space.name for space in research.spaces])
    users = {user.name for user in research.users}
    for index, space in enumerate(research.spaces):
        if space.owner not in users:
            yield Problem(f"research.spaces[{index}].owner", space.owner, "is not in [[research.users]]. Add the user.")
    volumes = {f"research.spaces[{index}].volume_gb": space.volume_gb for index, space in enumerate(research.spaces)}
    for key, size in {"research.volume_gb": research.volume_gb, **volumes}.items():
        if size > research.maximum_volume_gb:
            text = f"must be at most maximum_volume_gb = {research.maximum_volume_gb}. Lower it or raise the maximum."
            yield Problem(key, size, text)


def _check_images(research: ResearchConfig) -> Iterator[Problem]:
    yield from _check_unique("research.images", "name", [image.name for image in research.images])
    for index, image in enumerate(research.images):
        yield from _check_image(f"research.images[{index}]", image)
    if research.classic and not research.home_efs:
        text = 'an image with the app "KernelGateway" (Studio Classic) needs it, to mount homes. Use home_efs = true.'
        yield Problem("research.home_efs", False, text)
    if research.job_image:
        if research.job_images:
            text = f"{research.job_images[0].name} has processing = true. Remove one of them."
            yield Problem("research.job_image", research.job_image, text)
        if research.job_image.split(".")[3] != research.region:
            text = f"SageMaker requires an image of the Region {research.region}. Use the registry of that Region."
            yield Problem("research.job_image", research.job_image, text)


def _check_image(key: str, image: ImageConfig) -> Iterator[Problem]:
    dockerfile = image.folder / image.dockerfile
    if not dockerfile.is_file():
        text = f"{image.folder} has no {image.dockerfile}. Paths are relative to the project's folder."
        yield Problem(f"{key}.context", image.context, text)
        return
    stages = stage_names(dockerfile.read_text())
    for target in image.targets:
        if target not in stages:
            text = (
                f'{dockerfile.name} has no stage "{target}", only {", ".join(stages) or "unnamed ones"}. Add the stage.'
            )
            yield Problem(f"{key}.apps", image.apps, text)


def _check_network(research: ResearchConfig) -> Iterator[Problem]:
    if research.vpc_id and not research.subnet_ids:
        yield Problem("research.subnet_ids", None, "is missing. Add subnets of vpc_id.")
    if research.subnet_ids and not research.vpc_id:
        yield Problem("research.vpc_id", None, "is missing. Add the VPC of subnet_ids.")
    if research.availability_zones and research.vpc_id:
        text = "applies to a created VPC. Remove it, or vpc_id and subnet_ids."
        yield Problem("research.availability_zones", research.availability_zones, text)
    for index, zone in enumerate(research.availability_zones):
        if zone[:-1] != research.region:
            yield Problem(f"research.availability_zones[{index}]", zone, f"is not in {research.region}. Change it.")
    if research.home_efs and not research.vpc_id:
        text = (
            "SageMaker's file system leaves network interfaces and security groups that block the deletion of a "
            "created VPC. Add vpc_id and subnet_ids, or remove home_efs."
        )
        yield Problem("research.home_efs", True, text)
    if research.workstation and not research.vpc_id:
        text = (
            "a created VPC reaches no registry and no package index, so nothing can be built there. Add vpc_id and "
            "subnet_ids of a network that reaches them. Or remove [research.workstation]: images are built without it."
        )
        yield Problem("research.workstation", None, text)


def _check_region(research: ResearchConfig) -> Iterator[Problem]:
    """Check that CloudFormation has the resource types of each key in the Region."""
    new_user = any(user.given_name for user in research.users)
    if is_isolated(research.region):
        text = "is without internet, and the environment's images and packages come from there. Use another Region."
        yield Problem("research.region", research.region, text)
    in_gov_cloud = partition(research.region) == "aws-us-gov"
    for key, used, resource_type, remedy in (
        ("region", True, "AWS::SageMaker::Domain", "Use another Region."),
        ("users", research.users, "AWS::SageMaker::UserProfile", "Use another Region."),
        (
            "users",
            new_user,
            "AWS::IdentityStore::User",
            "Create the users in Identity Center and give their principal_id.",
        ),
        ("spaces", research.spaces, "AWS::SageMaker::Space", "Create shared spaces in Studio."),
        ("images", research.images, "AWS::CodeBuild::Project", "Use another Region, or no images."),
        ("images", research.images, "AWS::SageMaker::AppImageConfig", "Use another Region, or no images."),
        ("workstation", research.workstation, "AWS::SageMaker::NotebookInstance", "Remove [research.workstation]."),
        # In other partitions, the budget is in us-east-1.
        ("budget", research.budget and in_gov_cloud, "AWS::Budgets::Budget", "Remove [research.budget]."),
    ):
        if used and not has_resource_type(research.region, resource_type):
            text = f"{research.region} has no {resource_type} in CloudFormation. {remedy}"
            yield Problem(f"research.{key}", research.region if key == "region" else None, text)


def _check_instance_types(research: ResearchConfig) -> Iterator[Problem]:
    for key, types, shape, use in (
        ("instance_types", research.instance_types, "AppInstanceType", "apps of Studio"),
        ("job_instance_types", research.job_instance_types, "ProcessingInstanceType", "processing jobs"),
    ):
        known = values(shape) - {"system"}
        for index, instance_type in enumerate(types):
            if instance_type not in known:
                text = f"is not an instance type of SageMaker's {use}. Use one such as ml.m5.xlarge."
                yield Problem(f"research.{key}[{index}]", instance_type, text)
    default = research.default_instance_type
    if default not in research.instance_types:
        text = f"is not in instance_types ({', '.join(research.instance_types)}). Add it there."
        yield Problem("research.default_instance_type", default, text)
    if research.workstation and research.workstation.instance_type not in values("InstanceType"):
        text = "is not an instance type of SageMaker notebook instances. Use one such as ml.t3.medium."
        yield Problem("research.workstation.instance_type", research.workstation.instance_type, text)


def _check_pipeline_instance_type(key: str, value: str, research: ResearchConfig) -> Iterator[Problem]:
    if value not in research.job_instance_types:
        text = f"is not in job_instance_types ({', '.join(research.job_instance_types)}). Add it there."
        yield Problem(key, value, text)
    elif value not in research.pipeline_instance_types:
        text = (
            "has local storage, for which SageMaker accepts no key, and a pipeline's key cannot depend on its type. "
            "Use a type without local storage, or launch the job without a pipeline."
        )
        yield Problem(key, value, text)


def _check_hidden_apps(research: ResearchConfig) -> Iterator[Problem]:
    known = values("AppType") - NOT_HIDEABLE
    used = {app for image in research.images for app in image.apps}
    for app in research.hidden_apps:
        if app not in known:
            text = f"is not an app that Studio can hide. Use {', '.join(sorted(known))}."
            yield Problem("research.hidden_apps", app, text)
        if app in used:
            text = "an image uses this app. Remove it from hidden_apps or from the image's apps."
            yield Problem("research.hidden_apps", app, text)


def _check_pipelines(research: ResearchConfig) -> Iterator[Problem]:
    yield from _check_unique("research.pipelines", "name", [pipeline.name for pipeline in research.pipelines])
    if research.pipelines and not research.has_job_image:
        text = "need an image. Set processing = true for one of [[research.images]]."
        yield Problem("research.pipelines", None, text)
    for index, pipeline in enumerate(research.pipelines):
        key = f"research.pipelines[{index}]"
        if not is_script(pipeline.file):
            text = f"{pipeline.file} is no file, and no folder with __main__.py. Paths begin at the project's folder."
            yield Problem(f"{key}.script", pipeline.script, text)
        names = [image.name for image in research.job_images]
        if pipeline.image and pipeline.image not in names:
            text = f"is no image with processing = true ({', '.join(names) or 'none'}). Choose one, or set it there."
            yield Problem(f"{key}.image", pipeline.image, text)
        yield from _check_pipeline_instance_type(f"{key}.instance_type", pipeline.instance_type, research)
        for name in pipeline.parameters:
            if name in RESERVED_PARAMETERS:
                text = "is a parameter of every pipeline. Choose another name."
                yield Problem(f"{key}.parameters.{name}", None, text)
            elif not re.fullmatch(r"[a-z]+(_[a-z]+)*", name):
                text = "must be lower-case words joined by underscores, such as min_genes."
                yield Problem(f"{key}.parameters.{name}", None, text)


def _check_unique(table: str, key: str, values: Iterable[str], noun: str = "name") -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for index, value in enumerate(values):
        plain = value.replace("-", "")  # `coatcheck access` finds resources by construct paths, which have no hyphens
        if plain in seen:
            used = seen[plain]
            text = f"is used twice as {noun}" if used == value else f'differs from the {noun} "{used}" by hyphens only'
            yield Problem(f"{table}[{index}].{key}", value, f"{text}. Choose another name.")
        seen.setdefault(plain, value)


def hidden_instance_types(research: ResearchConfig) -> list[str]:
    """Return the instance types that Studio's menu does not show, because researchers may not start them."""
    shown = {*research.instance_types, "system"}
    return sorted(each for each in values("AppInstanceType") - shown if family(each) not in NOT_IN_CLOUDFORMATION)


@cache
def values(shape: str) -> frozenset[str]:
    """Return the values of an enumeration in SageMaker's API, from botocore's model."""
    return frozenset(get_session().get_service_model("sagemaker").shape_for(shape).enum)  # type: ignore[attr-defined]


def fixed_values(settings: ResearchConfig, *, domain: str, key_id: str) -> dict[str, str]:
    """Return the values that cannot be changed after the first deployment, by the key of the deployment file."""
    center = settings.identity_center
    values = {
        "name": domain,
        "research.auth": settings.auth,
        "research.home_efs": str(settings.home_efs).lower(),
        "research.vpc_id": settings.vpc_id or "a created VPC",
        "the domain's KMS key": key_id,
    }
    if not settings.vpc_id:
        values["research.availability_zones"] = ", ".join(settings.availability_zones) or "chosen by CloudFormation"
    if center:
        values["research.identity_center.instance_arn"] = center.instance_arn
        values["research.identity_center.identity_store_id"] = center.identity_store_id
    if settings.workstation:
        values["research.subnet_ids[0], the workstation's subnet"] = "".join(settings.subnet_ids[:1])
    for user in settings.users:
        values[f"research.users, name of the profile {user.profile}"] = user.name
        if user.email:
            values[f"research.users, email of {user.name}"] = user.email
    for space in settings.spaces:
        values[f"research.spaces, owner of {space.name}"] = space.owner
    return values

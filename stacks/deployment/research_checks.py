"""What values of `[research]` do not allow together, or SageMaker not at all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache

from botocore.session import get_session

from stacks.deployment.research import ResearchConfig


def problems(research: ResearchConfig) -> Iterator[str]:
    """What does not go together, each with its key and value."""
    for check in (_sign_on, _people, _spaces, _images, _network, _instances, _volumes, _hidden, _pipelines):
        yield from check(research)


def _sign_on(research: ResearchConfig) -> Iterator[str]:
    if research.auth == "sso" and not research.identity_center:
        yield (
            'research.auth = "sso": [research.identity_center] is missing; name the instance and its identity store, '
            'or use auth = "iam"'
        )
    if research.auth == "iam":
        given = [key for key in ("identity_center", "groups") if getattr(research, key)]
        for key in given:
            yield f'research.{key}: needs auth = "sso"; with "iam" there are no groups and no directory'


def _people(research: ResearchConfig) -> Iterator[str]:
    yield from _twice("research.users", "name", (user.name for user in research.users))
    yield from _twice("research.users", "name", (user.profile for user in research.users), "profile")
    yield from _twice("research.groups", "name", (group.name for group in research.groups))
    for index, user in enumerate(research.users):
        key = f"research.users[{index}]"
        new = {name: getattr(user, name) for name in ("given_name", "family_name", "email")}
        missing = [name for name, value in new.items() if value is None]
        if research.auth == "iam" and (user.principal_id or len(missing) < len(new)):
            yield f'{key} = {user.name!r}: with auth = "iam" a user has a name and nothing else'
        if research.auth == "sso" and not user.principal_id and missing:
            yield (
                f"{key} = {user.name!r}: give principal_id, for a user of the directory, or {', '.join(missing)}, "
                "for one to be created"
            )
        if user.principal_id and len(missing) < len(new):
            yield f"{key} = {user.name!r}: has a principal_id, so it is not created; leave out given_name, … and email"
    known = {user.name for user in research.users}
    for index, group in enumerate(research.groups):
        for member in group.members:
            if member not in known:
                yield (
                    f"research.groups[{index}].members = {member!r}: is no user of this file; add a [[research.users]] "
                    "table, or put the user into the group in Identity Center"
                )


def _spaces(research: ResearchConfig) -> Iterator[str]:
    yield from _twice("research.spaces", "name", (space.name for space in research.spaces))
    known = {user.name for user in research.users}
    for index, space in enumerate(research.spaces):
        if space.owner not in known:
            yield f"research.spaces[{index}].owner = {space.owner!r}: is no user of this file"


def _images(research: ResearchConfig) -> Iterator[str]:
    yield from _twice("research.images", "name", (image.name for image in research.images))
    for index, image in enumerate(research.images):
        key = f"research.images[{index}]"
        if len(set(image.apps)) < len(image.apps):
            yield f"{key}.apps = {list(image.apps)}: names an app twice"
        if (image.uid == 0) != (image.gid == 0):
            yield f"{key}.uid = {image.uid}: SageMaker takes uid 0 with gid 0, or uid 1000 with gid 100"
        dockerfile = image.folder / image.dockerfile
        if not dockerfile.is_file():
            yield f"{key}.context = {image.context!r}: there is no {image.dockerfile} in {image.folder}"
            continue
        stages = re.findall(r"^FROM\s.*\sAS\s+(\S+)\s*$", dockerfile.read_text(), flags=re.MULTILINE | re.IGNORECASE)
        for target in image.targets:
            if target not in stages:
                yield (
                    f"{key}.apps = {list(image.apps)}: {dockerfile.name} has no stage {target!r}; it has "
                    f"{', '.join(stages) or 'none with a name'}"
                )
    if any("KernelGateway" in image.apps for image in research.images) and not research.home_efs:
        yield (
            'research.home_efs = false: an image with the app "KernelGateway" (Studio Classic) needs home_efs = true, '
            "where it mounts the researcher's home"
        )
    if sum(image.processing for image in research.images) > 1:
        named = ", ".join(image.name for image in research.images if image.processing)
        yield f"research.images: {named} have processing = true; jobs run one image, so choose one"


def _network(research: ResearchConfig) -> Iterator[str]:
    if bool(research.vpc_id) != bool(research.subnet_ids):
        missing = "subnet_ids" if research.vpc_id else "vpc_id"
        yield f"research.{missing}: is missing; an existing network is named by vpc_id and subnet_ids together"
    yield from _twice("research.subnet_ids", "", research.subnet_ids)


def _instances(research: ResearchConfig) -> Iterator[str]:
    for instance_type in research.instance_types:
        if instance_type not in app_instance_types():
            yield f"research.instance_types = {instance_type!r}: is no instance type of SageMaker Studio"
    if research.default_instance_type not in research.instance_types:
        yield (
            f"research.default_instance_type = {research.default_instance_type!r}: is not one of instance_types "
            f"({', '.join(research.instance_types)})"
        )
    if research.workstation and research.workstation.instance_type not in enumeration("InstanceType"):
        yield (
            f"research.workstation.instance_type = {research.workstation.instance_type!r}: is no instance type of "
            "SageMaker notebook instances"
        )


def _volumes(research: ResearchConfig) -> Iterator[str]:
    for key, size in (
        ("volume_gb", research.volume_gb),
        *((f"spaces[{index}].volume_gb", space.volume_gb) for index, space in enumerate(research.spaces)),
    ):
        if size > research.maximum_volume_gb:
            yield f"research.{key} = {size}: is more than maximum_volume_gb = {research.maximum_volume_gb}"


def _hidden(research: ResearchConfig) -> Iterator[str]:
    for app in research.hidden_apps:
        if app not in enumeration("AppType"):
            yield f"research.hidden_apps = {app!r}: is no app of Studio ({', '.join(sorted(enumeration('AppType')))})"
    used = {app for image in research.images for app in image.apps}
    for app in sorted(used.intersection(research.hidden_apps)):
        yield f"research.hidden_apps = {app!r}: hides an app that an image is for"


RESERVED = ("input", "output", "instance_type")
"""Parameters that every pipeline has."""


def _pipelines(research: ResearchConfig) -> Iterator[str]:
    yield from _twice("research.pipelines", "name", (pipeline.name for pipeline in research.pipelines))
    if research.pipelines and not any(image.processing for image in research.images):
        yield "research.pipelines: need an image to run in; set processing = true for one of the [[research.images]]"
    for index, pipeline in enumerate(research.pipelines):
        key = f"research.pipelines[{index}]"
        if not pipeline.file.is_file() or pipeline.file.suffix != ".py":
            yield f"{key}.script = {pipeline.script!r}: is no .py file; {pipeline.file} is where it was looked for"
        if pipeline.instance_type not in research.instance_types:
            yield (
                f"{key}.instance_type = {pipeline.instance_type!r}: is not one of instance_types "
                f"({', '.join(research.instance_types)})"
            )
        for name in pipeline.parameters:
            if name in RESERVED:
                yield f"{key}.parameters.{name}: is a parameter that every pipeline has; choose another name"
            elif not re.fullmatch(r"[a-z]+(_[a-z]+)*", name):
                yield f"{key}.parameters.{name}: must be lower-case words joined by underscores, such as min_genes"


def _twice(where: str, key: str, values: Iterable[str], what: str = "") -> Iterator[str]:
    for value, times in Counter(values).items():
        if times > 1:
            yield f"{where}{'.' * bool(key)}{key} = {value!r}: is there {times} times{f' as {what}' * bool(what)}"


@cache
def enumeration(shape: str) -> frozenset[str]:
    """The values that SageMaker's API knows, from the model that botocore ships."""
    return frozenset(get_session().get_service_model("sagemaker").shape_for(shape).enum)  # type: ignore[attr-defined]


def app_instance_types() -> frozenset[str]:
    """What an app of Studio can run on; `system` is not for choosing."""
    return enumeration("AppInstanceType") - {"system"}

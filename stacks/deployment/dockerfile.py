"""The inputs of a stage of a Dockerfile: its instructions, its build arguments, and its files of the context."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import PurePosixPath

_FROM = re.compile(r"FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?$", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{?(\w+)")
_WHOLE_CONTEXT = re.compile(r"<<|--mount=type=bind", re.IGNORECASE)
"""Instructions whose files are not in the words of a COPY: the stage depends on the whole context."""


@dataclass(frozen=True)
class StageInputs:
    """The inputs of a stage, without the base images and packages that the build downloads."""

    instructions: tuple[str, ...]
    """The instructions of the stage and of the stages that it uses, without comments."""
    arguments: frozenset[str]
    """The build arguments that they use."""
    sources: tuple[str, ...] | None
    """Patterns of the files that they copy from the context. None: possibly all."""


@dataclass
class _Stage:
    name: str
    instructions: list[str] = field(default_factory=list)


def stage_names(dockerfile: str) -> list[str]:
    """Return the names of the stages, without unnamed ones."""
    return [stage.name for stage in _parse(dockerfile)[1] if not stage.name.isdigit()]


def stage_inputs(dockerfile: str, target: str | None = None, *, given: Iterable[str] = ()) -> StageInputs:
    """Return the inputs of a stage.

    Args:
        dockerfile: The text of the Dockerfile.
        target: The stage. By default, the last one.
        given: Names of the build arguments that have a value, so that their defaults are not used.

    Raises:
        ValueError: There is no such stage.
    """
    head, stages = _parse(dockerfile)
    names = {name.lower(): index for index, stage in enumerate(stages) for name in (str(index), stage.name)}
    if not stages or (target is not None and target.lower() not in names):
        raise ValueError(f"the Dockerfile has no stage {target or ''}. Stages: {', '.join(stage_names(dockerfile))}.")
    remaining = [names[target.lower()] if target is not None else len(stages) - 1]
    used: set[int] = set()
    sources: list[str] | None = []
    while remaining:
        index = remaining.pop()
        if index in used:
            continue
        used.add(index)
        for instruction in stages[index].instructions:
            copied, parents = _references(instruction)
            sources = None if sources is None or copied is None else sources + copied
            remaining += [names[parent.lower()] for parent in parents if parent.lower() in names]
    own = [instruction for index in sorted(used) for instruction in stages[index].instructions]
    arguments = _arguments(head, own, set(given))
    declared = [line for line in head if _argument(line) in arguments]
    return StageInputs(
        (*declared, *own), frozenset(arguments), None if sources is None else tuple(sorted(set(sources)))
    )


def image_tag(
    inputs: StageInputs,
    *,
    target: str | None,
    files: Mapping[str, str],
    whole: str,
    commands: Sequence[str],
    build_image: str,
) -> str:
    """Return the tag of a stage's image, which depends on all that decides its content.

    Args:
        inputs: The inputs of the stage.
        target: The stage. None is the last one.
        files: Mode and digest of each file of the context, as a text.
        whole: A digest of the context, for a stage that possibly copies all files.
        commands: The commands of the build.
        build_image: The image in which they run.
    """
    content = whole if inputs.sources is None else _digest(files, inputs.sources)
    recipe = json.dumps([content, inputs.instructions, commands, build_image])
    return f"{target or 'image'}-{sha256(recipe.encode()).hexdigest()[:32]}"


def _digest(files: Mapping[str, str], sources: Iterable[str]) -> str:
    """Return a digest of the files that patterns of a COPY select."""
    digest, paths = sha256(), sorted(map(PurePosixPath, files))
    for source in sources:
        pattern = PurePosixPath(source.lstrip("/")).parts
        for path in paths:
            if len(path.parts) >= len(pattern) and all(map(fnmatchcase, path.parts, pattern)):
                digest.update(f"{path} {files[str(path)]}\n".encode())
    return digest.hexdigest()


def _parse(dockerfile: str) -> tuple[list[str], list[_Stage]]:
    """Return the instructions before the first stage, and the stages."""
    lines = [line for line in dockerfile.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    head: list[str] = []
    stages: list[_Stage] = []
    for instruction in re.sub(r"\\\s*\n", " ", "\n".join(lines)).splitlines():
        text = " ".join(instruction.split())
        if match := _FROM.match(text):
            stages.append(_Stage(match[2] or str(len(stages))))
        (stages[-1].instructions if stages else head).append(text)
    return head, stages


def _references(instruction: str) -> tuple[list[str] | None, list[str]]:
    """Return the sources that an instruction copies from the context, None for possibly all, and other stages."""
    if match := _FROM.match(instruction):
        return [], [match[1]]
    keyword, _, rest = instruction.partition(" ")
    if _WHOLE_CONTEXT.search(rest):
        return None, []
    if keyword.upper() not in ("COPY", "ADD"):
        return [], re.findall(r"--mount=\S*from=([^,\s]+)", rest)
    words = shlex.split(rest)
    stages = [word.partition("=")[2] for word in words if word.startswith("--from=")]
    files = [word.strip("[],") for word in words if not word.startswith("--")][:-1]
    if stages:
        return [], stages
    return (None if any("$" in file or file in (".", "./", "/") for file in files) else files), []


def _arguments(head: list[str], instructions: list[str], given: set[str]) -> set[str]:
    """Return the build arguments that instructions use, directly or through other arguments."""
    defaults = {_argument(line): "" if _argument(line) in given else line.partition("=")[2] for line in head}
    declared = set(defaults) | {_argument(line) for line in instructions}
    used: set[str] = set()
    found = {name for line in instructions for name in (*_VARIABLE.findall(line), _argument(line))} & declared
    while found - used:
        used |= found
        found = {name for argument in used for name in _VARIABLE.findall(defaults.get(argument, ""))} & declared
    return used - {""}


def _argument(instruction: str) -> str:
    """Return the name that an ARG declares, otherwise an empty text."""
    match = re.match(r"ARG\s+(\w+)", instruction, re.IGNORECASE)
    return match[1] if match else ""

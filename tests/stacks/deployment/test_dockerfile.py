"""Inputs of a Dockerfile's stages."""

import pytest

from stacks.deployment.dockerfile import stage_inputs, stage_names

DOCKERFILE = """\
# syntax=docker/dockerfile:1
ARG PYTHON=python:3.11
ARG BASE=${PYTHON}
ARG OTHER=other

FROM --platform=linux/amd64 ${BASE} AS build
ARG FLAGS
COPY one.txt two.txt \\
    # a comment between the lines
    /tmp/
RUN make $FLAGS

from build as Second
add --chmod=755 ["three.txt", "/tmp/"]

FROM ${OTHER}
COPY --from=build /tmp /tmp
COPY --from=registry.example.com/tool:1 /bin/tool /bin/
COPY *.py folder /opt/
"""


def test_stages_are_named() -> None:
    assert stage_names(DOCKERFILE) == ["build", "Second"]


@pytest.mark.parametrize(
    ("target", "sources", "arguments"),
    [
        ("build", ("one.txt", "two.txt"), {"PYTHON", "BASE", "FLAGS"}),
        ("second", ("one.txt", "three.txt", "two.txt"), {"PYTHON", "BASE", "FLAGS"}),
        (None, ("*.py", "folder", "one.txt", "two.txt"), {"PYTHON", "BASE", "FLAGS", "OTHER"}),
        ("2", ("*.py", "folder", "one.txt", "two.txt"), {"PYTHON", "BASE", "FLAGS", "OTHER"}),
    ],
)
def test_stage_has_the_inputs_of_its_stages(target: str | None, sources: tuple[str, ...], arguments: set[str]) -> None:
    inputs = stage_inputs(DOCKERFILE, target)
    assert inputs.sources == sources
    assert inputs.arguments == arguments


def test_default_of_a_given_argument_is_not_used() -> None:
    assert stage_inputs(DOCKERFILE, "build", given={"BASE"}).arguments == {"BASE", "FLAGS"}


@pytest.mark.parametrize(
    "instruction",
    ["COPY . .", "COPY ${FILES} /tmp/", "COPY <<EOF /tmp/file", "RUN --mount=type=bind,target=. make", "RUN <<EOF"],
)
def test_stage_may_depend_on_the_whole_context(instruction: str) -> None:
    assert stage_inputs(f"FROM scratch AS one\n{instruction}\nFROM one\n").sources is None


@pytest.mark.parametrize(("dockerfile", "target"), [("FROM scratch AS one", "two"), ("", None)])
def test_missing_stage_is_an_error(dockerfile: str, target: str | None) -> None:
    with pytest.raises(ValueError, match="no stage"):
        stage_inputs(dockerfile, target)

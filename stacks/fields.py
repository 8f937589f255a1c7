"""What the tables of a deployment file are made of: frozen models, and the types of values that several of them use."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from stacks.regions import known_regions


class Table(BaseModel):
    """A table of the file: frozen, its keys known, its values taken as they are."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def matches(pattern: str, what: str) -> AfterValidator:
    """Refuses a text that is not, as a whole, of the pattern; `what` says what it must be."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(what)
        return value

    return AfterValidator(check)


def _known(region: str) -> str:
    if region not in known_regions():
        raise ValueError("is not an AWS Region with SNS (such as us-east-1)")
    return region


Account = Annotated[str, matches(r"[0-9]{12}", "must be the 12 digits of an AWS account id, in quotes")]
Region = Annotated[str, AfterValidator(_known)]
Name = Annotated[
    str,
    matches(r"[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*", "must be lower-case words of letters and digits joined by hyphens"),
]

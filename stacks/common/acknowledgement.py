"""Findings of the template checks that we have looked at and keep, each with its reason."""

import json
import re
from collections.abc import Iterable, Mapping

from aws_cdk import Acknowledgment, Stack, Validations
from constructs import IConstruct


def acknowledge(construct: IConstruct, findings: Mapping[str, str]) -> None:
    """Acknowledge findings of a construct and what is below it: the finding's id, and why it stays."""
    Validations.of(construct).acknowledge(*(Acknowledgment(id=id, reason=reason) for id, reason in findings.items()))


def acknowledge_wildcards(construct: IConstruct, reasons: Mapping[str, Iterable[str]]) -> None:
    """Acknowledge wildcards in policies: why, and for which ARNs, as the policy has them. One that changes is a finding
    again."""
    acknowledge(
        construct,
        {
            f"AwsSolutions-IAM5[Resource::{_spelled(Stack.of(construct).resolve(arn))}]": reason
            for reason, arns in reasons.items()
            for arn in arns
        },
    )


def _spelled(value: object) -> str:
    """A resolved value as cdk-nag spells it: `<LogicalId.Attribute>` for what is known at deployment only."""
    match value:
        case {"Fn::Join": [str(separator), [*parts]]}:
            return separator.join(_spelled(part) for part in parts)
        case {"Fn::GetAtt": [str(resource), str(attribute)]}:
            return f"<{resource}.{attribute}>"
        case {"Ref": str(name)}:
            return f"<{name}>"
        case {"Fn::Select": [_, _]}:
            return json.dumps(value, separators=(",", ":"))
        case {"Fn::Sub": str(text)} | str(text):
            return re.sub(r"\$\{(.*?)\}", r"<\1>", text)
    raise ValueError(f"{value!r}: cdk-nag's spelling of this is not known; add it here")

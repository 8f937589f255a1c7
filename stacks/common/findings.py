"""Acknowledged findings of cdk-nag, each with its reason.

CDK's grants have wildcards in actions and in object names. `grants.py` makes the grants and acknowledges the findings.
`tests/policies` proves that the wildcards allow no more than a role needs.
"""

import json
import re
from collections.abc import Iterable, Mapping

from aws_cdk import Acknowledgment, Stack, Validations
from constructs import IConstruct

NO_ACCESS_LOG = {
    "AwsSolutions-S1": "CloudTrail's data events log the reads of objects, if the account's owner enables them. Access "
    "logs would need another bucket, with readers."
}
BELOW_A_PREFIX = "Object names are not known before objects exist, so only their prefix can be named."
WHOLE_REGISTRY = "ecr:GetAuthorizationToken is for the whole registry."
ANY_KEY = (
    "A key's ARN is unknown in another account. Conditions narrow the statement to the bucket through S3, and the "
    "key's own policy decides."
)


def acknowledge(construct: IConstruct, findings: Mapping[str, str]) -> None:
    """Acknowledge findings of a construct and of its children: the finding's id and the reason."""
    Validations.of(construct).acknowledge(*(Acknowledgment(id=id, reason=reason) for id, reason in findings.items()))


def acknowledge_wildcards(construct: IConstruct, reasons: Mapping[str, Iterable[str]]) -> None:
    """Acknowledge wildcards in a policy: ARNs as the policy has them, by reason. A changed ARN is a finding again."""
    stack = Stack.of(construct)
    written = ((reason, _format(stack.resolve(arn))) for reason, arns in reasons.items() for arn in arns)
    acknowledge(construct, {f"AwsSolutions-IAM5[Resource::{arn}]": reason for reason, arn in written if "*" in arn})


def _format(value: object) -> str:
    """Return a resolved value in cdk-nag's notation: `<LogicalId.Attribute>` for a value known only at deployment."""
    match value:
        case {"Fn::Join": [str(separator), [*parts]]}:
            return separator.join(_format(part) for part in parts)
        case {"Fn::GetAtt": [str(resource), str(attribute)]}:
            return f"<{resource}.{attribute}>"
        case {"Ref": str(name)}:
            return f"<{name}>"
        case {"Fn::Select": [_, _]}:
            return json.dumps(value, separators=(",", ":"))
        case {"Fn::Sub": str(text)} | str(text):
            return re.sub(r"\$\{(.*?)\}", r"<\1>", text)
    raise ValueError(f"{value!r}: cdk-nag's notation of this value is unknown. Add it to findings.py.")

"""Findings of the template checks that we have looked at and keep, each with its reason."""

from collections.abc import Mapping

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct


def acknowledge(construct: IConstruct, findings: Mapping[str, str]) -> None:
    """Acknowledge findings of a construct and what is below it: the finding's id, and why it stays."""
    Validations.of(construct).acknowledge(*(Acknowledgment(id=id, reason=reason) for id, reason in findings.items()))

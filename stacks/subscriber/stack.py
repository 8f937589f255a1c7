"""The base of the stacks of subscribers whose application is in their account."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from aws_cdk import Environment, Fn, Stack
from constructs import Construct

from stacks.common.defaults import Defaults
from stacks.deployment import FunctionSubscriberConfig
from stacks.deployment.names import ResearchNames, SubscriberNames

C = TypeVar("C", bound=FunctionSubscriberConfig, covariant=True)


@dataclass(frozen=True, kw_only=True)
class Subscriber(Generic[C]):
    """The names and settings of a subscriber, for its stack and the stack's parts."""

    names: SubscriberNames
    settings: C
    lifetime_days: int
    """Lifetime of payloads."""
    research: ResearchNames | None
    defaults: Defaults


class SubscriberStack(Stack):
    """The stack of a subscriber. It is deployed after the publisher's stack.

    It has no termination protection: if it is deployed before the publisher's stack, it fails, and must be deletable.
    """

    def __init__(self, scope: Construct, names: SubscriberNames, *, description: str) -> None:
        place = names.place
        env = Environment(account=place.account, region=place.region)
        super().__init__(scope, names.stack, env=env, description=f"coatcheck: {description}")

    @property
    def availability_zones(self) -> list[str]:
        """Two zones that CloudFormation selects. CDK would look their names up in AWS, and synthesis works offline."""
        return [Fn.select(0, Fn.get_azs()), Fn.select(1, Fn.get_azs())]

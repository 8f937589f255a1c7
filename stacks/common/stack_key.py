"""A stack's own key, for `platform.customer_keys`."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.common.defaults import Defaults
from stacks.deployment.names import Place
from stacks.deployment.regions import dns_suffix

USE = ("kms:Decrypt", "kms:GenerateDataKey*")
"""Uses of a queue's key by a service that writes to the queue. (SQS developer guide, "Configure KMS permissions".)"""


class StackKey(kms.Key):
    """The key of a stack's alarm topic, queues, logs, variables of functions, staging bucket and image repository."""

    def __init__(self, stack: Stack, *, defaults: Defaults) -> None:
        super().__init__(
            stack,
            _ID,
            description=f"{stack.stack_name}: alarms, queues, logs and functions",
            enable_key_rotation=True,
            removal_policy=defaults.removal_policy,
        )
        groups = Place(stack.account, stack.region).named("logs", "*", "log-group:")
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid="EncryptLogs",
                principals=[iam.ServicePrincipal(f"logs.{stack.region}.{dns_suffix(stack.region)}")],
                actions=["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
                resources=["*"],
                conditions={"StringLike": {"kms:EncryptionContext:aws:logs:arn": groups.arn}},
            )
        )

    def allow_rules(self) -> None:
        """Allow EventBridge to write to the stack's queues, for rules of this account."""
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid="WriteFromRules",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=list(USE),
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
            )
        )


_ID = "StackKey"


def stack_key(scope: Construct, defaults: Defaults) -> StackKey | None:
    """Return the key of the scope's stack, which is made at its first use. None: AWS's keys encrypt."""
    if not defaults.platform.customer_keys:
        return None
    stack = Stack.of(scope)
    found = stack.node.try_find_child(_ID)
    return found if isinstance(found, StackKey) else StackKey(stack, defaults=defaults)

"""Where a subscriber's ECS task runs: subnets that are there, or a small network of its own, without NAT."""

from collections.abc import Sequence

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from stacks.common.findings import acknowledge
from stacks.deployment.ecs_task import NetworkConfig


class TaskNetwork(Construct):
    """`vpc`; `configuration`, as `ecs:RunTask` takes it (`awsvpcConfiguration`)."""

    def __init__(self, scope: Construct, id: str, *, network: NetworkConfig | None, zones: Sequence[str]) -> None:
        super().__init__(scope, id)
        self.vpc: ec2.IVpc
        subnets: Sequence[str]
        groups: Sequence[str]
        if network:
            self.vpc = ec2.Vpc.from_vpc_attributes(self, "Vpc", vpc_id=network.vpc_id, availability_zones=list(zones))
            subnets, groups, public = network.subnet_ids, network.security_group_ids, network.assign_public_ip
        else:
            self.vpc = _small_vpc(self)
            # A public address is the way out of a network without NAT; nothing is let in.
            subnets, groups, public = [each.subnet_id for each in self.vpc.public_subnets], (), True
        self.configuration = {
            "subnets": list(subnets),
            "securityGroups": list(groups) or [self._outward().security_group_id],
            "assignPublicIp": "ENABLED" if public else "DISABLED",
        }

    def _outward(self) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            self, "SecurityGroup", vpc=self.vpc, description="Out, and nothing in.", allow_all_outbound=True
        )


def _small_vpc(scope: Construct) -> ec2.Vpc:
    vpc = ec2.Vpc(
        scope,
        "Vpc",
        nat_gateways=0,
        # Emptying the default security group takes a function with rights over security groups; nothing is in it.
        restrict_default_security_group=False,
        subnet_configuration=[
            ec2.SubnetConfiguration(name="Public", subnet_type=ec2.SubnetType.PUBLIC, map_public_ip_on_launch=False)
        ],
        gateway_endpoints={
            "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
        },
    )
    acknowledge(
        vpc, {"AwsSolutions-VPC7": "Nothing is let into this network; flow logs are the account owner's choice."}
    )
    return vpc

"""Policies of a deployment, read from its templates: every statement at the role or resource where AWS evaluates it.

An unknown resource type, or a policy in an unknown place, is an error: a skipped policy would not be checked.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from access.assembly import StackTemplate
from access.inventory import Inventory, OtherResource, Policy, ResourcePolicy, Role, Statement
from access.template import NAMED, Properties, Resources, UnresolvedError

_WITH_POLICY = ("bucket", "key", "topic", "queue", "function", "bus", "role", "repository", "endpoint")
# The policy of an endpoint that declares none. (VPC guide, "Default endpoint policy".)
_DEFAULT_ENDPOINT_STATEMENT: Statement = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}

# Types without a policy, to which no policy of this project refers.
_WITHOUT_POLICY = {
    "AWS::Budgets::Budget",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::EC2::FlowLog",
    "AWS::EC2::InternetGateway",
    "AWS::EC2::Route",
    "AWS::EC2::RouteTable",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPC",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::ECS::ClusterCapacityProviderAssociations",
    "AWS::Events::Archive",
    "AWS::IdentityStore::Group",
    "AWS::IdentityStore::GroupMembership",
    "AWS::IdentityStore::User",
    "AWS::KMS::Alias",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::EventSourceMapping",
    "AWS::SNS::Subscription",
    "AWS::SSM::Parameter",
    "AWS::SSO::ApplicationAssignment",
    "AWS::SageMaker::AppImageConfig",
    "AWS::SageMaker::Image",
    "AWS::SageMaker::ImageVersion",
    "AWS::SageMaker::NotebookInstance",
    "AWS::SageMaker::Pipeline",
    "AWS::SageMaker::Space",
    "AWS::SageMaker::UserProfile",
    "AWS::Scheduler::Schedule",
    "Custom::ContainerImage",
    "Custom::DomainCleanUp",
    "Custom::DomainGuard",
    "Custom::S3AutoDeleteObjects",
}
# Managed policies of AWS that CDK attaches.
_LOG = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
_MANAGED: dict[str, Policy] = {
    "service-role/AWSLambdaBasicExecutionRole": {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": _LOG, "Resource": "*"}],
    },
}


def read_inventory(stacks: Iterable[StackTemplate], managed: Mapping[str, Policy] | None = None) -> Inventory:
    """Return the roles and resource policies of stacks.

    `managed`: by ARN, the managed policies that the stacks use and do not contain, such as permissions boundaries.

    Raises:
        UnresolvedError: a value or a resource type is unknown.
    """
    inventory = Inventory()
    for stack in stacks:
        inventory.regions[stack.name] = stack.region
        inventory.accounts[stack.name] = stack.account
        _Policies(stack, managed or {}).read_into(inventory)
    return inventory


class _Policies(Resources):
    """The policies of a stack's resources. `managed`: managed policies that it uses and does not contain."""

    def __init__(self, stack: StackTemplate, managed: Mapping[str, Policy]) -> None:
        super().__init__(stack)
        self._managed = dict(managed)
        self._read: set[int] = set()
        """Statements of the template that have been read, by identity."""
        self._of_resources = self._resource_policies()
        self._managed |= {
            self.arn(logical): self._document(logical, self.properties(logical)["PolicyDocument"])
            for logical in self.of_type("AWS::IAM::ManagedPolicy")
        }
        self._of_roles = self._identity_policies()

    def read_into(self, inventory: Inventory) -> None:
        """Add the roles and resources of the stack to an inventory."""
        for logical, resource in self.all.items():
            kind = resource["Type"]
            if "Condition" in resource:
                raise self.unresolved(logical, "has a Condition, so it is unknown whether it is deployed")
            if kind in NAMED:
                self._read_named(logical, kind, inventory)
            elif kind not in _WITHOUT_POLICY and kind not in _POLICIES and kind != "AWS::IAM::Policy":
                problem = f"{kind} is an unknown type. Add it to access/template.py or access/policies.py."
                raise self.unresolved(logical, problem)
        for logical, resource in self.all.items():
            self._refuse_unread(logical, resource.get("Properties", {}))
        for arn in self._of_resources:
            if arn not in inventory.resource_policies:
                raise UnresolvedError(f"{self.stack.name}: the resource {arn} of a policy is in no stack")

    def _read_named(self, logical: str, kind: str, inventory: Inventory) -> None:
        name = NAMED[kind][0]
        arn, where, properties = self.arn(logical), f"{self.stack.name}/{logical}", self.properties(logical)
        account, region = self.stack.account, self.stack.region
        if name not in _WITH_POLICY:
            inventory.other_resources[arn] = OtherResource(name, arn, account, region, where)
            return
        statements = list(self._of_resources.get(arn, []))
        if name in _OWN_DOCUMENT and _OWN_DOCUMENT[name] in properties:
            statements += self._document(logical, properties[_OWN_DOCUMENT[name]])["Statement"]
        elif name == "endpoint":
            statements.append(_DEFAULT_ENDPOINT_STATEMENT)
        if name == "role":
            inventory.roles[arn] = self._role(logical, arn)
        if arn in inventory.resource_policies:
            raise self.unresolved(logical, f"{arn} is in two stacks")
        policy = {"Version": "2012-10-17", "Statement": statements}
        inventory.resource_policies[arn] = ResourcePolicy(name, arn, account, region, where, policy, properties)

    def _role(self, logical: str, arn: str) -> Role:
        properties = self.properties(logical)
        policies = [self._document(logical, policy["PolicyDocument"]) for policy in properties.get("Policies", [])]
        policies += self._of_roles.get(arn, [])
        for reference in properties.get("ManagedPolicyArns", []):
            managed = str(self.resolve(reference, logical))
            document = self._managed.get(managed) or _MANAGED.get(managed.partition(":policy/")[2])
            if document is None:
                raise self.unresolved(logical, f"the managed policy {managed!r} is unknown")
            policies.append(document)
        boundary = properties.get("PermissionsBoundary") and str(
            self.resolve(properties["PermissionsBoundary"], logical)
        )
        where, bounds = f"{self.stack.name}/{logical}", self._managed.get(boundary or "")
        return Role(arn, self.stack.account, where, tuple(policies), boundary, bounds)

    def _identity_policies(self) -> dict[str, list[Policy]]:
        """Return the documents of policies that name their roles, by the role's ARN."""
        by_arn: dict[str, list[Policy]] = {}
        for logical in [*self.of_type("AWS::IAM::Policy"), *self.of_type("AWS::IAM::ManagedPolicy")]:
            properties = self.properties(logical)
            document = self._document(logical, properties["PolicyDocument"])
            for attached in {"Users", "Groups"} & set(properties):
                raise self.unresolved(logical, f"{attached} have policies. Only roles are supported.")
            for role in properties.get("Roles", []):
                name = self.resolve(role, logical)
                by_arn.setdefault(f"arn:{self.partition}:iam::{self.stack.account}:role/{name}", []).append(document)
        return by_arn

    def _resource_policies(self) -> dict[str, list[Statement]]:
        """Return the statements of resource policies by the resource's ARN."""
        by_arn: dict[str, list[Statement]] = {}
        documents: set[tuple[str, str]] = set()
        for kind, read in _POLICIES.items():
            for logical in self.of_type(kind):
                for arn, statements in read(self, logical):
                    # A bucket, a topic or a queue has one document: the one deployed later would replace the other.
                    if kind in _ONE_DOCUMENT and (kind, arn) in documents:
                        raise self.unresolved(logical, f"a second {kind} for {arn}")
                    documents.add((kind, arn))
                    by_arn.setdefault(arn, []).extend(statements)
        return by_arn

    def bucket_policy(self, logical: str) -> Iterator[tuple[str, list[Statement]]]:
        """Read an `AWS::S3::BucketPolicy`."""
        properties = self.properties(logical)
        bucket = self.resolve(properties["Bucket"], logical)
        yield f"arn:{self.partition}:s3:::{bucket}", self._statements(logical)

    def queue_policy(self, logical: str) -> Iterator[tuple[str, list[Statement]]]:
        """Read an `AWS::SQS::QueuePolicy`."""
        for url in self.properties(logical)["Queues"]:
            account, name = str(self.resolve(url, logical)).rsplit("/", 2)[1:]
            yield self.arn_here("sqs", name, account), self._statements(logical)

    def topic_policy(self, logical: str) -> Iterator[tuple[str, list[Statement]]]:
        """Read an `AWS::SNS::TopicPolicy`."""
        for topic in self.properties(logical)["Topics"]:
            yield str(self.resolve(topic, logical)), self._statements(logical)

    def bus_policy(self, logical: str) -> Iterator[tuple[str, list[Statement]]]:
        """Read an `AWS::Events::EventBusPolicy`."""
        properties = self.properties(logical)
        bus = self.resolve(properties["EventBusName"], logical)
        if set(properties) - {"EventBusName", "Statement", "StatementId"}:
            raise self.unresolved(logical, "only an EventBusPolicy with a Statement is supported")
        document = self._document(logical, {"Statement": [properties["Statement"]]})
        self._read.add(id(properties["Statement"]))
        yield self.arn_here("events", f"event-bus/{bus}"), document["Statement"]

    def permission(self, logical: str) -> Iterator[tuple[str, list[Statement]]]:
        """Read an `AWS::Lambda::Permission` as the statement that Lambda makes of it."""
        properties: Properties = self.resolve(self.properties(logical), logical)
        name = properties["FunctionName"]
        arn = name if name.startswith("arn:") else self.arn_here("lambda", f"function:{name}")
        conditions = {
            "SourceArn": ("ArnLike", "aws:SourceArn"),
            "SourceAccount": ("StringEquals", "aws:SourceAccount"),
            "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
            "EventSourceToken": ("StringEquals", "lambda:EventSourceToken"),
        }
        if unknown := set(properties) - {"Action", "FunctionName", "Principal", *conditions}:
            raise self.unresolved(logical, f"{', '.join(sorted(unknown))} of a permission is unknown")
        statement: Statement = {
            "Sid": logical,
            "Effect": "Allow",
            "Principal": _lambda_principal(properties["Principal"], self.partition),
            "Action": properties["Action"],
            "Resource": arn,
        }
        for key, (operator, condition) in conditions.items():
            if key in properties:
                statement.setdefault("Condition", {}).setdefault(operator, {})[condition] = properties[key]
        yield arn, [statement]

    def _statements(self, logical: str) -> list[Statement]:
        statements: list[Statement] = self._document(logical, self.properties(logical)["PolicyDocument"])["Statement"]
        return statements

    def _document(self, logical: str, document: Policy) -> Policy:
        if not isinstance(document, dict) or not isinstance(document.get("Statement"), list):
            raise self.unresolved(logical, "a policy document without a list of statements")
        self._read |= {id(statement) for statement in document["Statement"]}
        resolved: Policy = self.resolve(document, logical)
        return resolved

    def _refuse_unread(self, logical: str, node: Any) -> None:
        """Raise an error for a statement of the template that was not read."""
        if isinstance(node, dict):
            is_statement = {"Effect", "Principal"} & set(node) and {"Action", "NotAction"} & set(node)
            is_permission = self.all[logical]["Type"] == "AWS::Lambda::Permission"
            if is_statement and not is_permission and id(node) not in self._read:
                raise self.unresolved(logical, "has a policy statement in an unknown place")
            for item in node.values():
                self._refuse_unread(logical, item)
        elif isinstance(node, list):
            for item in node:
                self._refuse_unread(logical, item)


_POLICIES: dict[str, Callable[[_Policies, str], Iterator[tuple[str, list[Statement]]]]] = {
    "AWS::S3::BucketPolicy": _Policies.bucket_policy,
    "AWS::SQS::QueuePolicy": _Policies.queue_policy,
    "AWS::SNS::TopicPolicy": _Policies.topic_policy,
    "AWS::Events::EventBusPolicy": _Policies.bus_policy,
    "AWS::Lambda::Permission": _Policies.permission,
}
_OWN_DOCUMENT = {
    "key": "KeyPolicy",
    "role": "AssumeRolePolicyDocument",
    "repository": "RepositoryPolicyText",
    "endpoint": "PolicyDocument",
}
"""The property in which a resource declares its policy."""
_ONE_DOCUMENT = ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy")


def _lambda_principal(principal: str, partition_name: str) -> object:
    if principal == "*":
        return "*"
    if re.fullmatch(r"[0-9]{12}", principal):
        return {"AWS": f"arn:{partition_name}:iam::{principal}:root"}
    if principal.startswith("arn:"):
        return {"AWS": principal}
    return {"Service": principal}

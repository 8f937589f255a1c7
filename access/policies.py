"""Policies of a deployment, read from its templates: every statement at the role or resource where AWS evaluates it.

All stacks are read first, then each document is attached to its roles or its resource, which may be in another stack.
A document in an unknown place, or for a role or resource of no template, is an error: it would not be checked.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from access.assembly import StackTemplate
from access.inventory import Inventory, Policy, ResourcePolicy, Role, Statement, as_list
from access.template import NAMED, Properties, Resources, UnresolvedError

VERSION = "2012-10-17"
"""The version of the policy language that has variables. Policies without a version have an older language."""
_WITH_POLICY = ("bucket", "key", "topic", "queue", "function", "bus", "role", "repository", "endpoint")
_OWN_DOCUMENT = {
    "key": "KeyPolicy",
    "role": "AssumeRolePolicyDocument",
    "repository": "RepositoryPolicyText",
    "endpoint": "PolicyDocument",
}
"""The property in which a resource declares its policy."""
# The policy of an endpoint that declares none. (VPC guide, "Default endpoint policy".)
DEFAULT_ENDPOINT_STATEMENT: Statement = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
# Managed policies of AWS that CDK attaches.
_LOG = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
_AWS_MANAGED: dict[str, Policy] = {
    "AWSLambdaBasicExecutionRole": {
        "Version": VERSION,
        "Statement": [{"Effect": "Allow", "Action": _LOG, "Resource": "*"}],
    }
}


def read_inventory(stacks: Iterable[StackTemplate], managed: Mapping[str, Policy] | None = None) -> Inventory:
    """Return the roles and resource policies of stacks.

    `managed`: by ARN, the managed policies that the stacks use and do not contain, such as permissions boundaries.

    Raises:
        UnresolvedError: a value, a policy or a part of a template is unknown.
    """
    try:
        return _read(stacks, managed or {})
    except (AttributeError, KeyError, TypeError) as error:
        raise UnresolvedError(f"A template has an unknown form: {error!r}") from error


def _read(stacks: Iterable[StackTemplate], managed: Mapping[str, Policy]) -> Inventory:
    readers = [_Reader(stack) for stack in stacks]
    for reader in readers:
        reader.check()
    placeholders = re.compile("|".join(re.escape(text) for reader in readers for text in reader.placeholders) or "$^")
    known = dict(managed)
    attached: dict[str, dict[tuple[str, str], Policy]] = {}
    for reader in readers:
        reader.refuse_placeholders(placeholders)
        known |= reader.managed_policies()
        service_roles = f"arn:{reader.partition}:iam::aws:policy/service-role"
        known |= {f"{service_roles}/{name}": policy for name, policy in _AWS_MANAGED.items()}
    for reader in readers:
        for logical, kind, name, arn, document in chain(reader.identity_policies(), reader.resource_policies()):
            # Of two policies of one name, the one that is deployed later would replace the other.
            if (kind, name) in attached.setdefault(arn, {}):
                raise reader.unresolved(logical, f"a second {kind} {name} for {arn}")
            attached[arn][kind, name] = document
    inventory = Inventory()
    for reader in readers:
        reader.add_to(inventory, known, attached)
    for arn in attached:
        if arn not in inventory.resource_policies:
            raise UnresolvedError(f"A policy is for {arn}, which is in no stack.")
    return inventory


_Attached = tuple[str, str, str, str, Policy]
"""A separate policy: logical id, type, name, the ARN of its role or resource, document."""


class _Reader(Resources):
    """The resources and policy documents of a stack."""

    def __init__(self, stack: StackTemplate) -> None:
        super().__init__(stack)
        self._read: dict[int, object] = {}
        """Documents and statements of the template that have been read, by identity."""
        self._documents = 0

    def add_to(
        self,
        inventory: Inventory,
        managed: Mapping[str, Policy],
        attached: Mapping[str, Mapping[tuple[str, str], Policy]],
    ) -> None:
        """Add the roles and resources of the stack to an inventory."""
        if self.stack.name in inventory.stacks:
            raise UnresolvedError(f"{self.stack.name} is the name of two stacks")
        inventory.stacks[self.stack.name] = self
        for logical, resource in self.all.items():
            if resource["Type"] not in NAMED:
                continue
            name, arn, where = NAMED[resource["Type"]][0], self.arn(logical), f"{self.stack.name}/{logical}"
            if arn in inventory.resource_policies or arn in inventory.other_resources:
                raise self.unresolved(logical, f"{arn} is the ARN of two resources")
            if name not in _WITH_POLICY:
                inventory.other_resources.add(arn)
                continue
            statements, documents = self._own_statements(name, logical), attached.get(arn, {}).values()
            if name == "role":
                inventory.roles[arn] = self._role(logical, arn, managed, documents)
            else:
                statements = [*(statement for policy in documents for statement in policy["Statement"]), *statements]
            for statement in statements:
                if problem := foreign_resource(name, arn, statement):
                    raise self.unresolved(logical, problem)
            policy = {"Version": VERSION, "Statement": statements}
            inventory.resource_policies[arn] = ResourcePolicy(name, arn, self.stack.account, where, policy)
        for logical, resource in self.all.items():
            self._refuse_unread(logical, resource.get("Properties", {}))
        inventory.documents += self._documents

    def _own_statements(self, name: str, logical: str) -> list[Statement]:
        properties = self.properties(logical)
        if name in _OWN_DOCUMENT and _OWN_DOCUMENT[name] in properties:
            return self._statements(logical, _OWN_DOCUMENT[name])
        return [DEFAULT_ENDPOINT_STATEMENT] if name == "endpoint" else []

    def _role(self, logical: str, arn: str, managed: Mapping[str, Policy], policies: Iterable[Policy]) -> Role:
        properties, documents = self.properties(logical), [*policies]
        for reference in properties.get("ManagedPolicyArns", []):
            name = str(self.resolve(reference, logical))
            if name not in managed:
                raise self.unresolved(logical, f"the managed policy {name!r} is unknown")
            documents.append(managed[name])
        boundary = self.resolve(properties.get("PermissionsBoundary"), logical)
        where = f"{self.stack.name}/{logical}"
        return Role(arn, self.stack.account, where, tuple(documents), boundary, managed.get(boundary or ""))

    def managed_policies(self) -> dict[str, Policy]:
        """Return the managed policies of the stack, by ARN."""
        return {
            self.arn(logical): self._document(logical, self.properties(logical).get("PolicyDocument"))
            for logical in self.of_type("AWS::IAM::ManagedPolicy")
        }

    def identity_policies(self) -> Iterator[_Attached]:
        """Yield the policies in roles, and those that name their roles."""
        for logical in self.of_type("AWS::IAM::Role"):
            for policy in self.properties(logical).get("Policies", []):
                name, document = policy["PolicyName"], self._document(logical, policy["PolicyDocument"])
                yield logical, "AWS::IAM::Policy", self.resolve(name, logical), self.arn(logical), document
        for logical in [*self.of_type("AWS::IAM::Policy"), *self.of_type("AWS::IAM::ManagedPolicy")]:
            properties = self.properties(logical)
            if {"Users", "Groups"} & set(properties):
                raise self.unresolved(logical, "is for users or groups. Only policies of roles are supported.")
            roles, kind = properties.get("Roles", []), self.all[logical]["Type"]
            if not roles and kind == "AWS::IAM::Policy":
                raise self.unresolved(logical, "is for no role")
            if roles:
                document = self._document(logical, properties.get("PolicyDocument"))
                policy = str(self.resolve(properties.get("PolicyName", logical), logical))
                for role in roles:
                    name = self.resolve(role, logical)
                    yield logical, kind, policy, f"arn:{self.partition}:iam::{self.stack.account}:role/{name}", document

    def resource_policies(self) -> Iterator[_Attached]:
        """Yield the separate policies of resources. A bucket, a topic or a queue has one, without a name."""
        names = {"AWS::Lambda::Permission": "", "AWS::Events::EventBusPolicy": "StatementId"}
        for kind, read in _POLICIES.items():
            for logical in self.of_type(kind):
                name = str(self.properties(logical).get(names[kind], logical)) if kind in names else ""
                for arn, statements in read(self, logical):
                    yield logical, kind, name, arn, {"Version": VERSION, "Statement": statements}

    def bucket_policy(self, logical: str) -> Iterator[tuple[str, list[Statement]]]:
        """Read an `AWS::S3::BucketPolicy`."""
        bucket = self.resolve(self.properties(logical)["Bucket"], logical)
        yield f"arn:{self.partition}:s3:::{bucket}", self._statements(logical)

    def queue_policy(self, logical: str) -> Iterator[tuple[str, list[Statement]]]:
        """Read an `AWS::SQS::QueuePolicy`."""
        for url in self.properties(logical)["Queues"]:
            if isinstance(url, dict) and url.get("Ref") in self.of_type("AWS::SQS::Queue"):
                yield self.arn(url["Ref"]), self._statements(logical)
                continue
            host, account, name = str(self.resolve(url, logical)).rsplit("/", 2)
            region = host.removeprefix("https://sqs.").partition(".")[0]
            yield f"arn:{self.partition}:sqs:{region}:{account}:{name}", self._statements(logical)

    def topic_policy(self, logical: str) -> Iterator[tuple[str, list[Statement]]]:
        """Read an `AWS::SNS::TopicPolicy`."""
        for topic in self.properties(logical)["Topics"]:
            yield str(self.resolve(topic, logical)), self._statements(logical)

    def bus_policy(self, logical: str) -> Iterator[tuple[str, list[Statement]]]:
        """Read an `AWS::Events::EventBusPolicy`."""
        properties = self.properties(logical)
        if set(properties) != {"EventBusName", "Statement", "StatementId"}:
            raise self.unresolved(logical, "only an EventBusPolicy with a Statement is supported")
        bus = self.resolve(properties["EventBusName"], logical)
        self._count(properties["Statement"], [properties["Statement"]])
        yield self.arn_here("events", f"event-bus/{bus}"), [self.resolve(properties["Statement"], logical)]

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
        self._count(self.properties(logical), [self.properties(logical)])
        yield arn, [statement]

    def _statements(self, logical: str, name: str = "PolicyDocument") -> list[Statement]:
        statements: list[Statement] = self._document(logical, self.properties(logical).get(name))["Statement"]
        return statements

    def _document(self, logical: str, document: Any) -> Policy:
        match document:
            case {"Statement": [*statements], "Version": str(version)} if set(document) <= {"Statement", "Version"}:
                if version != VERSION:
                    raise self.unresolved(logical, f"has a policy document of version {version}, not {VERSION}")
                self._count(document, statements)
                resolved: Policy = self.resolve(document, logical)
                return resolved
        raise self.unresolved(logical, f"a policy document needs a list of statements and Version {VERSION} only")

    def _count(self, document: object, statements: Iterable[object]) -> None:
        self._documents += id(document) not in self._read
        self._read |= {id(node): node for node in (document, *statements)}

    def _refuse_unread(self, logical: str, node: Any) -> None:
        """Raise an error for a statement of the template that was not read."""
        if isinstance(node, dict):
            if (
                {"Effect", "Principal"} & set(node)
                and {"Action", "NotAction"} & set(node)
                and id(node) not in self._read
            ):
                raise self.unresolved(logical, "has a policy statement in an unknown place")
            for item in node.values():
                self._refuse_unread(logical, item)
        elif isinstance(node, list):
            for item in node:
                self._refuse_unread(logical, item)


_POLICIES: dict[str, Callable[[_Reader, str], Iterator[tuple[str, list[Statement]]]]] = {
    "AWS::S3::BucketPolicy": _Reader.bucket_policy,
    "AWS::SQS::QueuePolicy": _Reader.queue_policy,
    "AWS::SNS::TopicPolicy": _Reader.topic_policy,
    "AWS::Events::EventBusPolicy": _Reader.bus_policy,
    "AWS::Lambda::Permission": _Reader.permission,
}


def _lambda_principal(principal: str, partition_name: str) -> object:
    if principal == "*":
        return "*"
    if re.fullmatch(r"[0-9]{12}", principal):
        return {"AWS": f"arn:{partition_name}:iam::{principal}:root"}
    if principal.startswith("arn:"):
        return {"AWS": principal}
    return {"Service": principal}


def foreign_resource(kind: str, arn: str, statement: Statement) -> str | None:
    """Return a problem unless a statement of a resource's policy is about the resource itself, or objects below it.

    A key's policy names all resources, which means the key. An endpoint's policy is about all services.
    """
    if kind == "endpoint":
        return None
    if "NotResource" in statement:
        return "a statement of its policy has NotResource"
    for resource in map(str, as_list(statement.get("Resource"))):
        if not (resource == arn or resource.startswith((f"{arn}/", f"{arn}:")) or (kind, resource) == ("key", "*")):
            return f"a statement of its policy is about {resource}"
    return None

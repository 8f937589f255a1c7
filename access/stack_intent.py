"""The parts of the statement of intent that several stacks share: resources with their properties and permissions."""

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from access.assembly import Asset
from access.inventory import Inventory, Statement
from access.table import TABLE, TEXT, Dashboard, Expected, Free, Json, Retries, Tags, Text, places
from access.template import NAMED, Resources, UnresolvedError
from access.terms import (
    ECR_LOGIN,
    ECR_PULL,
    ECR_PUSH,
    KEY_WRITE,
    LAMBDA,
    LOG,
    LOG_ANYWHERE,
    LOG_DELIVERY,
    TRACE,
    Account,
    AnyPrincipal,
    Conditions,
    Intent,
    Like,
    NamedRole,
    Permission,
    Principal,
    Service,
    arn,
    deny,
    grant,
    log_group,
    may,
    via_s3,
)
from stacks.deployment import BaseDeployment
from stacks.deployment.dockerfile import image_tag, stage_inputs
from stacks.deployment.function_files import function_files
from stacks.deployment.names import Place, Resource
from stacks.deployment.own_code import OWN_CODE, REQUIREMENTS
from stacks.deployment.regions import dns_suffix

TOPIC_ACTIONS = (
    "sns:Publish sns:Subscribe sns:AddPermission sns:RemovePermission sns:GetTopicAttributes sns:SetTopicAttributes"
    " sns:DeleteTopic sns:ListSubscriptionsByTopic"
)
RETAINED = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
DELETED = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}
UNFINISHED: dict[str, Any] = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}}
ANYWHERE = [{"CidrIp": "0.0.0.0/0", "Description": TEXT, "IpProtocol": "-1"}]
"""Rules of a security group that allow all outbound connections."""
_IN_NETWORK = may(
    "ec2:CreateNetworkInterface ec2:DeleteNetworkInterface ec2:DescribeNetworkInterfaces ec2:DescribeSubnets"
    " ec2:AssignPrivateIpAddresses ec2:UnassignPrivateIpAddresses",
    "*",
)
"""Lambda needs it to connect a function to a VPC."""
_AUTO_DELETE = "CustomS3AutoDeleteObjectsCustomResourceProvider"
_CDK_CODE = {
    rf"\w*{_AUTO_DELETE}Code": "2fe9b7bcc94509de6afcd84d26a949a2bdbad449c0b307ea9993cc4f10fa0dc7",
    r"\w*Providerframeworkon\w+Code": "80df07627b39f44e0d1b684aeda60df3ae1b9bb098eca7092bfa669d3f8726ee",
}
"""Digests of the code that aws-cdk-lib brings, by the construct paths of its assets. They change with its versions."""
# Alarms of a function: a name's ending, the metric, and its differences from a sum of one period and the threshold 1.
_FAILS: dict[str, tuple[str, dict[str, Any]]] = {
    "Fails": ("Errors", {"periods": 3}),
    "Throttled": ("Throttles", {"periods": 3}),
    "Late": ("AsyncEventAge", {"statistic": "Maximum", "threshold": 3_600_000}),
    "Lost": ("DestinationDeliveryFailures", {}),
}


def words(text: str) -> str:
    """Return letters and digits only, as in the construct path of a construct that is named after a text."""
    return re.sub(r"[^A-Za-z0-9]", "", text)


def lifecycle_rule(name: str, *, old_days: int | None = None, **given: Any) -> dict[str, Any]:
    """Return a rule of a bucket's lifecycle. `old_days`: until old versions expire."""
    old = {"NoncurrentVersionExpiration": {"NoncurrentDays": old_days}} if old_days else {}
    return {"Id": name, "Status": "Enabled", **old, **given}


REMOVE_MARKERS = lifecycle_rule("RemoveDeleteMarkers", ExpiredObjectDeleteMarker=True)


@cache
def _code(packages: tuple[str, ...]) -> Mapping[str, str]:
    return {name: sha256(path.read_bytes()).hexdigest() for name, path in function_files(packages)}


def _is_code(asset: Asset, packages: tuple[str, ...], own_code: Path | None) -> bool:
    """Return whether a function's code is this project's, with the files of a folder of own code."""
    own = {name for name in asset.files if name.startswith(OWN_CODE)}
    if {name: asset.files[name] for name in asset.files.keys() - own} != _code(packages) or bool(own) != bool(own_code):
        return False
    of_folder = {name.removeprefix(OWN_CODE): asset.files[name] for name in own}
    if own_code and (own_code / REQUIREMENTS).exists():  # they install files that are in no folder
        of_folder = {name: digest for name, digest in of_folder.items() if (own_code / name).exists()}
    return not own_code or Asset("", of_folder).is_of([own_code])


class StackIntent:
    """The intended resources of one stack. Construct paths have no separators: `TaskRole` is `Task/Role`."""

    def __init__(
        self,
        intent: Intent,
        inventory: Inventory,
        deployment: BaseDeployment,
        name: str,
        place: Place,
        *,
        protected: bool = False,
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        if name not in inventory.stacks:
            raise UnresolvedError(f"{name}: the stack is missing")
        self.name, self.account, self.region, self.partition = name, place.account, place.region, place.partition
        self.resources: Resources = inventory.stacks[name]
        found = (self.resources.stack.account, self.resources.stack.region)
        if found != (self.account, self.region):
            raise UnresolvedError(f"{name}: is in {' '.join(found)}, not in {self.account} {self.region}")
        protected = protected and not deployment.ephemeral
        if self.resources.stack.protected is not protected:
            raise UnresolvedError(f"{name}: its termination protection is not {protected}")
        self.intent, self.allow = intent, intent.allow
        self._deployment, platform = deployment, deployment.platform
        policy = f"arn:{self.partition}:iam::{self.account}:policy/{platform.permissions_boundary}"
        self._boundary = policy if platform.permissions_boundary else None
        places = {(network.account, network.region): network for network in platform.networks}
        self._network = places.get((self.account, self.region))
        self.stateful = DELETED if deployment.ephemeral else RETAINED
        qualifier = platform.bootstrap_qualifier or "hnb659fds"
        bootstrap, _ = self.resources.stack.bootstrap or (f"/cdk-bootstrap/{qualifier}/version", 0)
        if bootstrap != f"/cdk-bootstrap/{qualifier}/version":
            raise UnresolvedError(f"{name}: its bootstrap stack is that of {bootstrap}, not of {qualifier}")
        self.assets = f"cdk-{qualifier}-assets-{self.account}-{self.region}"
        self._expected = intent.resources.setdefault(name, {})
        version = Free("the version of this project", pattern=r"[0-9][0-9A-Za-z.+]*")
        self._outputs = intent.outputs.setdefault(name, {"CoatcheckVersion": version})
        self.tags = Tags({**platform.tags, **tags})
        self._text = text_of(deployment, inventory)
        self._shown = frozenset(
            (name, other.stack.region)
            for other in inventory.stacks.values()
            for logical in other.all
            for name in (other.name(logical), *([other.arn(logical)] if other.all[logical]["Type"] in NAMED else []))
        )

    def add(
        self,
        construct: str,
        kind: str,
        *,
        removal: Mapping[str, str] | None = None,
        after: str = "",
        **given: Any,
    ) -> None:
        """Add a resource, created after the constructs that a pattern matches. Properties that are None are absent."""
        assert construct not in self._expected, f"{self.name}: {construct} is added twice"
        texts = {name: rule for name, rule in TABLE[kind].items() if isinstance(rule, Text)}
        own = {name: replace(rule, known=self._text.known) for name, rule in texts.items()}
        present = {"Tags": self.tags, **own} | {name: value for name, value in given.items() if value is not None}
        self._expected[construct] = Expected(kind, present, removal or {}, after)

    def output(self, **values: Any) -> None:
        """Add outputs with their values."""
        self._outputs |= values

    def protect(self, arn: str, *grants: Permission, tls: str = "", denials: Iterable[Statement] = ()) -> None:
        """Add the policy of a resource. `tls`: actions that it denies without TLS."""
        without = [deny(tls, "*", Bool={"aws:SecureTransport": "false"})] if tls else []
        self.intent.protect(arn, *grants, denials=(*without, *denials))

    def find(self, pattern: str) -> str:
        """Return the one construct whose path matches a pattern, for paths that contain a hash."""
        return self._only(pattern, (path for path in self.resources.by_construct if re.fullmatch(pattern, path)))

    def ref(self, construct: str) -> str:
        """Return the value of CloudFormation's `Ref` of a construct."""
        return str(self.resources.resolve({"Ref": self.resources.logical(construct)}, construct))

    def att(self, construct: str, attribute: str = "Arn") -> str:
        """Return an attribute of a construct, by default its ARN."""
        return str(self.resources.resolve({"Fn::GetAtt": [self.resources.logical(construct), attribute]}, construct))

    def arn(self, service: str, resource: str) -> str:
        """Return an ARN in the stack's account and Region."""
        return arn(service, self.region, self.account, resource)

    def asset(self, pattern: str, has_content: Callable[[Asset], bool]) -> str:
        """Return the key, in CDK's bucket, of the one asset whose construct path matches, with its intended content."""
        assets = self.resources.stack.assets.items()
        own = (key for key, asset in assets if re.fullmatch(pattern, asset.construct) and has_content(asset))
        return self._only(f"{pattern} with the files of this version of coatcheck", own)

    def _only(self, pattern: str, matching: Iterable[str]) -> str:
        found = list(matching)
        if len(found) != 1:
            raise UnresolvedError(f"{self.name}: the stack has {len(found)} resources or assets {pattern}, not 1")
        return found[0]

    # Roles -----------------------------------------------------------------------------------------------------------

    def role(
        self,
        construct: str,
        trusted: Principal,
        *permissions: Permission,
        name: str | None = None,
        actions: str = "sts:AssumeRole",
        managed: Iterable[str] = (),
        policy: bool = True,
    ) -> str:
        """Add a role that a principal may assume, and return its ARN. Without `policy`, it has no separate policy."""
        policies = list(managed) or None
        given: dict[str, Any] = {"RoleName": name, "PermissionsBoundary": self._boundary, "ManagedPolicyArns": policies}
        inline = [Free("the prover compares it with the intent", dict)] if trusted == LAMBDA and self._network else None
        self.add(construct, "AWS::IAM::Role", Policies=inline, **given)
        if inline:
            permissions = (*permissions, _IN_NETWORK)
        if policy:
            self.add(f"{construct}DefaultPolicy", "AWS::IAM::Policy")
        role = self.att(construct)
        self.protect(role, grant(trusted, actions))
        self.intent.role_permissions[role] = permissions
        return role

    def service_role(self, construct: str, service: str, *permissions: Permission, **options: Any) -> str:
        """Add a role that a service may assume for this account."""
        return self.role(construct, Service(f"{service}.amazonaws.com", account=self.account), *permissions, **options)

    # Resources with a policy -----------------------------------------------------------------------------------------

    def bucket(
        self,
        construct: str,
        name: str,
        *grants: Permission,
        lifecycle: list[dict[str, Any]],
        key: str | None = None,
        versioned: bool = False,
        denials: tuple[Statement, ...] = (),
        **given: Any,
    ) -> str:
        """Add a private bucket, encrypted with a key of the stack, or with S3's. Return its ARN."""
        by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.att(key)} if key else {"SSEAlgorithm": "AES256"}
        encryption = {"ServerSideEncryptionByDefault": by_default, **({"BucketKeyEnabled": True} if key else {})}
        given["BucketEncryption"] = {"ServerSideEncryptionConfiguration": [encryption]}
        given["VersioningConfiguration"] = {"Status": "Enabled"} if versioned else None
        if logs := self._deployment.platform.access_log_bucket:
            target = logs.format(account=self.account, region=self.region)
            given["LoggingConfiguration"] = {"DestinationBucketName": target, "LogFilePrefix": f"{name}/"}
        self.add(
            construct,
            "AWS::S3::Bucket",
            removal=self.stateful,
            BucketName=name,
            LifecycleConfiguration={"Rules": lifecycle},
            **given,
        )
        self.add(f"{construct}Policy", "AWS::S3::BucketPolicy")
        bucket = self.att(construct)
        emptied = self._auto_delete(construct, bucket) if self._deployment.ephemeral else ()
        self.protect(bucket, *grants, *emptied, tls="s3:*", denials=denials)
        return bucket

    def _auto_delete(self, construct: str, bucket: str) -> tuple[Permission]:
        """Add CDK's function that empties an ephemeral stack's bucket on deletion. Return the grant to the function."""
        handler, role = f"{_AUTO_DELETE}Handler", f"{_AUTO_DELETE}Role"
        if handler not in self._expected:
            self._cdk_role(role, policy=False)
            self.log_group(f"{handler}Logs")
            logging = {"LogGroup": self.ref(f"{handler}Logs")}
            self._cdk_function(handler, role, rf"\w*{_AUTO_DELETE}Code", "index.handler", logging, MemorySize=128)
        resource, name = f"{construct}AutoDeleteObjectsCustomResource", self.ref(construct)
        token = self.att(handler)
        given: dict[str, Any] = {"ServiceToken": token, "BucketName": name}
        self.add(resource, "Custom::S3AutoDeleteObjects", removal=DELETED, after=f"{construct}Policy", **given)
        actions = "s3:PutBucketPolicy s3:GetBucket* s3:List* s3:DeleteObject*"
        return (grant(NamedRole(self.att(role)), actions, bucket, f"{bucket}/*"),)

    def key(self, construct: str, *grants: Permission) -> str:
        """Add a KMS key and return its ARN. Its policy leaves the decision about the account to the account's own."""
        self.add(construct, "AWS::KMS::Key", removal=self.stateful)
        key = self.att(construct)
        self.protect(key, grant(Account(self.account), "kms:*"), *grants)
        return key

    def use_own_key(self) -> str | None:
        """Return the construct of the stack's own key, or None without customer keys."""
        if not self._deployment.platform.customer_keys:
            return None
        if "StackKey" not in self._expected:
            context = {"kms:EncryptionContext:aws:logs:arn": (Like(self.arn("logs", "log-group:*")),)}
            logs = Service(f"logs.{self.region}.{dns_suffix(self.region)}")
            self.key("StackKey", grant(logs, f"{KEY_WRITE} kms:DescribeKey", when=context))
        return "StackKey"

    def _allow_writer(self, writing: Permission) -> None:
        """Add the use of the stack's own key by a service that writes to a queue: EventBridge for the account."""
        service = writing.principal
        assert isinstance(service, Service)
        writer = Service(service.name, account=self.account) if "events." in service.name else service
        self.intent.extend(self.att("StackKey"), grant(writer, "kms:Decrypt kms:GenerateDataKey*"))

    def own_key(self, actions: str) -> tuple[Permission, ...]:
        """Return the permission to use the stack's own key, if there is one."""
        construct = self.use_own_key()
        return (may(actions, self.att(construct)),) if construct else ()

    def queue(self, construct: str, queue: Resource, *grants: Permission, days: int, **given: Any) -> str:
        """Add a queue and return its ARN."""
        key = self.use_own_key()
        given |= {"KmsMasterKeyId": self.att(key)} if key else {"SqsManagedSseEnabled": True}
        for writing in grants if key else ():
            self._allow_writer(writing)
        given["FifoQueue"] = queue.name.endswith(".fifo") or None
        given["MessageRetentionPeriod"] = days * 86_400
        self.add(construct, "AWS::SQS::Queue", removal=self.stateful, QueueName=queue.name, **given)
        self.add(f"{construct}Policy", "AWS::SQS::QueuePolicy")
        self.protect(queue.arn, *grants, tls="sqs:*")
        return queue.arn

    def event_bus(self, bus: Resource, *grants: Permission) -> None:
        """Add the stack's event bus."""
        self.add("EventBus", "AWS::Events::EventBus", removal=self.stateful, Name=bus.name)
        self.protect(bus.arn, *grants)

    def endpoint(self, construct: str, *grants: Permission, **given: Any) -> None:
        """Add a VPC endpoint."""
        self.add(construct, "AWS::EC2::VPCEndpoint", **given)
        self.protect(self.resources.arn(self.resources.logical(construct)), *grants)

    # Functions -------------------------------------------------------------------------------------------------------

    def function(
        self,
        construct: str,
        function: Resource,
        package: str,
        *grants: Permission,
        role_name: str | None = None,
        environment: Mapping[str, Any] | None = None,
        on_failure: str | None = None,
        concurrency: int | None = None,
        seconds: int = 900,
        memory_mib: int = 1024,
        shared: tuple[str, ...] = ("claim_check", "shared"),
        own_code: Path | None = None,
    ) -> str:
        """Add a function with its role, log group and traces. Return the role's ARN."""
        log = may(LOG, log_group(self.region, self.account, f"/aws/lambda/{function.name}"))
        role = self.role(f"{construct}Role", LAMBDA, log, TRACE, name=role_name)
        self.log_group(f"{construct}Logs", f"/aws/lambda/{function.name}")
        code = self.asset(f"{construct}Code", lambda asset: _is_code(asset, (*shared, package), own_code))
        tools = {"POWERTOOLS_SERVICE_NAME": function.name, "POWERTOOLS_METRICS_NAMESPACE": "coatcheck"}
        self.add(
            construct,
            "AWS::Lambda::Function",
            after=after_role(f"{construct}Role"),
            Architectures=["arm64"],
            Code={"S3Bucket": self.assets, "S3Key": code},
            Environment={"Variables": {**tools, **(environment or {})}},
            FunctionName=function.name,
            Handler=f"{package}.handler.handler",
            LoggingConfig={"LogGroup": self.ref(f"{construct}Logs")},
            Role=role,
            Runtime="python3.14",
            MemorySize=memory_mib,
            Timeout=seconds,
            TracingConfig={"Mode": "Active"},
            **self._function_settings(concurrency),
        )
        if on_failure:
            destination = {"OnFailure": {"Destination": self.att(on_failure)}}
            given: dict[str, Any] = {"DestinationConfig": destination, "FunctionName": function.name}
            self.add(f"{construct}EventInvokeConfig", "AWS::Lambda::EventInvokeConfig", **given)
        self.protect(function.arn, *grants)
        return role

    def _function_settings(self, concurrency: int | None = None) -> dict[str, Any]:
        """Return the organisation's settings of a function."""
        key, network = self.use_own_key(), self._network
        return {
            "KmsKeyArn": self.att(key) if key else None,
            "ReservedConcurrentExecutions": concurrency or self._deployment.platform.reserved_concurrency,
            "VpcConfig": network
            and {"SubnetIds": list(network.subnet_ids), "SecurityGroupIds": list(network.security_group_ids)},
        }

    def log_group(self, construct: str, name: Any = None, removal: Mapping[str, str] = DELETED) -> None:
        """Add a log group."""
        days, key = self._deployment.operations.log_retention_days, self.use_own_key()
        given: dict[str, Any] = {"RetentionInDays": days, "KmsKeyId": self.att(key) if key else None}
        self.add(construct, "AWS::Logs::LogGroup", removal=removal, LogGroupName=name, **given)

    def _cdk_role(self, construct: str, *permissions: Permission, policy: bool = True) -> None:
        """Add the role of a function whose code is CDK's."""
        basic = f"arn:{self.partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
        self.role(construct, LAMBDA, LOG_ANYWHERE, *permissions, managed=[basic], policy=policy)

    def _cdk_function(self, construct: str, role: str, code: str, handler: str, logging: Any, **given: Any) -> None:
        """Add a function whose code is CDK's."""
        source = {"S3Bucket": self.assets, "S3Key": self.asset(code, lambda asset: asset.digest == _CDK_CODE[code])}
        given |= {"Code": source, "Handler": handler, "LoggingConfig": logging, "Role": self.att(role)}
        given |= {"Runtime": Free("a version of Node", pattern=r"nodejs[0-9]+\.x"), "Timeout": 900}
        self.add(construct, "AWS::Lambda::Function", after=after_role(role), **given, **self._function_settings())
        self.protect(self.att(construct))

    def async_provider(self, provider: str, function: str) -> None:
        """Add CDK's provider: three functions and a state machine that invoke the function until it is done."""
        called = self.att(function)
        framework, waiter = f"{provider}framework", f"{provider}waiterstatemachine"
        environment = {"USER_ON_EVENT_FUNCTION_ARN": called, "USER_IS_COMPLETE_FUNCTION_ARN": called}
        invoke = may("lambda:InvokeFunction", called, f"{called}:*"), may("lambda:GetFunction", called)
        start = may("states:StartExecution", self.ref(waiter))
        for name in ("onEvent", "isComplete", "onTimeout"):
            construct, starts = f"{framework}{name}", name == "onEvent"
            self._cdk_role(f"{construct}ServiceRole", *invoke, *([start] if starts else []))
            self.log_group(f"{construct}LogGroup", f"/aws/lambda/{self.ref(construct)}")
            self._cdk_function(
                construct,
                f"{construct}ServiceRole",
                r"\w*Providerframeworkon\w+Code",
                f"framework.{name}",
                {"ApplicationLogLevel": "FATAL", "LogFormat": "JSON"},
                Environment={
                    "Variables": environment | ({"WAITER_STATE_MACHINE_ARN": self.ref(waiter)} if starts else {})
                },
            )
        invoked = [self.att(f"{framework}{name}") for name in ("isComplete", "onTimeout")]
        invoke_both = may("lambda:InvokeFunction", *invoked, *(f"{function}:*" for function in invoked))
        log = may(f"{LOG_DELIVERY} {LOG}", "*")
        role = self.service_role(f"{waiter}Role", "states", invoke_both, log)
        first, last = "framework-isComplete-task", "framework-onTimeout-task"
        states = {
            first: {
                "End": True,
                "Retry": Retries(),
                "Catch": [{"ErrorEquals": ["States.ALL"], "Next": last}],
                "Type": "Task",
                "Resource": invoked[0],
            },
            last: {"End": True, "Type": "Task", "Resource": invoked[1]},
        }
        name = re.escape(f"/aws/vendedlogs/states/waiter-state-machine-{self.ref(f'{framework}isComplete')}-")
        logs = Free("a hash of the construct's path is a part of the name", pattern=rf"{name}[0-9a-f]{{42}}")
        self.log_group(f"{waiter}LogGroup", logs)
        self.state_machine(waiter, f"{waiter}LogGroup", role, Json({"StartAt": first, "States": states}))

    def state_machine(self, construct: str, logs: str, role: str, definition: Any, **given: Any) -> None:
        """Add a state machine that writes its events, without their data, to a log group of the stack."""
        logging = {
            "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": self.att(logs)}}],
            "IncludeExecutionData": False,
            "Level": "ALL",
        }
        given |= {"DefinitionString": definition, "RoleArn": role, "LoggingConfiguration": logging}
        self.add(construct, "AWS::StepFunctions::StateMachine", after=after_role(f"{construct}Role"), **given)

    # Events ----------------------------------------------------------------------------------------------------------

    def rule(
        self, construct: str, pattern: Mapping[str, Any], target: Mapping[str, Any], bus: str | None = None
    ) -> str:
        """Add a rule with one target and return its ARN. Without `bus`, it is on the account's default bus."""
        targets = [{"Id": Free("the target's name in the rule"), **target}]
        self.add(construct, "AWS::Events::Rule", EventBusName=bus, EventPattern=pattern, Targets=targets)
        return self.att(construct)

    def invoking_rule(
        self, construct: str, pattern: Mapping[str, Any], function: str, dead_letters: str, bus: str | None = None
    ) -> str:
        """Add a rule that invokes a function, and sends events that it cannot deliver to a queue. Return its ARN."""
        target = {"Arn": self.att(function), "DeadLetterConfig": {"Arn": self.att(dead_letters)}}
        permission = self.find(rf"{construct}AllowEventRule{words(self.name)}{function}[0-9A-F]{{8}}")
        self.add(permission, "AWS::Lambda::Permission")
        return self.rule(construct, pattern, target, bus)

    # Images ----------------------------------------------------------------------------------------------------------

    def repository(
        self, construct: str, repository: Resource, kept: int, *prefixes: str, key: str | None = None
    ) -> None:
        """Add an image repository that keeps a number of images, of each of these prefixes of tags."""
        selected: list[dict[str, Any]] = [{"tagStatus": "tagged", "tagPrefixList": [prefix]} for prefix in prefixes]
        rules = [
            {
                "rulePriority": priority,
                "description": TEXT,
                "selection": {**selection, "countType": "imageCountMoreThan", "countNumber": kept},
                "action": {"type": "expire"},
            }
            for priority, selection in enumerate(selected or [{"tagStatus": "any"}], start=1)
        ]
        lifecycle = {"LifecyclePolicyText": Json({"rules": rules})}
        encryption = {"EncryptionType": "KMS", "KmsKey": self.att(key)} if key else None
        given: dict[str, Any] = {"RepositoryName": repository.name, "EncryptionConfiguration": encryption}
        self.add(construct, "AWS::ECR::Repository", removal=self.stateful, LifecyclePolicy=lifecycle, **given)
        self.protect(repository.arn)

    def image_builder(self, construct: str, function: Resource, builds: Iterable[tuple[str, str]]) -> None:
        """Add the function that starts builds, given as pairs of the build and its repository."""
        role = self.function(f"{construct}Build", function, "image_build", seconds=120)
        projects = tuple(self.att(f"{build}Project") for build, _ in builds)
        actions = " ".join(f"codebuild:{name}" for name in ("StartBuild", "StopBuild", "BatchGetBuilds"))
        self.allow(
            role,
            may(f"{actions} codebuild:ListBuildsForProject", *projects),
            may("ecr:DescribeImages", *(self.att(repository) for _, repository in builds)),
            may("logs:GetLogEvents", *(self.att(f"{build}Logs") for build, _ in builds)),
        )
        self.async_provider(f"{construct}Provider", f"{construct}Build")

    def image_build(
        self,
        construct: str,
        repository: str,
        builder: str,
        *,
        contexts: str,
        folders: Sequence[Path],
        previous: str = "",
        dockerfile: str = "Dockerfile",
        arguments: Mapping[str, str] = MappingProxyType({}),
        refusal: str = "",
        target: str | None = None,
        key: str | None = None,
        machine: str = "LINUX_CONTAINER",
        build_image: str = "aws/codebuild/amazonlinux-x86_64-standard:5.0",
    ) -> None:
        """Add a CodeBuild project that builds an image from CDK's bucket into one repository, and its role.

        Args:
            construct: The construct.
            repository: The construct of the repository.
            builder: The construct of the function that starts builds.
            contexts: Pattern for the construct path of the asset with the Dockerfile.
            folders: The folders of the asset's files. The Dockerfile is in the first one.
            previous: The construct of the image that is built before.
            dockerfile: Path of the Dockerfile.
            arguments: Values of the Dockerfile's build arguments.
            refusal: The text with which the build fails. Empty: it does not.
            target: The stage, with which tags begin. By default, the last one.
            key: The construct of the key of the build's output.
            machine: CodeBuild's kind of machine.
            build_image: The image in which CodeBuild runs the commands.
        """
        assets, logs = f"arn:{self.partition}:s3:::{self.assets}", f"{construct}Logs"
        context_key = self.asset(contexts, lambda asset: asset.is_of(folders))
        context: Conditions = {**via_s3(self.region), "kms:EncryptionContext:aws:s3:arn": (Like(f"{assets}/*"),)}
        self.log_group(logs)
        role = self.service_role(
            f"{construct}Role",
            "codebuild",
            may("s3:GetObject s3:GetObjectVersion", f"{assets}/{context_key}"),
            may("s3:GetBucketLocation", assets),
            may("kms:Decrypt", self.arn("kms", "key/*"), when=context),
            may(LOG, self.att(logs)),
            may(f"{ECR_PULL} {ECR_PUSH} ecr:DescribeImages", self.att(repository)),
            ECR_LOGIN,
        )
        if key:
            self.allow(role, may("kms:Decrypt kms:DescribeKey kms:Encrypt kms:GenerateDataKey", self.att(key)))
        options = [*(["--target", target] if target else []), "--file", dockerfile]
        options += [text for pair in sorted(arguments.items()) for text in ("--build-arg", "=".join(pair))]
        build = shlex.join(["docker", "build", "--provenance=false", "--sbom=false", *options])
        steps = [
            'aws ecr get-login-password | docker login --username AWS --password-stdin "${REPOSITORY%%/*}"',
            f'build() {{ {build} --tag "$REPOSITORY:$TAG" .; }}',
            "{ build || { sleep 30 && build; } || { sleep 90 && build; }; }",
            'docker push "$REPOSITORY:$TAG"',
        ]
        if refusal:
            steps = [f"echo {shlex.quote(refusal)}", "false"]
        find = 'aws ecr describe-images --repository-name "$REPOSITORY_NAME" --image-ids imageTag="$TAG"'
        commands = [f"{find} || {{ {' && '.join(steps)}; }}"]
        name = self.ref(repository)
        variables = {
            "REPOSITORY": self.image_uri(repository),
            "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
            "REPOSITORY_NAME": name,
        }
        environment = {
            "ComputeType": "BUILD_GENERAL1_MEDIUM",
            "EnvironmentVariables": [{"Name": key, "Type": "PLAINTEXT", "Value": variables[key]} for key in variables],
            "Image": build_image,
            "ImagePullCredentialsType": "CODEBUILD",
            "PrivilegedMode": True,
            "Type": machine,
        }
        tag = image_tag(
            stage_inputs((folders[0] / dockerfile).read_text(), target, given=arguments),
            target=target,
            files=self.resources.stack.assets[context_key].states,
            whole=context_key.partition(".")[0],
            commands=commands,
            build_image=build_image,
        )
        source = {"version": "0.2", "phases": {"build": {"on-failure": "ABORT", "commands": commands}}}
        self.add(
            f"{construct}Project",
            "AWS::CodeBuild::Project",
            EncryptionKey=self.att(key) if key else "alias/aws/s3",
            Environment=environment,
            LogsConfig={"CloudWatchLogs": {"GroupName": self.ref(logs), "Status": "ENABLED"}},
            ServiceRole=role,
            Source={"BuildSpec": Json(source), "Type": "NO_SOURCE"},
        )
        self.add(
            f"{construct}Image",
            "Custom::ContainerImage",
            removal=DELETED,
            after=f"{after_role(f'{construct}Role')}|{after_provider(builder)}|{previous}",
            ServiceToken=self.att(f"{builder}ProviderframeworkonEvent"),
            Project=self.ref(f"{construct}Project"),
            Repository=name,
            Tag=tag,
            Source=f"{self.assets}/{context_key}",
        )

    def image_uri(self, repository: str, build: str | None = None) -> str:
        """Return the address of a repository, or of a build's image by its digest."""
        uri = f"{self.account}.dkr.ecr.{self.region}.{dns_suffix(self.region)}/{self.ref(repository)}"
        return f"{uri}@{self.att(f'{build}Image', 'Digest')}" if build else uri

    # Networks --------------------------------------------------------------------------------------------------------

    def vpc(self, network: str, kind: str, zones: Mapping[str, str], *s3: Permission, policy: Any = None) -> None:
        """Add a VPC with subnets of a kind (`Public` or `Private`), by zone, and its gateway endpoint for S3."""
        construct = f"{network}Vpc"
        self.add(construct, "AWS::EC2::VPC")
        vpc: dict[str, Any] = {"VpcId": self.ref(construct)}
        subnets = [f"{construct}{kind}Subnet{number}" for number, _ in enumerate(zones, start=1)]
        for name, (zone, cidr) in zip(subnets, zones.items(), strict=True):
            where = {"AvailabilityZoneId" if "-az" in zone else "AvailabilityZone": zone, **vpc}
            self.add(f"{name}Subnet", "AWS::EC2::Subnet", CidrBlock=cidr, **where)
            self.add(f"{name}RouteTable", "AWS::EC2::RouteTable", **vpc)
            table: dict[str, Any] = {"RouteTableId": self.ref(f"{name}RouteTable")}
            association, subnet = f"{name}RouteTableAssociation", self.ref(f"{name}Subnet")
            self.add(association, "AWS::EC2::SubnetRouteTableAssociation", SubnetId=subnet, **table)
            if kind == "Public":
                route = {"GatewayId": self.ref(f"{construct}IGW"), **table}
                self.add(f"{name}DefaultRoute", "AWS::EC2::Route", after=f"{construct}VPCGW", **route)
        if kind == "Public":
            self.add(f"{construct}IGW", "AWS::EC2::InternetGateway")
            gateway = self.ref(f"{construct}IGW")
            self.add(f"{construct}VPCGW", "AWS::EC2::VPCGatewayAttachment", InternetGatewayId=gateway, **vpc)
        vpc |= {"RouteTableIds": [self.ref(f"{name}RouteTable") for name in subnets], "VpcEndpointType": "Gateway"}
        vpc |= {"ServiceName": f"com.amazonaws.{self.region}.s3", "PolicyDocument": policy}
        self.endpoint(f"{construct}S3", *s3, **vpc)

    def security_group(self, construct: str, vpc: str, egress: Any = ANYWHERE) -> str:
        """Add a security group, by default with all outbound connections. Return its id."""
        self.add(construct, "AWS::EC2::SecurityGroup", SecurityGroupEgress=egress, VpcId=vpc)
        return self.att(construct, "GroupId")

    # Alarms ----------------------------------------------------------------------------------------------------------

    def alarms(self, *, dashboard: bool = True, shown: Iterable[tuple[str, str]] = ()) -> None:
        """Add the alarm topic, to which only the stack's alarms publish, and the stack's dashboard.

        Args:
            dashboard: Whether the stack has one.
            shown: Names in the dashboard's metrics, each with its Region, beside those of resources in that Region.
        """
        name = f"{self.name}-operations"
        topic = self.arn("sns", name)
        sources = (self.arn("cloudwatch", f"alarm:{self.name}-*"),)
        alarms = Service("cloudwatch.amazonaws.com", sources=sources, account=self.account)
        key = self.use_own_key()
        if key:
            self.intent.extend(self.att(key), grant(alarms, "kms:Decrypt kms:GenerateDataKey*"))
        self.add("AlarmsTopic", "AWS::SNS::Topic", KmsMasterKeyId=self.att(key) if key else None, TopicName=name)
        self.add("AlarmsTopicPolicy", "AWS::SNS::TopicPolicy")
        self.protect(topic, grant(alarms, "sns:Publish"), tls=TOPIC_ACTIONS)
        for email in self._deployment.operations.emails:
            given: dict[str, Any] = {"Protocol": "email", "Endpoint": email, "TopicArn": topic}
            self.add(f"AlarmsTopic{words(email)}", "AWS::SNS::Subscription", **given)
        if dashboard:
            states = frozenset(
                self.att(path)
                for path, logical in self.resources.by_construct.items()
                if self.resources.all[logical]["Type"] == "AWS::CloudWatch::Alarm"
            )
            body = Dashboard(self.region, states, self._shown | {*shown}, self._text)
            self.add("Dashboard", "AWS::CloudWatch::Dashboard", DashboardName=self.name, DashboardBody=body)

    def alarm(
        self,
        name: str,
        metric: str,
        dimensions: Mapping[str, str],
        *,
        statistic: str = "Sum",
        period: int = 300,
        periods: int = 1,
        threshold: int = 1,
    ) -> None:
        """Add an alarm of the stack, which notifies its alarm topic. `metric`: namespace and name."""
        measured = {**_metric(metric, dimensions), "Statistic": statistic, "Period": period}
        self._add_alarm(name, periods, Threshold=threshold, **measured)

    def expression_alarm(
        self,
        name: str,
        expression: str,
        metrics: Mapping[str, tuple[str, str, Mapping[str, str]]],
        *,
        periods: int,
        period: int = 300,
        **options: Any,
    ) -> None:
        """Add an alarm on an expression of metrics, by id: namespace and name, statistic and dimensions of each."""
        sources = [
            {"Id": id, "MetricStat": {"Metric": _metric(metric, by), "Period": period, "Stat": statistic}}
            for id, (metric, statistic, by) in metrics.items()
        ]
        result = {"Expression": expression, "Id": "expr_1", "ReturnData": True}
        options["Metrics"] = [result, *({**source, "ReturnData": False} for source in sources)]
        self._add_alarm(name, periods, **options)

    def _add_alarm(self, name: str, periods: int, **given: Any) -> None:
        actions, full_name = [self.ref("AlarmsTopic")], f"{self.name}-{name}"
        given = {"Threshold": 1, "EvaluationPeriods": periods, "AlarmActions": actions, "AlarmName": full_name, **given}
        self.add(f"Alarms{words(name)}", "AWS::CloudWatch::Alarm", **given)

    def queue_alarm(self, name: str, queue: str) -> None:
        """Add the alarm on messages in a dead-letter queue."""
        metric, own = "AWS/SQS ApproximateNumberOfMessagesVisible", self.att(queue, "QueueName")
        self.alarm(f"{name}NotEmpty", metric, {"QueueName": own}, statistic="Maximum", period=60)

    def function_alarms(
        self,
        name: str,
        function: str,
        errors: Iterable[str] = (),
        *,
        asynchronous: bool = False,
        throttled: bool = True,
    ) -> None:
        """Add the alarms of a function. `errors`: errors that the function counts in a metric of that name."""
        own = self.ref(function)
        for ending in ("Fails", *(["Throttled"] if throttled else []), *(["Late", "Lost"] if asynchronous else [])):
            metric, options = _FAILS[ending]
            self.alarm(f"{name}{ending}", f"AWS/Lambda {metric}", {"FunctionName": own}, **options)
        for error in errors:
            self.alarm(error, f"coatcheck {error}", {"service": own})

    def rule_alarm(self, name: str, rule: str, metric: str = "FailedInvocations", bus: str | None = None) -> None:
        """Add the alarm on events that a rule could not deliver."""
        by = {**({"EventBusName": bus} if bus else {}), "RuleName": self.att(rule).rpartition("/")[2]}
        self.alarm(name, f"AWS/Events {metric}", by)


def text_of(deployment: BaseDeployment, inventory: Inventory) -> Text:
    """Return the rule for texts: what the deployment file has, and the places of the stacks."""
    stacks = [resources.stack for resources in inventory.stacks.values()]
    own = (place for stack in stacks for place in (stack.account, stack.region))
    return Text(frozenset([*places(deployment.model_dump_json()), *own]))


def after_role(construct: str) -> str:
    """Return a pattern for a role with its policy: what uses a role is created when the role has its permissions."""
    return f"{construct}(DefaultPolicy)?"


def after_provider(construct: str) -> str:
    """Return a pattern for the log groups of a provider's functions, which Lambda would create at the first call."""
    return rf"{construct}Provider(framework\w+|waiterstatemachine)LogGroup"


def _metric(metric: str, dimensions: Mapping[str, str]) -> dict[str, Any]:
    namespace, name = metric.split()
    by = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    return {"Namespace": namespace, "MetricName": name, "Dimensions": by}


def any_principal(actions: str = "*", *resources: str, **conditions: str) -> Permission:
    """Return a grant to all principals, for VPC endpoints. Conditions are keys of `aws:`, each with its value."""
    when = {f"aws:{key}": (value,) for key, value in conditions.items()}
    return grant(AnyPrincipal(), actions, *(resources or ("*",)), when=when)

"""The parts of the statement of intent that several stacks share: resources with their properties and permissions."""

import re
import shlex
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from access.inventory import Inventory
from access.table import Expected, Free, Json, Lifecycle
from access.template import Resources, UnresolvedError
from access.terms import (
    ECR_LOGIN,
    ECR_PULL,
    ECR_PUSH,
    LAMBDA,
    LOG,
    LOG_ANYWHERE,
    LOG_DELIVERY,
    TRACE,
    Account,
    AnyPrincipal,
    Conditions,
    Grant,
    Intent,
    NamedRole,
    Permission,
    Principal,
    ResourceIntent,
    Service,
    arn,
    asset_bucket,
    log_group,
)
from stacks.deployment import BaseDeployment
from stacks.deployment.names import Place, Resource
from stacks.deployment.regions import dns_suffix

TOPIC_ACTIONS = tuple(
    f"sns:{action}"
    for action in (
        *("Publish", "Subscribe", "AddPermission", "RemovePermission"),
        *("GetTopicAttributes", "SetTopicAttributes", "DeleteTopic", "ListSubscriptionsByTopic"),
    )
)
RETAINED = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
DELETED = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}
ANYWHERE = [{"CidrIp": "0.0.0.0/0", "Description": Free("shown to people only"), "IpProtocol": "-1"}]
"""Rules of a security group that allow all outbound connections."""
_BASIC = "service-role/AWSLambdaBasicExecutionRole"
_AUTO_DELETE = "CustomS3AutoDeleteObjectsCustomResourceProvider"


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
        boundary: str | None = None,
    ) -> None:
        if name not in inventory.stacks:
            raise UnresolvedError(f"{name}: the stack is missing")
        self.name, self.account, self.region = name, place.account, place.region
        self.resources: Resources = inventory.stacks[name]
        stack = self.resources.stack
        if (stack.account, stack.region) != (place.account, place.region):
            raise UnresolvedError(
                f"{name}: is in {stack.account} {stack.region}, not in {place.account} {place.region}"
            )
        self.intent, self._deployment, self._boundary = intent, deployment, boundary
        self.partition = place.partition
        self.stateful = DELETED if deployment.ephemeral else RETAINED
        self._expected = intent.resources.setdefault(name, {})

    def add(self, construct: str, kind: str, *, removal: Mapping[str, str] | None = None, **given: Any) -> None:
        """Add a resource. Given properties that are None are absent."""
        assert construct not in self._expected, f"{self.name}: {construct} is added twice"
        present = {name: value for name, value in given.items() if value is not None}
        self._expected[construct] = Expected(kind, present, removal or {})

    def find(self, pattern: str) -> str:
        """Return the one construct whose path matches a pattern, for paths that contain a hash."""
        found = [construct for construct in self.resources.by_construct if re.fullmatch(pattern, construct)]
        if len(found) != 1:
            raise UnresolvedError(f"{self.name}: the template has {len(found)} resources {pattern}, not 1")
        return found[0]

    def ref(self, construct: str) -> str:
        """Return the value of CloudFormation's `Ref` of a construct."""
        return str(self.resources.resolve({"Ref": self.resources.logical(construct)}, construct))

    def att(self, construct: str, attribute: str = "Arn") -> str:
        """Return an attribute of a construct, by default its ARN."""
        return str(self.resources.resolve({"Fn::GetAtt": [self.resources.logical(construct), attribute]}, construct))

    def arn(self, service: str, resource: str) -> str:
        """Return an ARN in the stack's account and Region."""
        return arn(service, self.region, self.account, resource)

    def asset(self, pattern: str, sha256: str | None = None) -> str:
        """Return the key, in CDK's bucket, of the one asset whose construct path matches a pattern.

        With `sha256`, the asset must be a file with this content.
        """
        found = [
            key
            for key, asset in self.resources.stack.assets.items()
            if re.fullmatch(pattern, asset.construct) and sha256 in (None, asset.sha256)
        ]
        if len(found) != 1:
            raise UnresolvedError(f"{self.name}: the assembly has {len(found)} assets {pattern}, not 1")
        return found[0]

    @property
    def assets(self) -> str:
        """The name of CDK's bucket."""
        return asset_bucket(self.region, self.account)

    # Roles -----------------------------------------------------------------------------------------------------------

    def role(
        self,
        construct: str,
        trusted: Principal,
        *,
        name: str | None = None,
        actions: tuple[str, ...] = ("sts:AssumeRole",),
        managed: Iterable[str] = (),
        policy: bool = True,
    ) -> str:
        """Add a role that a principal may assume, and return its ARN. Without `policy`, it has no policy of its own."""
        self.add(
            construct,
            "AWS::IAM::Role",
            RoleName=name,
            ManagedPolicyArns=list(managed) or None,
            PermissionsBoundary=self._boundary,
        )
        if policy:
            self.add(f"{construct}DefaultPolicy", "AWS::IAM::Policy")
        role = self.att(construct)
        self.intent.add(ResourceIntent("role", role, self.account, (Grant(trusted, actions, (role,)),)))
        self.intent.role_permissions[role] = ()
        return role

    def service_role(self, construct: str, service: str, **options: Any) -> str:
        """Add a role that a service may assume for this account."""
        return self.role(construct, Service(f"{service}.amazonaws.com", account=self.account), **options)

    # Resources with a policy -----------------------------------------------------------------------------------------

    def bucket(
        self,
        construct: str,
        name: str,
        *,
        key: str | None = None,
        days: int | None,
        versioned: bool = False,
        grants: Iterable[Grant] = (),
        **given: Any,
    ) -> str:
        """Add a private bucket, encrypted with a key of the stack, or with S3's. Return its ARN."""
        by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.att(key)} if key else {"SSEAlgorithm": "AES256"}
        encryption = {"ServerSideEncryptionByDefault": by_default, **({"BucketKeyEnabled": True} if key else {})}
        self.add(
            construct,
            "AWS::S3::Bucket",
            removal=self.stateful,
            BucketName=name,
            BucketEncryption={"ServerSideEncryptionConfiguration": [encryption]},
            LifecycleConfiguration=Lifecycle(days),
            VersioningConfiguration={"Status": "Enabled"} if versioned else None,
            **given,
        )
        self.add(f"{construct}Policy", "AWS::S3::BucketPolicy")
        bucket = self.att(construct)
        emptied = self._auto_delete(construct, bucket) if self._deployment.ephemeral else ()
        self.intent.add(ResourceIntent("bucket", bucket, self.account, (*grants, *emptied), tls_actions=("s3:*",)))
        return bucket

    def _auto_delete(self, construct: str, bucket: str) -> tuple[Grant]:
        """Add CDK's function that empties an ephemeral stack's bucket on deletion. Return the grant to the function."""
        handler = f"{_AUTO_DELETE}Handler"
        if handler not in self._expected:
            managed = f"arn:{self.partition}:iam::aws:policy/{_BASIC}"
            role = self.role(f"{_AUTO_DELETE}Role", LAMBDA, managed=[managed], policy=False)
            self.intent.allow(role, LOG_ANYWHERE)
            self.add(f"{handler}Logs", "AWS::Logs::LogGroup", removal=DELETED, RetentionInDays=self._log_days)
            self.add(
                handler,
                "AWS::Lambda::Function",
                Code={"S3Bucket": self.assets, "S3Key": self.asset(rf"\w*{_AUTO_DELETE}Code")},
                Handler="index.handler",
                LoggingConfig={"LogGroup": self.ref(f"{handler}Logs")},
                Role=role,
            )
            self.intent.add(ResourceIntent("function", self.att(handler), self.account))
        self.add(
            f"{construct}AutoDeleteObjectsCustomResource",
            "Custom::S3AutoDeleteObjects",
            removal=DELETED,
            ServiceToken=self.att(handler),
            BucketName=self.ref(construct),
        )
        actions = ("s3:PutBucketPolicy", "s3:GetBucket*", "s3:List*", "s3:DeleteObject*")
        return (Grant(NamedRole(self.att(f"{_AUTO_DELETE}Role")), actions, (bucket, f"{bucket}/*")),)

    def key(self, construct: str, *grants: Grant, removal: Mapping[str, str] | None = None) -> str:
        """Add a KMS key and return its ARN. Its policy leaves the decision about the account to the account's own."""
        self.add(construct, "AWS::KMS::Key", removal=removal or self.stateful)
        key = self.att(construct)
        owner = Grant(Account(self.account), ("kms:*",), (key,))
        self.intent.add(ResourceIntent("key", key, self.account, (owner, *grants)))
        return key

    def queue(self, construct: str, queue: Resource, *grants: Grant, days: int, **given: Any) -> str:
        """Add a queue and return its ARN."""
        self.add(
            construct,
            "AWS::SQS::Queue",
            removal=self.stateful,
            QueueName=queue.name,
            FifoQueue=queue.name.endswith(".fifo") or None,
            MessageRetentionPeriod=days * 86_400,
            **given,
        )
        self.add(f"{construct}Policy", "AWS::SQS::QueuePolicy")
        self.intent.add(ResourceIntent("queue", queue.arn, self.account, grants, tls_actions=("sqs:*",)))
        return queue.arn

    def endpoint(self, construct: str, *grants: Grant, **given: Any) -> None:
        """Add a VPC endpoint."""
        self.add(construct, "AWS::EC2::VPCEndpoint", **given)
        self.intent.add(
            ResourceIntent("endpoint", self.resources.arn(self.resources.logical(construct)), self.account, grants)
        )

    # Functions -------------------------------------------------------------------------------------------------------

    def function(
        self,
        construct: str,
        function: Resource,
        package: str,
        *grants: Grant,
        role_name: str | None = None,
        environment: Mapping[str, Any] | None = None,
        on_failure: str | None = None,
        concurrency: int | None = None,
    ) -> str:
        """Add a function with its role, log group and traces. Return the role's ARN."""
        role = self.role(f"{construct}Role", LAMBDA, name=role_name)
        self.log_group(f"{construct}Logs", f"/aws/lambda/{function.name}")
        self.add(
            construct,
            "AWS::Lambda::Function",
            Architectures=["arm64"],
            Code={"S3Bucket": self.assets, "S3Key": self.asset(f"{construct}Code")},
            Environment={
                "Variables": {
                    "POWERTOOLS_SERVICE_NAME": function.name,
                    "POWERTOOLS_METRICS_NAMESPACE": "coatcheck",
                    **(environment or {}),
                }
            },
            FunctionName=function.name,
            Handler=f"{package}.handler.handler",
            LoggingConfig={"LogGroup": self.ref(f"{construct}Logs")},
            ReservedConcurrentExecutions=concurrency,
            Role=role,
            TracingConfig={"Mode": "Active"},
        )
        if on_failure:
            self.add(
                f"{construct}EventInvokeConfig",
                "AWS::Lambda::EventInvokeConfig",
                DestinationConfig={"OnFailure": {"Destination": self.att(on_failure)}},
                FunctionName=function.name,
            )
        self.intent.add(ResourceIntent("function", function.arn, self.account, grants))
        self.intent.allow(
            role, Permission(LOG, (log_group(self.region, self.account, f"/aws/lambda/{function.name}"),)), TRACE
        )
        return role

    @property
    def _log_days(self) -> int:
        return self._deployment.operations.log_retention_days

    def log_group(self, construct: str, name: Any = None, removal: Mapping[str, str] = DELETED) -> None:
        """Add a log group."""
        self.add(construct, "AWS::Logs::LogGroup", removal=removal, LogGroupName=name, RetentionInDays=self._log_days)

    def async_provider(self, provider: str, function: str) -> None:
        """Add CDK's provider: three functions and a state machine that invoke the function until it is done."""
        called = self.att(function)
        framework, waiter = f"{provider}framework", f"{provider}waiterstatemachine"
        environment = {"USER_ON_EVENT_FUNCTION_ARN": called, "USER_IS_COMPLETE_FUNCTION_ARN": called}
        for name in ("onEvent", "isComplete", "onTimeout"):
            construct = f"{framework}{name}"
            managed = f"arn:{self.partition}:iam::aws:policy/{_BASIC}"
            role = self.role(f"{construct}ServiceRole", LAMBDA, managed=[managed])
            self.log_group(f"{construct}LogGroup", f"/aws/lambda/{self.ref(construct)}")
            started = {"WAITER_STATE_MACHINE_ARN": self.ref(waiter)} if name == "onEvent" else {}
            self.add(
                construct,
                "AWS::Lambda::Function",
                Code={"S3Bucket": self.assets, "S3Key": self.asset(r"\w*Providerframeworkon\w+Code")},
                Environment={"Variables": {**environment, **started}},
                Handler=f"framework.{name}",
                LoggingConfig={"ApplicationLogLevel": "FATAL", "LogFormat": "JSON"},
                Role=role,
            )
            self.intent.add(ResourceIntent("function", self.att(construct), self.account))
            self.intent.allow(
                role,
                LOG_ANYWHERE,
                Permission(("lambda:InvokeFunction",), (called, f"{called}:*")),
                Permission(("lambda:GetFunction",), (called,)),
                *([Permission(("states:StartExecution",), (self.ref(waiter),))] if started else ()),
            )
        role = self.service_role(f"{waiter}Role", "states")
        invoked = [self.att(f"{framework}{name}") for name in ("isComplete", "onTimeout")]
        retry = Free("pauses between two attempts", list)
        states = {
            "framework-isComplete-task": {
                "End": True,
                "Retry": retry,
                "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "framework-onTimeout-task"}],
                "Type": "Task",
                "Resource": invoked[0],
            },
            "framework-onTimeout-task": {"End": True, "Type": "Task", "Resource": invoked[1]},
        }
        name = re.escape(f"/aws/vendedlogs/states/waiter-state-machine-{self.ref(f'{framework}isComplete')}-")
        logs = Free("a hash of the construct's path is a part of the name", pattern=rf"{name}[0-9a-f]{{42}}")
        self.log_group(f"{waiter}LogGroup", logs)
        self.state_machine(
            waiter, f"{waiter}LogGroup", role, Json({"StartAt": "framework-isComplete-task", "States": states})
        )
        self.intent.allow(
            role,
            Permission(("lambda:InvokeFunction",), (*invoked, *(f"{function}:*" for function in invoked))),
            Permission((*LOG_DELIVERY, *LOG), ("*",)),
        )

    def state_machine(self, construct: str, logs: str, role: str, definition: Any, **given: Any) -> None:
        """Add a state machine that writes its events, without their data, to a log group of the stack."""
        self.add(
            construct,
            "AWS::StepFunctions::StateMachine",
            DefinitionString=definition,
            RoleArn=role,
            LoggingConfiguration={
                "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": self.att(logs)}}],
                "IncludeExecutionData": False,
                "Level": "ALL",
            },
            **given,
        )

    # Events ----------------------------------------------------------------------------------------------------------

    def rule(
        self, construct: str, pattern: Mapping[str, Any], target: Mapping[str, Any], bus: str | None = None
    ) -> str:
        """Add a rule with one target and return its ARN. Without `bus`, it is on the account's default bus."""
        self.add(
            construct,
            "AWS::Events::Rule",
            EventBusName=bus,
            EventPattern=pattern,
            Targets=[{"Id": Free("the target's name in the rule"), **target}],
        )
        return self.att(construct)

    def invoking_rule(
        self, construct: str, pattern: Mapping[str, Any], function: str, dead_letters: str, bus: str | None = None
    ) -> str:
        """Add a rule that invokes a function, and sends events that it cannot deliver to a queue. Return its ARN."""
        rule = self.rule(
            construct, pattern, {"Arn": self.att(function), "DeadLetterConfig": {"Arn": self.att(dead_letters)}}, bus
        )
        stack = re.sub(r"[^A-Za-z0-9]", "", self.name)
        self.add(self.find(rf"{construct}AllowEventRule{stack}{function}[0-9A-F]{{8}}"), "AWS::Lambda::Permission")
        return rule

    # Images ----------------------------------------------------------------------------------------------------------

    def repository(self, construct: str, repository: Resource, key: str | None = None) -> None:
        """Add an image repository."""
        self.add(
            construct,
            "AWS::ECR::Repository",
            removal=self.stateful,
            RepositoryName=repository.name,
            EncryptionConfiguration={"EncryptionType": "KMS", "KmsKey": self.att(key)} if key else None,
        )
        self.intent.add(ResourceIntent("repository", repository.arn, self.account))

    def image_builder(self, construct: str, function: Resource, builds: Iterable[tuple[str, str]]) -> None:
        """Add the function that starts builds, given as pairs of the build and its repository."""
        role = self.function(f"{construct}Build", function, "image_build")
        projects = tuple(self.att(f"{build}Project") for build, _ in builds)
        self.intent.allow(
            role,
            Permission(("codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds"), projects),
            Permission(("codebuild:ListBuildsForProject",), projects),
            Permission(("ecr:DescribeImages",), tuple(self.att(repository) for _, repository in builds)),
            Permission(("logs:GetLogEvents",), tuple(self.att(f"{build}Logs") for build, _ in builds)),
        )
        self.async_provider(f"{construct}Provider", f"{construct}Build")

    def image_build(
        self,
        construct: str,
        repository: str,
        builder: str,
        *,
        contexts: str,
        options: Iterable[str],
        arguments: Mapping[str, str] | None = None,
        refusal: str = "",
        target: str = "image",
        key: str | None = None,
        machine: str = "LINUX_CONTAINER",
        build_image: str = r"aws/codebuild/amazonlinux-x86_64-standard:[0-9.]+",
    ) -> None:
        """Add a CodeBuild project that builds an image from CDK's bucket into one repository, and its role.

        Args:
            construct: The construct.
            repository: The construct of the repository.
            builder: The construct of the function that starts builds.
            contexts: Pattern for the construct path of the asset with the Dockerfile.
            options: Options of `docker build`.
            arguments: Values of the Dockerfile's build arguments.
            refusal: The text with which the build fails. Empty: it does not.
            target: The stage, with which tags begin.
            key: The construct of the key of the build's output.
            machine: CodeBuild's kind of machine.
            build_image: Pattern for the image in which CodeBuild runs the commands.
        """
        self.log_group(f"{construct}Logs")
        role = self.service_role(f"{construct}Role", "codebuild")
        name, uri = self.ref(repository), self.image_uri(repository)
        build_args = [text for pair in sorted((arguments or {}).items()) for text in ("--build-arg", "=".join(pair))]
        build = shlex.join(["docker", "build", "--provenance=false", "--sbom=false", *options, *build_args])
        steps = [
            'aws ecr get-login-password | docker login --username AWS --password-stdin "${REPOSITORY%%/*}"',
            f'{build} --tag "$REPOSITORY:$TAG" .',
            'docker push "$REPOSITORY:$TAG"',
        ]
        if refusal:
            steps = [f"echo {shlex.quote(refusal)}", "false"]
        find = 'aws ecr describe-images --repository-name "$REPOSITORY_NAME" --image-ids imageTag="$TAG"'
        commands = [f"{find} || {{ {' && '.join(steps)}; }}"]
        variables = {"REPOSITORY": uri, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1", "REPOSITORY_NAME": name}
        self.add(
            f"{construct}Project",
            "AWS::CodeBuild::Project",
            EncryptionKey=self.att(key) if key else "alias/aws/s3",
            Environment={
                "ComputeType": Free("the size of the machine"),
                "EnvironmentVariables": [
                    {"Name": name, "Type": "PLAINTEXT", "Value": value} for name, value in variables.items()
                ],
                "Image": Free("a version of AWS's build image", pattern=build_image),
                "ImagePullCredentialsType": "CODEBUILD",
                "PrivilegedMode": True,
                "Type": machine,
            },
            LogsConfig={"CloudWatchLogs": {"GroupName": self.ref(f"{construct}Logs"), "Status": "ENABLED"}},
            ServiceRole=role,
            Source={
                "BuildSpec": Json(
                    {"version": "0.2", "phases": {"build": {"on-failure": "ABORT", "commands": commands}}}
                ),
                "Type": "NO_SOURCE",
            },
        )
        self.add(
            f"{construct}Image",
            "Custom::ContainerImage",
            removal=DELETED,
            ServiceToken=self.att(f"{builder}ProviderframeworkonEvent"),
            Project=self.ref(f"{construct}Project"),
            Repository=name,
            Tag=Free("a hash of the build's source", pattern=rf"{target}-[0-9a-f]{{32}}"),
            Source=f"{self.assets}/{self.asset(contexts)}",
        )
        context_bucket = f"arn:{self.partition}:s3:::{self.assets}"
        self.intent.allow(
            role,
            Permission(("s3:GetObject", "s3:GetObjectVersion"), (f"{context_bucket}/*",)),
            Permission(("s3:GetBucketLocation",), (context_bucket,)),
            Permission(LOG, (self.att(f"{construct}Logs"),)),
            Permission((*ECR_PULL, *ECR_PUSH, "ecr:DescribeImages"), (self.att(repository),)),
            ECR_LOGIN,
        )
        if key:
            use = ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey")
            self.intent.allow(role, Permission(use, (self.att(key),)))

    def image_uri(self, repository: str, build: str | None = None) -> str:
        """Return the address of a repository, or of a build's image by its digest."""
        uri = f"{self.account}.dkr.ecr.{self.region}.{dns_suffix(self.region)}/{self.ref(repository)}"
        return f"{uri}@{self.att(f'{build}Image', 'Digest')}" if build else uri

    # Networks --------------------------------------------------------------------------------------------------------

    def vpc(self, network: str, kind: str, zones: Mapping[str, str], *s3: Grant, policy: Any = None) -> None:
        """Add a VPC with subnets of a kind (`Public` or `Private`), by zone, and its gateway endpoint for S3."""
        vpc = f"{network}Vpc"
        self.add(vpc, "AWS::EC2::VPC")
        subnets = [f"{vpc}{kind}Subnet{number}" for number, _ in enumerate(zones, start=1)]
        for subnet, (zone, cidr) in zip(subnets, zones.items(), strict=True):
            self.add(f"{subnet}Subnet", "AWS::EC2::Subnet", AvailabilityZone=zone, CidrBlock=cidr, VpcId=self.ref(vpc))
            table: dict[str, Any] = {"RouteTableId": self.ref(f"{subnet}RouteTable")}
            self.add(f"{subnet}RouteTable", "AWS::EC2::RouteTable", VpcId=self.ref(vpc))
            self.add(
                f"{subnet}RouteTableAssociation",
                "AWS::EC2::SubnetRouteTableAssociation",
                SubnetId=self.ref(f"{subnet}Subnet"),
                **table,
            )
            if kind == "Public":
                self.add(f"{subnet}DefaultRoute", "AWS::EC2::Route", GatewayId=self.ref(f"{vpc}IGW"), **table)
        if kind == "Public":
            self.add(f"{vpc}IGW", "AWS::EC2::InternetGateway")
            attached: dict[str, Any] = {"InternetGatewayId": self.ref(f"{vpc}IGW"), "VpcId": self.ref(vpc)}
            self.add(f"{vpc}VPCGW", "AWS::EC2::VPCGatewayAttachment", **attached)
        self.endpoint(
            f"{vpc}S3",
            *s3,
            PolicyDocument=policy,
            RouteTableIds=[self.ref(f"{subnet}RouteTable") for subnet in subnets],
            ServiceName=f"com.amazonaws.{self.region}.s3",
            VpcEndpointType="Gateway",
            VpcId=self.ref(vpc),
        )

    # Alarms ----------------------------------------------------------------------------------------------------------

    def alarms(self, emails: Iterable[str], *, dashboard: bool = True) -> None:
        """Add the alarm topic, to which only the stack's alarms publish, with its key, and the stack's dashboard."""
        name = f"{self.name}-operations"
        topic = self.arn("sns", name)
        sources = (self.arn("cloudwatch", f"alarm:{self.name}-*"),)
        alarms = Service("cloudwatch.amazonaws.com", sources=sources, account=self.account)
        key = self.att("AlarmsKey")
        self.key("AlarmsKey", Grant(alarms, ("kms:Decrypt", "kms:GenerateDataKey*"), (key,)), removal=DELETED)
        self.add("AlarmsTopic", "AWS::SNS::Topic", KmsMasterKeyId=key, TopicName=name)
        self.add("AlarmsTopicPolicy", "AWS::SNS::TopicPolicy")
        publish = Grant(alarms, ("sns:Publish",), (topic,))
        self.intent.add(ResourceIntent("topic", topic, self.account, (publish,), tls_actions=TOPIC_ACTIONS))
        for email in emails:
            construct = f"AlarmsTopic{re.sub(r'[^A-Za-z0-9]', '', email)}"
            self.add(construct, "AWS::SNS::Subscription", Protocol="email", Endpoint=email, TopicArn=topic)
        if dashboard:
            self.add("Dashboard", "AWS::CloudWatch::Dashboard", DashboardName=self.name)

    def alarm(
        self,
        name: str,
        namespace: str,
        metric: str,
        dimensions: Mapping[str, str],
        *,
        statistic: str = "Sum",
        period: int = 300,
        periods: int = 1,
        threshold: int = 1,
    ) -> None:
        """Add an alarm of the stack. It notifies the stack's alarm topic."""
        self.add(
            f"Alarms{re.sub(r'[^A-Za-z0-9]', '', name)}",
            "AWS::CloudWatch::Alarm",
            AlarmActions=[self.ref("AlarmsTopic")],
            AlarmName=f"{self.name}-{name}",
            Namespace=namespace,
            MetricName=metric,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            Statistic=statistic,
            Period=period,
            EvaluationPeriods=periods,
            Threshold=threshold,
        )

    def expression_alarm(
        self,
        name: str,
        expression: str,
        metrics: Mapping[str, tuple[str, str, str, str, str]],
        *,
        period: int = 300,
        **properties: int,
    ) -> None:
        """Add an alarm on an expression of metrics: namespace, name, dimension, its value, and statistic of each."""
        self.add(
            f"Alarms{name}",
            "AWS::CloudWatch::Alarm",
            AlarmActions=[self.ref("AlarmsTopic")],
            AlarmName=f"{self.name}-{name}",
            EvaluationPeriods=3,
            Threshold=1,
            Metrics=[
                {"Expression": expression, "Id": "expr_1", "ReturnData": True},
                *(
                    {
                        "Id": id,
                        "MetricStat": {
                            "Metric": {
                                "Dimensions": [{"Name": dimension, "Value": value}],
                                "MetricName": metric,
                                "Namespace": namespace,
                            },
                            "Period": period,
                            "Stat": statistic,
                        },
                        "ReturnData": False,
                    }
                    for id, (namespace, metric, dimension, value, statistic) in metrics.items()
                ),
            ],
            **properties,  # type: ignore[arg-type]
        )

    def queue_alarm(self, name: str, queue: str) -> None:
        """Add the alarm on messages in a dead-letter queue."""
        metric = "ApproximateNumberOfMessagesVisible"
        queue_name = {"QueueName": self.att(queue, "QueueName")}
        self.alarm(f"{name}NotEmpty", "AWS/SQS", metric, queue_name, statistic="Maximum", period=60)

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
        dimension = {"FunctionName": self.ref(function)}
        add = partial(self.alarm, namespace="AWS/Lambda", dimensions=dimension)
        add(f"{name}Fails", metric="Errors", periods=3)
        if throttled:
            add(f"{name}Throttled", metric="Throttles", periods=3)
        if asynchronous:
            add(f"{name}Late", metric="AsyncEventAge", statistic="Maximum", threshold=3_600_000)
            add(f"{name}Lost", metric="DestinationDeliveryFailures")
        for error in errors:
            self.alarm(error, "coatcheck", error, {"service": self.ref(function)})

    def rule_alarm(self, name: str, rule: str, metric: str = "FailedInvocations", bus: str | None = None) -> None:
        """Add the alarm on events that a rule could not deliver."""
        rule_name = self.att(rule).rpartition("/")[2]
        self.alarm(name, "AWS/Events", metric, {**({"EventBusName": bus} if bus else {}), "RuleName": rule_name})


def any_principal(actions: tuple[str, ...] = ("*",), resources: tuple[str, ...] = ("*",), **conditions: str) -> Grant:
    """Return a grant to all principals, for VPC endpoints. Conditions are keys of `aws:`, each with its value."""
    keys: Conditions = {f"aws:{key}": (value,) for key, value in conditions.items()}
    return Grant(AnyPrincipal(), actions, resources, keys)

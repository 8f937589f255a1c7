"""A research environment's part of the access matrix: researchers, their jobs, everybody else, at everything there is.

Researchers ask as themselves, in a session that names them; as nobody whom the deployment file knows; and with policies
wide open, which leaves what their permission boundary allows. A stranger asks too, from inside the network.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from access.inventory import Inventory, Policy
from stacks.deployment import Deployment, ResearchDeployment
from stacks.deployment.names import SHARED, USERS
from stacks.deployment.regions import partition
from stacks.deployment.research import ResearchConfig
from tests.policies.rows import NEIGHBOUR, STRANGER, WIDE_OPEN, Caller, Context, Scene, Target, person, signed
from tests.policies.terms import Account, Door, Everybody, Guard, Intent, arn, research_names, s3_endpoint

GUEST = "guest"
"""A researcher without a profile in the deployment file."""
_SERVICES = ("sagemaker", "lambda", "codebuild", "states", "scheduler", "vpc-flow-logs", "ec2", "ecs-tasks")
_OPEN: Policy = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}],
}


def research_scene(
    deployment: Deployment | ResearchDeployment, research: ResearchConfig, found: Inventory, intent: Intent
) -> Scene:
    here = _Here(deployment, research, found, intent)
    return Scene(tuple(here.callers()), tuple(here.targets()), here.requests, here.asks)


class _Here:
    def __init__(
        self, deployment: Deployment | ResearchDeployment, research: ResearchConfig, found: Inventory, intent: Intent
    ) -> None:
        self._deployment, self._research, self._found, self._intent = deployment, research, found, intent
        self._home, self._region = research.account, research.region
        self._stack = research_names(deployment).stack
        self._partition = partition(research.region)
        self._bucket = f"arn:{self._partition}:s3:::{research_names(deployment).data_bucket.name}"
        self._profiles = {
            f"{self._iam(self._home)}:role/{research_names(deployment).studio_role(user).name}": user.profile
            for user in research.users
        }
        self._subnets = next(
            job.when.get("sagemaker:VpcSubnets", ())
            for job in intent.jobs[
                f"{self._iam(self._home)}:role/{research_names(deployment).default_studio_role.name}"
            ]
            if "sagemaker:CreateProcessingJob" in job.may
        )
        self.domain = found.arn_of(self._stack, "Domain", hashed=False).rpartition("/")[2]

    # Who -------------------------------------------------------------------------------------------------------------

    def callers(self) -> Iterator[Caller]:
        organization = self._deployment.organization
        for role in self._found.roles.values():
            if role.where.startswith(f"{self._stack}/"):
                context = (
                    *signed(role.arn, role.account, organization),
                    ("aws:SourceIdentity", self._profiles.get(role.arn, GUEST)),
                )
                bounded = {
                    "bounds": role.bounds,
                    "ceiling": self._intent.boundaries.get(role.boundary, ()) if role.boundary else None,
                }
                yield Caller(
                    f"role {role.name}",
                    role.arn,
                    role.account,
                    role.policies,
                    self._intent.jobs[role.arn],
                    context,
                    **bounded,  # type: ignore[arg-type]
                )
                if role.name.startswith(research_names(self._deployment).default_studio_role.name):
                    yield Caller(
                        f"role {role.name}, its own policies wide open",
                        role.arn,
                        role.account,
                        (WIDE_OPEN,),
                        None,
                        context,
                        **bounded,  # type: ignore[arg-type]
                    )
        for account, whose in (
            (self._home, "the account"),
            (STRANGER, "a stranger's account"),
            (NEIGHBOUR, "a neighbour's account"),
        ):
            yield person(organization, account, f"{self._iam(account)}:role/Admin", f"administrator of {whose}")
        yield person(organization, self._home, f"{self._iam(self._home)}:root", "root user of the account")
        for profile in (
            f"{research_names(self._deployment).default_studio_role.name}-{each}" for each in ("ada", GUEST)
        ):
            namesake = f"{self._iam(STRANGER)}:role/{profile}"
            yield person(organization, STRANGER, namesake, f"namesake of {profile} in a stranger's account")
        yield Caller("anybody, unsigned", None, None, (), ())
        for service in _SERVICES:
            for account in (self._home, STRANGER):
                principal = f"{service}.amazonaws.com"
                yield Caller(f"{service} for {account}", principal, None, (), (), (("aws:SourceAccount", account),))
            yield Caller(f"{service} for nobody in particular", f"{service}.amazonaws.com", None, (), ())

    def asks(self, caller: Caller, target: Target) -> bool:
        """Services reach what a policy of its own lets them; the custom resources' framework, what it is made of. That
        neither may do more is the prover's to say."""
        if caller.is_service:
            return target.kind in ("role", "bucket", "key")
        if "framework" in caller.who or "waiter" in caller.who:
            return target.kind in ("function", "state machine", "key", "role's settings")
        return True

    def _session(self, caller: Caller) -> Context:
        """What SageMaker tells of the session of an app."""
        if caller.principal is None or caller.is_service:
            return {}
        profile = self._profiles.get(caller.principal, GUEST)
        return {"sagemaker:DomainId": self.domain, "sagemaker:UserProfileName": profile}

    # How -------------------------------------------------------------------------------------------------------------

    def requests(self, caller: Caller, action: str, target: Target) -> Iterator[tuple[str, Context]]:
        """The ways in which an action can be asked for."""
        mine = self._session(caller)
        profile = str(mine.get("sagemaker:UserProfileName", GUEST))
        match action:
            case "s3:ListBucket":
                own = f"{USERS}{profile}/"
                for prefix in (SHARED, own, f"{own}deep/", f"{USERS}ada/", USERS, "shared", ""):
                    yield f"below {prefix!r}", self._through(target, {"s3:prefix": prefix})
                yield "everything", self._through(target, {})
            case "kms:Decrypt" | "kms:Encrypt" | "kms:GenerateDataKey":
                yield "through S3", {"kms:ViaService": s3_endpoint(self._region)}
                yield "through S3 of another Region", {"kms:ViaService": "s3.ap-south-1.amazonaws.com"}
                yield "through another service", {"kms:ViaService": f"sqs.{self._region}.amazonaws.com"}
                yield "directly", {}
            case "kms:CreateGrant":
                yield "for a service", {"kms:GrantIsForAWSResource": "true"}
                yield "for anybody", {"kms:GrantIsForAWSResource": "false"}
                yield "plainly", {}
            case "iam:PassRole":
                for service in ("sagemaker", "lambda", "ec2", "codebuild", "ecs-tasks"):
                    yield f"to {service}", {"iam:PassedToService": f"{service}.amazonaws.com"}
            case "sagemaker:CreateSpace" | "sagemaker:DeleteSpace" | "sagemaker:CreateApp" | "sagemaker:DeleteApp":
                yield from self._of_spaces(action, mine, profile)
            case "sagemaker:CreateProcessingJob":
                yield from self._of_jobs(mine)
            case "sagemaker:AddTags":
                yield "while making it", {**mine, "sagemaker:TaggingAction": "CreateApp"}
                yield "later", mine
            case "ec2:DeleteNetworkInterface":
                for words, subnet in (
                    ("of the network", self._subnet(0)),
                    ("of another", self._ec2("subnet/subnet-0")),
                ):
                    yield words, {"ec2:Subnet": subnet}
            case "cloudwatch:PutMetricData":
                yield "of jobs", {"cloudwatch:namespace": "/aws/sagemaker/ProcessingJobs"}
                yield "of others", {"cloudwatch:namespace": "AWS/Billing"}
            case _:
                yield "plainly", self._through(target, mine if action.startswith("sagemaker:") else {})

    def _through(self, target: Target, context: Context) -> Context:
        return {**context, "aws:ResourceAccount": target.account} if target.through else context

    def _of_spaces(self, action: str, mine: Context, profile: str) -> Iterator[tuple[str, Context]]:
        sized = {"sagemaker:InstanceTypes": [self._research.default_instance_type]} if "CreateApp" in action else {}
        for words, owner in (("one's own", profile), ("another's", "somebody-else")):
            of = {**mine, **sized, "sagemaker:OwnerUserProfileArn": self._profile(owner)}
            for kind in ("Private", "Shared"):
                yield f"{words}, {kind.lower()}", {**of, "sagemaker:SpaceSharingType": kind}
            yield f"{words}, of no kind", of
        if action == "sagemaker:CreateApp":
            own = {
                **mine,
                "sagemaker:OwnerUserProfileArn": self._profile(profile),
                "sagemaker:SpaceSharingType": "Private",
            }
            yield "on a big machine", {**own, "sagemaker:InstanceTypes": ["ml.p4d.24xlarge"]}
            mixed = [self._research.default_instance_type, "ml.p4d.24xlarge"]
            yield "on a big machine too", {**own, "sagemaker:InstanceTypes": mixed}
            yield "on no machine", own

    def _of_jobs(self, mine: Context) -> Iterator[tuple[str, Context]]:
        inside: Context = {**mine, "sagemaker:InstanceTypes": [self._research.default_instance_type]}
        subnets = list(self._subnets) or ["subnet-1"]
        yield "inside", {**inside, "sagemaker:VpcSubnets": subnets}
        yield "outside", inside
        yield "in another network", {**inside, "sagemaker:VpcSubnets": ["subnet-of-others"]}
        yield "half in another network", {**inside, "sagemaker:VpcSubnets": [subnets[0], "subnet-of-others"]}
        big: Context = {**inside, "sagemaker:InstanceTypes": ["ml.p4d.24xlarge"], "sagemaker:VpcSubnets": subnets}
        yield "on a big machine", big

    # What ------------------------------------------------------------------------------------------------------------

    def targets(self) -> Iterator[Target]:
        for each in self._found.resource_policies.values():
            if not each.where.startswith(f"{self._stack}/") or each.kind == "endpoint":
                continue
            guard = self._intent.guards[each.arn]
            blocked = set(each.properties.get("PublicAccessBlockConfiguration", {}).values()) == {True}
            target = Target(each.kind, each.arn, each.account, guard, each.policy, block_public=blocked)
            yield replace(target, actions=_ACTIONS[each.kind])
            if each.kind == "bucket":
                yield from (replace(target, arn=f"{each.arn}/{key}", actions=_OBJECT) for key in self._keys())
            if each.kind == "role" and not re.search("framework|waiter|Build", each.arn):
                yield Target("role's settings", each.arn, each.account, None, None, actions=_ACTIONS["role's settings"])
        for thing in self._found.other_resources.values():
            if thing.where.startswith(f"{self._stack}/") and thing.kind in _ACTIONS:
                yield Target(thing.kind, thing.arn, thing.account, None, None, actions=_ACTIONS[thing.kind])
        yield from self._in_studio()
        yield from self._of_others()
        yield from self._through_endpoints()

    def _keys(self) -> Iterator[str]:
        yield "shared/one"
        for profile in ("ada", GUEST, "somebody-else"):
            yield f"users/{profile}/one"
        yield "users/ada-2/one"
        yield "sharedly/one"
        yield "one"

    def _in_studio(self) -> Iterator[Target]:
        """What is in the domain, and what is run from it."""
        for kind, resource, *verbs in (
            ("app", f"app/{self.domain}/space/JupyterLab/default", "CreateApp", "DeleteApp", "AddTags"),
            ("app", "app/d-other/space/JupyterLab/default", "CreateApp", "DeleteApp"),
            ("space", f"space/{self.domain}/mine", "CreateSpace", "DeleteSpace"),
            ("space", "space/d-other/mine", "CreateSpace", "DeleteSpace"),
            ("profile", f"user-profile/{self.domain}/ada", "CreatePresignedDomainUrl", "DeleteUserProfile"),
            ("profile", f"user-profile/{self.domain}/{GUEST}", "CreatePresignedDomainUrl", "UpdateUserProfile"),
            ("job", f"processing-job/{research_names(self._deployment).job_prefix}one", *_JOB, "AddTags"),
            ("job", "processing-job/others", *_JOB, "AddTags"),
            ("image", f"image/{self._deployment.name}-pegasus", "CreateImage", "DeleteImage"),
            ("config", f"app-image-config/{self._deployment.name}-pegasus-config", "UpdateAppImageConfig"),
            ("notebook instance", f"notebook-instance/{research_names(self._deployment).workstation}", *_NOTEBOOK),
            ("notebook instance", "notebook-instance/others", *_NOTEBOOK),
            ("model", "model/any", "CreateModel"),
        ):
            place = arn("sagemaker", self._region, self._home, resource)
            yield Target(kind, place, self._home, None, None, actions=tuple(f"sagemaker:{verb}" for verb in verbs))
        logs = arn("logs", self._region, self._home, "log-group:/aws/sagemaker/ProcessingJobs")
        for stream in (f"{research_names(self._deployment).job_prefix}one", "others"):
            place = f"{logs}:log-stream:{stream}"
            yield Target("job's log", place, self._home, None, None, actions=("logs:GetLogEvents", "logs:PutLogEvents"))
        interface = self._ec2("network-interface/eni-1")
        yield Target("interface", interface, self._home, None, None, actions=("ec2:DeleteNetworkInterface",))
        yield Target("subnet", self._subnet(0), self._home, None, None, actions=("ec2:CreateNetworkInterface",))
        other = self._ec2("subnet/subnet-0")
        yield Target("subnet", other, self._home, None, None, actions=("ec2:CreateNetworkInterface",))

    def _of_others(self) -> Iterator[Target]:
        """What is not the deployment's, in the account and in another."""
        for account in (self._home, STRANGER):
            key = arn("kms", self._region, account, "key/of-others")
            default = {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"AWS": f"{self._iam(account)}:root"},
                        "Action": "kms:*",
                        "Resource": "*",
                    }
                ],
            }
            left = Door("left to the account", Account(account), ("kms:*",), (key,))
            yield Target("key", key, account, Guard("key", key, account, (left,)), default, actions=_ACTIONS["key"])
            role = f"{self._iam(account)}:role/Admin"
            yield Target("role's settings", role, account, None, None, actions=_ACTIONS["role's settings"])
            image = arn("ecr", self._region, account, "repository/of-others")
            yield Target(
                "repository", image, account, Guard("repository", image, account), None, actions=("ecr:PutImage",)
            )
        readable = [(bucket, STRANGER) for bucket in self._research.readable_buckets]
        for name, account in (("of-others", self._home), ("of-a-stranger", STRANGER), *readable):
            bucket = f"arn:{self._partition}:s3:::{name}"
            # The stranger's takes anything from anybody: then the caller's own policies are all that decide.
            doors = (Door("anybody", Everybody(), ("s3:*",), ("*",)),) if account == STRANGER else ()
            policy = _OPEN if account == STRANGER else None
            guard = Guard("object", f"{bucket}/shared/one", account, doors)
            yield Target("object", guard.arn, account, guard, policy, block_public=False, actions=_GET_PUT)

    def _through_endpoints(self) -> Iterator[Target]:
        """The same from inside the network, where what goes out has to pass an endpoint."""
        places: list[tuple[str, str, Guard | None, Policy | None, Iterable[str]]] = []
        own, bucket = self._found.resource_policies[self._bucket], f"arn:{self._partition}:s3:::of-a-stranger"
        anybody = Guard("object", f"{bucket}/one", STRANGER, (Door("anybody", Everybody(), ("s3:*",), ("*",)),))
        places.append((f"{own.arn}/shared/one", self._home, self._intent.guards[own.arn], own.policy, _GET_PUT))
        places.append((anybody.arn, STRANGER, anybody, _OPEN, _GET_PUT))
        endpoints = {
            each.where.removeprefix(f"{self._stack}/Network")[:-8]: each
            for each in self._found.of_kind("endpoint")
            if each.where.startswith(f"{self._stack}/")
        }
        for endpoint, actions in (
            ("SageMakerApi", ("sagemaker:CreateModel",)),
            ("Logs", ("logs:PutLogEvents",)),
        ):
            service = actions[0].partition(":")[0]
            resource = "model/any" if service == "sagemaker" else "log-group:any:log-stream:any"
            for account in (self._home, STRANGER):
                place = arn(service, self._region, account, resource)
                if passing := endpoints.get(endpoint):
                    yield Target(
                        "elsewhere",
                        place,
                        account,
                        None,
                        None,
                        actions=actions,
                        through=self._intent.guards[passing.arn],
                        through_policy=passing.policy,
                    )
        if passing := endpoints.get("VpcS3"):
            for place, account, guard, policy, what in places:
                yield Target(
                    "object",
                    place,
                    account,
                    guard,
                    policy,
                    block_public=account == self._home,
                    actions=tuple(what),
                    through=self._intent.guards[passing.arn],
                    through_policy=passing.policy,
                )

    # Names -----------------------------------------------------------------------------------------------------------

    def _iam(self, account: str) -> str:
        return f"arn:{self._partition}:iam::{account}"

    def _ec2(self, resource: str) -> str:
        return arn("ec2", self._region, self._home, resource)

    def _subnet(self, number: int) -> str:
        return self._ec2(f"subnet/{self._subnets[number] if self._subnets else 'subnet-1'}")

    def _profile(self, name: str) -> str:
        return arn("sagemaker", self._region, self._home, f"user-profile/{self.domain}/{name}")


_GET_PUT = ("s3:GetObject", "s3:PutObject")
_JOB = ("CreateProcessingJob", "DescribeProcessingJob", "StopProcessingJob")
_NOTEBOOK = ("StopNotebookInstance", "CreatePresignedNotebookInstanceUrl")
_OBJECT = ("s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:PutObjectAcl", "s3:DeleteObject")
_ACTIONS: dict[str, tuple[str, ...]] = {
    "bucket": ("s3:ListBucket", "s3:GetBucketLocation", "s3:PutBucketPolicy", "s3:DeleteBucket"),
    "key": (
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "kms:Encrypt",
        "kms:DescribeKey",
        "kms:CreateGrant",
        "kms:PutKeyPolicy",
    ),
    "repository": ("ecr:BatchGetImage", "ecr:PutImage", "ecr:DescribeImages", "ecr:SetRepositoryPolicy"),
    "function": ("lambda:InvokeFunction", "lambda:UpdateFunctionCode"),
    "role": ("sts:AssumeRole", "sts:SetSourceIdentity"),
    "role's settings": ("iam:PassRole", "iam:PutRolePolicy", "iam:DeleteRolePermissionsBoundary"),
    "state machine": ("states:StartExecution",),
    "build project": ("codebuild:StartBuild", "codebuild:UpdateProject"),
    "log group": ("logs:CreateLogStream", "logs:GetLogEvents"),
    "domain": ("sagemaker:DescribeDomain", "sagemaker:UpdateDomain", "sagemaker:DeleteDomain"),
}

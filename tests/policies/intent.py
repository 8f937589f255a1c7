"""The statement of intent: who may do what, for any deployment. What is not said here is refused.

Written from the contract between accounts, not from the templates. Both engines take their expectations from it: the
access matrix asks it about one request at a time (`matrix.py`), the prover about all requests at once (`prover.py`).

It says two things. Of everything with a policy of its own (`Guard`): which doors are open, to whom and when. Of every
role (`May`): what it is for. The words are those of `terms.py`; a research environment's part is `research_intent.py`.
"""

import json
from collections.abc import Iterator

from access.inventory import Inventory
from stacks.deployment import (
    Deployment,
    FunctionSubscriberConfig,
    HttpsSubscriberConfig,
    LambdaSubscriberConfig,
    ResearchDeployment,
    SenderConfig,
    SqsSubscriberConfig,
    SubscriberConfig,
)
from stacks.deployment.regions import partition
from stacks.deployment.research import ResearchConfig
from stacks.deployment.state_machine import as_list, fill_placeholders
from tests.policies.research_intent import boundary, research
from tests.policies.terms import (
    KEY_UPLOAD,
    KEY_USE,
    LOG,
    PULL,
    S3_DELETE,
    S3_READ,
    S3_UPLOAD,
    S3_WRITE,
    SIGN_ON_TO_REGISTRY,
    SQS_SEND,
    SQS_TAKE,
    TRACE,
    Account,
    Door,
    Everybody,
    Guard,
    Intent,
    May,
    Party,
    Roles,
    Service,
    When,
    arn,
    assets,
    builds,
    built,
    emptied,
    log_group,
    names_of,
    our_function,
    payload_bucket,
    research_names,
    run_by,
    s3_endpoint,
    subscriber_names,
    waiting_provider,
    with_emptying,
)


def intent(deployment: Deployment | ResearchDeployment, found: Inventory) -> Intent:
    """What is meant. `found` is asked only for ARNs that CloudFormation makes up."""
    guards: list[Guard] = []
    jobs: dict[str, tuple[May, ...]] = {}
    for more_guards, more_jobs in _parties(deployment, found):
        guards += more_guards
        jobs |= more_jobs
    boundaries = {}
    if deployment.research and deployment.research.permissions_boundary:
        boundaries[deployment.research.permissions_boundary] = boundary(deployment, deployment.research)
    return Intent({guard.arn: guard for guard in guards}, jobs, boundaries)


def _parties(deployment: Deployment | ResearchDeployment, found: Inventory) -> Iterator[Party]:
    if isinstance(deployment, Deployment):
        yield _publisher(deployment, found)
        for region in deployment.publisher.replicas:
            yield _replica(deployment, region, found)
        for sender in deployment.senders:
            yield _sender(deployment, sender)
        for subscriber in deployment.subscribers:
            yield _subscriber(deployment, subscriber, found)
        for stack, region, account in _watched(deployment):
            yield _operations(found, stack, region, account), {}
    if deployment.research:
        yield research(deployment, deployment.research, found)


TOPIC_OVER_TLS = tuple(
    f"sns:{action}"
    for action in (
        *("Publish", "Subscribe", "AddPermission", "RemovePermission"),
        *("GetTopicAttributes", "SetTopicAttributes", "DeleteTopic", "ListSubscriptionsByTopic"),
    )
)


# The publisher's account ---------------------------------------------------------------------------------------------


def _publisher(deployment: Deployment, found: Inventory) -> Party:
    home, stack = deployment.publisher.account, names_of(deployment).publisher.stack
    region = deployment.publisher.region
    bucket, topic = names_of(deployment).publisher.payload_bucket.bucket.arn, names_of(deployment).publisher.topic.arn
    key = found.arn_of(stack, "Key")
    rules = (found.arn_of(stack, "EventBusRule"), found.arn_of(stack, "OutboxRule"))
    dead_letters = arn("sqs", region, home, names_of(deployment).publisher.dead_letter_queue.name)
    function = arn("lambda", region, home, f"function:{names_of(deployment).publisher.publish_function.name}")
    publish_role, publisher_role = found.arn_of(stack, "PublishRole"), names_of(deployment).publisher.role.arn

    guards = [
        Guard(
            "bucket",
            bucket,
            home,
            (
                *(_reads(deployment, s) for s in deployment.subscribers),
                *(_uploads(deployment, s) for s in deployment.senders),
                *emptied(deployment, found, stack, bucket),
            ),
            over_tls=("s3:*",),
        ),
        Guard(
            "key",
            key,
            home,
            (
                Door("left to the account's own policies", Account(home), ("kms:*",), (key,)),
                *(_decrypts(deployment, s, key) for s in deployment.subscribers),
                *(_encrypts(deployment, s, key) for s in deployment.senders),
            ),
        ),
        Guard(
            "topic",
            topic,
            home,
            tuple(_subscribes(deployment, s) for s in deployment.subscribers),
            over_tls=TOPIC_OVER_TLS,
            only=(("sns:Subscribe", "sns:Endpoint", tuple(endpoint(deployment, s) for s in deployment.subscribers)),),
        ),
        Guard(
            "bus",
            names_of(deployment).publisher.event_bus.arn,
            home,
            tuple(
                Door(
                    "puts events",
                    Account(account),
                    ("events:PutEvents",),
                    (names_of(deployment).publisher.event_bus.arn,),
                    {"aws:SecureTransport": ("true",), **_in_organization(deployment)},
                )
                for account in sorted({sender.account for sender in deployment.senders})
            ),
        ),
        Guard(
            "queue",
            dead_letters,
            home,
            (Door("keeps what a rule could not deliver", _events(rules), ("sqs:SendMessage",), (dead_letters,)),),
            over_tls=("sqs:*",),
        ),
        Guard(
            "function",
            function,
            home,
            (Door("is invoked by the rules", _events(rules), ("lambda:InvokeFunction",), (function,)),),
        ),
        run_by(publish_role, home, Service("lambda.amazonaws.com")),
        run_by(publisher_role, home, Account(home)),
    ]
    publishes = (
        May(("sns:Publish",), (topic,)),
        May(S3_WRITE, (f"{bucket}/payloads/*",)),
        May(S3_READ, (bucket, f"{bucket}/payloads/*")),
        May(KEY_USE, (key,)),
    )
    jobs = {
        publish_role: (
            *publishes,
            May((*S3_READ, *S3_DELETE), (f"{bucket}/outbox/*",)),
            May(SQS_SEND, (dead_letters,)),
            May(LOG, (log_group(region, home, f"/aws/lambda/{names_of(deployment).publisher.publish_function.name}"),)),
            TRACE,
        ),
        publisher_role: (
            *publishes,
            # Not its versions: what SNS refused is taken back, what was published is not destroyed.
            May(("s3:DeleteObject",), (f"{bucket}/payloads/*",)),
            May(S3_WRITE, (f"{bucket}/outbox/*",)),
        ),
    }
    if deployment.publisher.replicas:
        role = found.arn_of(stack, "ReplicationRole")
        guards.append(run_by(role, home, Service("s3.amazonaws.com")))
        jobs[role] = tuple(_replicates(deployment, key))
    return with_emptying(deployment, found, stack, home, guards, jobs)


def _replica(deployment: Deployment, region: str, found: Inventory) -> Party:
    home, stack = deployment.publisher.account, names_of(deployment).publisher.replicas[region].stack
    bucket, key = payload_bucket(deployment, region).bucket.arn, found.arn_of(stack, "Key")
    there = [subscriber for subscriber in deployment.subscribers if subscriber.region == region]
    guards = [
        Guard(
            "bucket",
            bucket,
            home,
            (*(_reads(deployment, s, region) for s in there), *emptied(deployment, found, stack, bucket)),
            over_tls=("s3:*",),
        ),
        Guard(
            "key",
            key,
            home,
            (
                Door("left to the account's own policies", Account(home), ("kms:*",), (key,)),
                *(_decrypts(deployment, s, key, region) for s in there),
            ),
        ),
    ]
    return with_emptying(deployment, found, stack, home, guards, {})


def _replicates(deployment: Deployment, key: str) -> Iterator[May]:
    """Payloads alone, never the outbox; into the replicas alone, and nothing is taken away there."""
    bucket = names_of(deployment).publisher.payload_bucket.bucket.arn
    yield May(("s3:GetReplicationConfiguration", "s3:ListBucket"), (bucket,))
    yield May(
        ("s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"),
        (f"{bucket}/payloads/*",),
    )
    yield May(("kms:Decrypt",), (key,), through_s3(deployment))
    for region in deployment.publisher.replicas:
        yield May(
            ("s3:ReplicateObject", "s3:ReplicateTags"), (f"{payload_bucket(deployment, region).bucket.arn}/payloads/*",)
        )
        yield May(
            ("kms:Encrypt", "kms:GenerateDataKey"),
            (payload_bucket(deployment, region).key_arn_pattern,),
            through_s3(deployment, region),
        )


def _reads(deployment: Deployment, subscriber: SubscriberConfig, region: str | None = None) -> Door:
    return Door(
        f"{subscriber.name} reads payloads",
        Roles(subscriber.account, readers(subscriber, deployment)),
        ("s3:GetObject",),
        (f"{payload_bucket(deployment, region).bucket.arn}/payloads/*",),
        _in_organization(deployment),
    )


def _decrypts(deployment: Deployment, subscriber: SubscriberConfig, key: str, region: str | None = None) -> Door:
    return Door(
        f"{subscriber.name} decrypts payloads",
        Roles(subscriber.account, readers(subscriber, deployment)),
        ("kms:Decrypt",),
        (key,),
        {**through_s3(deployment, region), **_in_organization(deployment)},
    )


def _uploads(deployment: Deployment, sender: SenderConfig) -> Door:
    return Door(
        f"{sender.name} uploads to its folder",
        Roles(sender.account, (names_of(deployment).senders[sender.name].role.arn,)),
        S3_UPLOAD,
        (f"{names_of(deployment).publisher.payload_bucket.bucket.arn}/outbox/{sender.name}/*",),
        _in_organization(deployment),
    )


def _encrypts(deployment: Deployment, sender: SenderConfig, key: str) -> Door:
    return Door(
        f"{sender.name} encrypts uploads",
        Roles(sender.account, (names_of(deployment).senders[sender.name].role.arn,)),
        KEY_UPLOAD,
        (key,),
        {**through_s3(deployment), **_in_organization(deployment)},
    )


def _subscribes(deployment: Deployment, subscriber: SubscriberConfig) -> Door:
    return Door(
        f"{subscriber.name} subscribes its own endpoint",
        Account(subscriber.account),
        ("sns:Subscribe",),
        (names_of(deployment).publisher.topic.arn,),
        {
            "sns:Protocol": (subscriber.kind,),
            "sns:Endpoint": (endpoint(deployment, subscriber),),
            **_in_organization(deployment),
        },
    )


def _in_organization(deployment: Deployment) -> When:
    return {"aws:PrincipalOrgID": (deployment.organization,)} if deployment.organization else {}


def _events(rules: tuple[str, ...]) -> Service:
    return Service("events.amazonaws.com", sources=rules)


# A sender's account --------------------------------------------------------------------------------------------------


def _sender(deployment: Deployment, sender: SenderConfig) -> Party:
    role = names_of(deployment).senders[sender.name].role.arn
    sends = (
        May(("events:PutEvents",), (names_of(deployment).publisher.event_bus.arn,)),
        May(S3_UPLOAD, (f"{names_of(deployment).publisher.payload_bucket.bucket.arn}/outbox/{sender.name}/*",)),
        May(KEY_UPLOAD, (payload_bucket(deployment).key_arn_pattern,), through_s3(deployment)),
    )
    return [run_by(role, sender.account, Account(sender.account))], {role: sends}


# A subscriber's account ----------------------------------------------------------------------------------------------


def _subscriber(deployment: Deployment, subscriber: SubscriberConfig, found: Inventory) -> Party:
    if isinstance(subscriber, HttpsSubscriberConfig):
        return _with_endpoint(deployment, subscriber)
    return _with_consumer(deployment, subscriber, found)


def _keeps_undelivered(deployment: Deployment, subscriber: SubscriberConfig) -> Guard:
    redrive = subscriber_names(deployment, subscriber).undelivered_queue.arn
    kept = Door(
        "keeps what SNS could not deliver",
        _topic(deployment, deployment.publisher.region),
        ("sqs:SendMessage",),
        (redrive,),
    )
    return Guard("queue", redrive, subscriber.account, (kept,), over_tls=("sqs:*",))


def _with_endpoint(deployment: Deployment, subscriber: HttpsSubscriberConfig) -> Party:
    home = subscriber.account
    (reader,) = readers(subscriber, deployment)
    process = Roles(home, subscriber.reader_principals) if subscriber.reader_principals else Account(home)
    guards = [_keeps_undelivered(deployment, subscriber), run_by(reader, home, process)]
    takes_undelivered = May(SQS_TAKE, (subscriber_names(deployment, subscriber).undelivered_queue.arn,))
    return guards, {reader: (*_reads_payloads(deployment, subscriber), takes_undelivered)}


def _with_consumer(deployment: Deployment, subscriber: FunctionSubscriberConfig, found: Inventory) -> Party:
    home, region = subscriber.account, subscriber.region
    stack = subscriber_names(deployment, subscriber).stack
    inbox = f"arn:{partition(region)}:s3:::{subscriber_names(deployment, subscriber).staging_bucket.name}"
    dead_letters = arn("sqs", region, home, subscriber_names(deployment, subscriber).dead_letter_queue.name)
    function = subscriber_names(deployment, subscriber).consume_function.arn
    consume_role = readers(subscriber, deployment)[0]

    guards = [
        Guard("bucket", inbox, home, tuple(emptied(deployment, found, stack, inbox)), over_tls=("s3:*",)),
        Guard(
            "queue",
            dead_letters,
            home,
            tuple(_keeps_failed_tasks(deployment, subscriber, found, dead_letters)),
            over_tls=("sqs:*",),
        ),
        _keeps_undelivered(deployment, subscriber),
        run_by(consume_role, home, Service("lambda.amazonaws.com")),
    ]
    consumes = (
        *_reads_payloads(deployment, subscriber),
        May((*S3_WRITE, *S3_READ), (f"{inbox}/inline/*",)),
        May(S3_READ, (inbox,)),
        May(SQS_SEND, (dead_letters,)),
        May(
            LOG,
            (log_group(region, home, f"/aws/lambda/{subscriber_names(deployment, subscriber).consume_function.name}"),),
        ),
        TRACE,
    )
    if isinstance(subscriber, SqsSubscriberConfig):
        more_guards, jobs = _with_queue(deployment, subscriber, found, function)
    else:
        more_guards, jobs = _with_function(deployment, subscriber, found, function)
    jobs[consume_role] = (*consumes, *jobs.get(consume_role, ()))
    return with_emptying(deployment, found, stack, home, guards + more_guards, jobs)


def _with_queue(deployment: Deployment, subscriber: SqsSubscriberConfig, found: Inventory, function: str) -> Party:
    home, region = subscriber.account, subscriber.region
    stack = subscriber_names(deployment, subscriber).stack
    queue = subscriber_names(deployment, subscriber).queue.arn
    machine = arn("states", region, home, f"stateMachine:{subscriber_names(deployment, subscriber).state_machine.name}")
    machine_role = found.arn_of(stack, "StateMachineRole")
    bus, forward_role = (
        subscriber_names(deployment, subscriber).event_bus.arn,
        found.arn_of(stack, "EventBusForwardRole"),
    )
    guards = [
        Guard(
            "queue",
            queue,
            home,
            (Door("is delivered to by the topic", _topic(deployment, region), ("sqs:SendMessage",), (queue,)),),
            over_tls=("sqs:*",),
        ),
        Guard("function", function, home),
        Guard("bus", bus, home),
        run_by(machine_role, home, Service("states.amazonaws.com", account=home)),
        run_by(forward_role, home, Service("events.amazonaws.com", account=home)),
    ]
    jobs: dict[str, tuple[May, ...]] = {
        readers(subscriber, deployment)[0]: (
            May(SQS_TAKE, (queue,)),
            May(("states:StartExecution",), (machine,)),
            May(("states:DescribeExecution",), (f"{machine.replace(':stateMachine:', ':execution:')}:*",)),
        ),
        machine_role: (
            May(("events:PutEvents",), (bus,)),
            # Log delivery and traces know no narrower resource.
            May(
                (
                    *("logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery"),
                    *("logs:DeleteLogDelivery", "logs:ListLogDeliveries", "logs:PutResourcePolicy"),
                    *("logs:DescribeResourcePolicies", "logs:DescribeLogGroups"),
                    *("xray:PutTraceSegments", "xray:PutTelemetryRecords"),
                    *("xray:GetSamplingRules", "xray:GetSamplingTargets"),
                ),
                ("*",),
            ),
        ),
        forward_role: (May(("events:PutEvents",), (bus,)),),
    }
    if subscriber.landing:
        more_guards, more_jobs = _with_landing(deployment, subscriber, found)
        guards += more_guards
        jobs |= more_jobs
        land = arn("lambda", region, home, f"function:{subscriber_names(deployment, subscriber).copy_function.name}")
        jobs[machine_role] += (May(("lambda:InvokeFunction",), (land, f"{land}:*")),)
    if subscriber.state_machine and subscriber.state_machine.permissions:
        jobs[machine_role] += tuple(_as_the_file_says(subscriber.state_machine.permissions))
    if subscriber.pipeline and deployment.research:
        more_guards, more_jobs = _with_intake(deployment, subscriber, deployment.research, found)
        guards += more_guards
        jobs |= more_jobs
    return guards, jobs


def _with_intake(
    deployment: Deployment, subscriber: SqsSubscriberConfig, research: ResearchConfig, found: Inventory
) -> Party:
    """In the research account: payloads become data sets below one prefix, each of which starts the one pipeline."""
    home, region = subscriber.account, subscriber.region
    stack = subscriber_names(deployment, subscriber).stack
    inbox = f"arn:{partition(region)}:s3:::{subscriber_names(deployment, subscriber).staging_bucket.name}"
    data = f"arn:{partition(region)}:s3:::{research_names(deployment).data_bucket.name}"
    (pipeline,) = (each for each in research.pipelines if each.name == subscriber.pipeline)
    name = subscriber_names(deployment, subscriber).pipeline_trigger_function.name
    function = arn("lambda", region, home, f"function:{name}")
    dead_letters = arn(
        "sqs", region, home, subscriber_names(deployment, subscriber).pipeline_trigger_dead_letter_queue.name
    )
    role = subscriber_names(deployment, subscriber).pipeline_trigger_role.arn
    processed = _events((found.arn_of(stack, "PipelineTriggerProcessedRule"),))
    guards = [
        Guard(
            "queue",
            dead_letters,
            home,
            (Door("keeps what the rule could not deliver", processed, ("sqs:SendMessage",), (dead_letters,)),),
            over_tls=("sqs:*",),
        ),
        Guard(
            "function",
            function,
            home,
            (Door("is invoked by the rule", processed, ("lambda:InvokeFunction",), (function,)),),
        ),
        run_by(role, home, Service("lambda.amazonaws.com")),
    ]
    through_s3_for_data = {
        "kms:ViaService": (s3_endpoint(region),),
        "kms:EncryptionContext:aws:s3:arn": (data,),
    }
    jobs: dict[str, tuple[May, ...]] = {
        role: (
            *_reads_payloads(deployment, subscriber),
            May(S3_READ, (inbox, f"{inbox}/inline/*")),
            May(S3_UPLOAD, (f"{data}/shared/{pipeline.name}/messages/*",)),
            # The key is the research stack's, whose name this stack does not know.
            May(KEY_UPLOAD, (arn("kms", region, home, "key/*"),), through_s3_for_data),
            May(("sagemaker:StartPipelineExecution",), (research_names(deployment).pipeline(pipeline.name).arn,)),
            May(("events:PutEvents",), (subscriber_names(deployment, subscriber).event_bus.arn,)),
            May(SQS_SEND, (dead_letters,)),
            May(LOG, (log_group(region, home, f"/aws/lambda/{name}"),)),
            TRACE,
        )
    }
    return guards, jobs


def _with_landing(deployment: Deployment, subscriber: SqsSubscriberConfig, found: Inventory) -> Party:
    home, region = subscriber.account, subscriber.region
    stack = subscriber_names(deployment, subscriber).stack
    inbox = f"arn:{partition(region)}:s3:::{subscriber_names(deployment, subscriber).staging_bucket.name}"
    bucket = f"arn:{partition(region)}:s3:::{subscriber_names(deployment, subscriber).landing_bucket.name}"
    key, function = found.arn_of(stack, "LandingKey"), subscriber_names(deployment, subscriber).copy_function.name
    copy_role = readers(subscriber, deployment)[1]
    guards = [
        Guard("bucket", bucket, home, tuple(emptied(deployment, found, stack, bucket)), over_tls=("s3:*",)),
        Guard("key", key, home, (Door("left to the account's own policies", Account(home), ("kms:*",), (key,)),)),
        Guard("function", arn("lambda", region, home, f"function:{function}"), home),
        run_by(copy_role, home, Service("lambda.amazonaws.com")),
    ]
    jobs: dict[str, tuple[May, ...]] = {
        copy_role: (
            *_reads_payloads(deployment, subscriber),
            May(S3_READ, (inbox, f"{inbox}/inline/*")),
            May(S3_WRITE, (f"{bucket}/landed/*",)),
            May(("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*"), (key,)),
            May(LOG, (log_group(region, home, f"/aws/lambda/{function}"),)),
            TRACE,
        )
    }
    return guards, jobs


def _keeps_failed_tasks(
    deployment: Deployment, subscriber: SubscriberConfig, found: Inventory, dead_letters: str
) -> Iterator[Door]:
    if isinstance(subscriber, LambdaSubscriberConfig):
        rule = found.arn_of(subscriber_names(deployment, subscriber).stack, "TaskFailedRule")
        yield Door("keeps tasks that failed", _events((rule,)), SQS_SEND, (dead_letters,))


def _as_the_file_says(permissions: str) -> Iterator[May]:
    """What the deployment's own file lets the machine's role do, for files that name what they mean outright."""
    for statement in json.loads(fill_placeholders(permissions, {})):
        assert statement["Effect"] == "Allow"
        assert "Condition" not in statement
        yield May(tuple(as_list(statement["Action"])), tuple(as_list(statement["Resource"])))


def _with_function(
    deployment: Deployment, subscriber: LambdaSubscriberConfig, found: Inventory, function: str
) -> Party:
    home, region = subscriber.account, subscriber.region
    stack = subscriber_names(deployment, subscriber).stack
    reader, task_role = readers(subscriber, deployment)
    execution_role = found.arn_of(stack, "TaskExecutionRole")
    inbox = f"arn:{partition(region)}:s3:::{subscriber_names(deployment, subscriber).staging_bucket.name}"
    cluster = subscriber_names(deployment, subscriber).cluster.name
    guards = [
        Guard(
            "function",
            function,
            home,
            (Door("is invoked by the topic", _topic(deployment, region), ("lambda:InvokeFunction",), (function,)),),
        ),
        run_by(task_role, home, Service("ecs-tasks.amazonaws.com", account=home)),
        run_by(execution_role, home, Service("ecs-tasks.amazonaws.com", account=home)),
    ]
    if not subscriber.network:
        # There is a way out beside it: the endpoint is there for what it saves.
        s3 = found.arn_of(stack, "TaskNetworkVpcS3")
        guards.append(Guard("endpoint", s3, home, (Door("goes through", Everybody(), ("*",), ("*",)),)))
    jobs: dict[str, tuple[May, ...]] = {
        reader: (
            May(
                ("dynamodb:GetItem", "dynamodb:PutItem"),
                (arn("dynamodb", region, home, f"table/{cluster}-idempotency"),),
            ),
            May(("ecs:DescribeTasks",), (arn("ecs", region, home, f"task/{cluster}/*"),)),
            May(("ecs:RunTask",), (arn("ecs", region, home, f"task-definition/{cluster}:1"),)),
            May(("iam:PassRole",), (task_role, execution_role), {"iam:PassedToService": ("ecs-tasks.amazonaws.com",)}),
        ),
        task_role: (
            *_reads_payloads(deployment, subscriber),
            May(S3_READ, (inbox, f"{inbox}/inline/*")),
        ),
        execution_role: (May(LOG, (log_group(region, home, f"/aws/ecs/{cluster}"),)),),
    }
    if repository := _task_repository(deployment, subscriber):
        # Where the image is in ECR, of whatever account; else there is nobody to ask.
        jobs[execution_role] += (May(PULL, (repository,)), SIGN_ON_TO_REGISTRY)
    if not subscriber.task.image:
        for more_guards, more_jobs in _builds_its_image(deployment, subscriber, found, repository):
            guards += more_guards
            jobs |= more_jobs
    return guards, jobs


def _task_repository(deployment: Deployment, subscriber: LambdaSubscriberConfig) -> str:
    home, region = subscriber.account, subscriber.region
    if not subscriber.task.image:
        return arn("ecr", region, home, f"repository/{subscriber_names(deployment, subscriber).task_repository.name}")
    registry, _, name = subscriber.task.image.partition("@")[0].partition("/")
    match registry.split("."):
        case [account, "dkr", "ecr", where, *_]:
            return arn("ecr", where, account, f"repository/{name}")
    return ""


def _builds_its_image(
    deployment: Deployment, subscriber: LambdaSubscriberConfig, found: Inventory, repository: str
) -> Iterator[Party]:
    home, region, image = subscriber.account, subscriber.region, "TaskImage"
    stack = subscriber_names(deployment, subscriber).stack
    function = subscriber_names(deployment, subscriber).task_build_function.name
    building, log = found.arn_of(stack, f"{image}BuildRole"), found.arn_of(stack, f"{image}BuildLogs")
    asking = found.arn_of(stack, f"{image}BuilderBuildRole")
    yield [Guard("repository", repository, home)], {}
    yield built(building, home, contexts=assets(region, home), log=log, repository=repository)
    guards, jobs = our_function(asking, region, home, function)
    project = found.arn_of(stack, f"{image}BuildProject")
    yield guards, {asking: (*jobs[asking], *builds((project,), (repository,), (log,)))}
    ours = arn("lambda", region, home, f"function:{function}")
    yield waiting_provider(found, stack, f"{image}BuilderProvider", home, ours)


def _reads_payloads(deployment: Deployment, subscriber: SubscriberConfig) -> Iterator[May]:
    near = [region for region in deployment.publisher.replicas if region == subscriber.region]
    for region in [deployment.publisher.region, *near]:
        yield May(("s3:GetObject",), (f"{payload_bucket(deployment, region).bucket.arn}/payloads/*",))
        # Which key it is cannot be known in another account; the key's own policy decides.
        yield May(
            ("kms:Decrypt",), (payload_bucket(deployment, region).key_arn_pattern,), through_s3(deployment, region)
        )


def _topic(deployment: Deployment, endpoint_region: str) -> Service:
    name = names_of(deployment).publisher.sns_principal(endpoint_region)
    return Service(name, sources=(names_of(deployment).publisher.topic.arn,))


# Alarms --------------------------------------------------------------------------------------------------------------


def _watched(deployment: Deployment) -> Iterator[tuple[str, str, str]]:
    """Stacks with alarms: name, Region, account."""
    home = deployment.publisher
    yield names_of(deployment).publisher.stack, home.region, home.account
    for region in home.replicas:
        yield names_of(deployment).publisher.replicas[region].stack, region, home.account
    for subscriber in deployment.subscribers:
        # An endpoint's stack is where the topic is; a queue's or function's has its redrive queue there.
        region = home.region if isinstance(subscriber, HttpsSubscriberConfig) else subscriber.region
        yield subscriber_names(deployment, subscriber).stack, region, subscriber.account
        if region != home.region:
            yield subscriber_names(deployment, subscriber).undelivered_stack, home.region, subscriber.account


def _operations(found: Inventory, stack: str, region: str, account: str) -> list[Guard]:
    """Alarms of the stack, and nobody else who is not let by the account's own policies, tell people."""
    topic, key = arn("sns", region, account, f"{stack}-operations"), found.arn_of(stack, "AlarmsKey")
    alarms = Service(
        "cloudwatch.amazonaws.com", sources=(arn("cloudwatch", region, account, f"alarm:{stack}-*"),), account=account
    )
    return [
        Guard(
            "topic", topic, account, (Door("alarms tell", alarms, ("sns:Publish",), (topic,)),), over_tls=TOPIC_OVER_TLS
        ),
        Guard(
            "key",
            key,
            account,
            (
                Door("left to the account's own policies", Account(account), ("kms:*",), (key,)),
                Door("alarms are encrypted", alarms, ("kms:Decrypt", "kms:GenerateDataKey*"), (key,)),
            ),
        ),
    ]


# Names ---------------------------------------------------------------------------------------------------------------


def readers(subscriber: SubscriberConfig, deployment: Deployment) -> tuple[str, ...]:
    """The subscriber's roles that read payloads, the consume function's first."""
    return tuple([role.arn for role in subscriber_names(deployment, subscriber).reader_roles])


def endpoint(deployment: Deployment, subscriber: SubscriberConfig) -> str:
    return subscriber_names(deployment, subscriber).endpoint


def through_s3(deployment: Deployment, region: str | None = None) -> When:
    """Uses of the key that S3 makes for its caller, for the payload bucket or its replica in a Region."""
    return {
        "kms:ViaService": (s3_endpoint(region or deployment.publisher.region),),
        "kms:EncryptionContext:aws:s3:arn": (payload_bucket(deployment, region).bucket.arn,),
    }

"""What tells people that something is wrong: alarms, a topic they all act on, and a dashboard.

An alarm is named `<stack>-<Name>`, or `<stack>-<which>-<Name>`, and `docs/runbook.md` has a section `<Name>`: what it
means and what to do.
"""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, Fn, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks import cross_account as boundary
from stacks.common.function import METRICS, Function
from stacks.deployment import Deployment, names

REFUSED = {
    "UntrustedStore": "A pointer led to a store that is not trusted; nothing was read.",
    "MalformedMessage": "A message was not what its attributes promise; it was refused.",
    "PayloadCorrupt": "A payload was not the bytes that were published.",
}
"""Errors of the library that are an alarm at once, each by the metric that handlers count under the error's name."""

_WAITING = "{}: messages that wait to be sent back"
_MINUTE, _FIVE = Duration.minutes(1), Duration.minutes(5)
_ADVICE = """\
# {stack}
{about}

1. Every red alarm below has a section of its name in [the runbook]({runbook}): what it means, and what to do.
2. Nothing is lost while it waits in a dead-letter or redrive queue: mend the cause, then send it back with \
`python -m cli redrive` (it shows what there is first).
3. To follow one message through all accounts, search the log groups for its `message_id`.
"""
_ERRORS = [
    "fields @timestamp, service, message_id, message, exception_name",
    'filter level = "ERROR"',
    "sort @timestamp desc",
    "limit 20",
]


class Operations(Construct):
    """`topic` tells people. `watch_…` adds alarms and a row of the dashboard, which `show` makes when all are there."""

    def __init__(self, scope: Construct, id: str, *, deployment: Deployment) -> None:
        super().__init__(scope, id)
        self._stack = Stack.of(self)
        self._deployment = deployment
        self._runbook = deployment.operations.runbook
        self._alarms: list[cloudwatch.Alarm] = []
        self._graphs: list[cloudwatch.IWidget] = []
        self._log_groups: list[str] = []
        self.topic = self._topic(deployment.operations.emails)

    def watch_dead_letters(self, name: str, queue: sqs.IQueue) -> None:
        """One message is enough: nothing else is going to take it from there."""
        depth = queue.metric_approximate_number_of_messages_visible(statistic="Maximum", period=_MINUTE)
        alarm = self._alarm(f"{name}NotEmpty", depth, says="Messages that could not be handled wait to be sent back.")
        self._graph(_WAITING.format(name), [depth], [alarm])

    def show_dead_letters(self, name: str, *, queue_name: str, region: str) -> None:
        """A queue of another Region, which is watched there."""
        depth = cloudwatch.Metric(
            namespace="AWS/SQS",
            metric_name="ApproximateNumberOfMessagesVisible",
            dimensions_map={"QueueName": queue_name},
            region=region,
            statistic="Maximum",
            period=_MINUTE,
        )
        self._graph(f"{_WAITING.format(name)} ({region})", [depth])

    def watch_queue(self, queue: sqs.IQueue, *, late: Duration) -> None:
        """`late`: how old a message gets by failing as often as it may; an older one has nobody to take it."""
        age = queue.metric_approximate_age_of_oldest_message(statistic="Maximum", period=_FIVE)
        alarm = self._alarm(
            "QueueLate",
            age,
            says="The oldest message is older than all its tries can take: they come faster than they are handled.",
            threshold=late.to_seconds(),
        )
        waiting = queue.metric_approximate_number_of_messages_visible(statistic="Maximum", period=_FIVE)
        self._graph("Queue: seconds the oldest waits (left), messages waiting (right)", [age], [alarm], [waiting])

    def watch_function(
        self, name: str, function: Function, *, asynchronous: bool, throttled_on_purpose: bool = False
    ) -> None:
        """An error is tried again, and what is given up is a dead letter: only errors that go on are an alarm."""
        errors, throttles = function.metric_errors(period=_FIVE), function.metric_throttles(period=_FIVE)
        alarms = [
            self._alarm(f"{name}Fails", errors, says="The function has failed for a quarter of an hour.", periods=3)
        ]
        if not throttled_on_purpose:
            says = "Lambda has not run the function as often as asked."
            alarms.append(self._alarm(f"{name}Throttled", throttles, says=says, periods=3))
        self._log_groups.append(function.log_group.log_group_name)
        self._graph(
            f"{name}: failures (left), invocations (right)",
            [errors, throttles],
            alarms,
            [function.metric_invocations(period=_FIVE)],
        )
        if asynchronous:
            self._watch_events(name, function)

    def _watch_events(self, name: str, function: Function) -> None:
        """What waits for a function that is invoked asynchronously: Lambda keeps it for six hours."""
        age = function.metric("AsyncEventAge", statistic="Maximum", period=_FIVE)
        late = self._alarm(
            f"{name}Late",
            age,
            says="An event has waited for the function for an hour; after six it is given up.",
            threshold=Duration.hours(1).to_milliseconds(),
        )
        lost = function.metric("DestinationDeliveryFailures", statistic="Sum", period=_FIVE)
        self._alarm(f"{name}Lost", lost, says="An event that failed could not be put into the dead letters.")
        self._graph(f"{name}: milliseconds the oldest event waits (left), events lost (right)", [age], [late], [lost])

    def watch_refusals(self, function: Function, errors: Sequence[str] = tuple(REFUSED)) -> None:
        """What the function's own metrics say it refused."""
        metrics = {error: self._own(function, error, "Sum") for error in errors}
        alarms = [self._alarm(error, metric, says=REFUSED[error]) for error, metric in metrics.items()]
        self._graph("Refused: pointers, messages, checksums", list(metrics.values()), alarms)

    def show_traffic(self, function: Function, bytes_: str, times: Sequence[str] = ("ProcessingTime",)) -> None:
        """Bytes, and how long it took, by the function's own metrics."""
        self._graph(
            "Milliseconds (left), bytes (right)",
            [
                self._own(function, name, stat).with_(label=f"{name} {stat}")
                for name in times
                for stat in ("p50", "p99")
            ],
            right=[self._own(function, bytes_, "Sum")],
        )

    def watch_executions(self, machine: sfn.StateMachine) -> None:
        """An execution that failed has to be redriven in Step Functions: its message counts as handed on."""
        failed, timed_out = machine.metric_failed(period=_FIVE), machine.metric_timed_out(period=_FIVE)
        alarms = [
            self._alarm("ExecutionsFailed", failed, says="An execution of the state machine failed."),
            self._alarm("ExecutionsTimedOut", timed_out, says="An execution of the state machine ran out of time."),
        ]
        self._graph(
            "Executions: failed (left), begun and succeeded (right)",
            [failed, timed_out],
            alarms,
            [machine.metric_started(period=_FIVE), machine.metric_succeeded(period=_FIVE)],
        )

    def watch_topic(self, topic: sns.ITopic) -> None:
        """What SNS gave up on, after all its tries."""
        redriven = topic.metric("NumberOfNotificationsRedrivenToDlq", statistic="Sum", period=_FIVE)
        lost = topic.metric("NumberOfNotificationsFailedToRedriveToDlq", statistic="Sum", period=_FIVE)
        alarms = [
            self._alarm("NotDelivered", redriven, says="SNS gave a message up; it is in a subscriber's redrive queue."),
            self._alarm("DeliveryLost", lost, says="SNS gave a message up and could not put it into a redrive queue."),
        ]
        self._graph(
            "Deliveries: given up (left), published and delivered (right)",
            [redriven, lost],
            alarms,
            [
                topic.metric_number_of_messages_published(period=_FIVE),
                topic.metric_number_of_notifications_delivered(period=_FIVE),
            ],
        )

    def watch_rules(self, rules: Mapping[str, events.Rule]) -> None:
        """By the name of their alarm. What a rule's target did not take is in its dead letters, or it is lost."""
        says = "EventBridge could neither invoke the function nor keep the event."
        self._watch_lost(rules, "InvocationsFailedToBeSentToDlq", says)

    def watch_bare_rules(self, rules: Mapping[str, events.Rule]) -> None:
        """The same of rules whose targets have no dead letters: what such a target did not take is lost."""
        self._watch_lost(rules, "FailedInvocations", "EventBridge could not pass on what an AWS service told.")

    def _watch_lost(self, rules: Mapping[str, events.Rule], counted_as: str, says: str) -> None:
        metrics = {name: _of_rule(rule, counted_as) for name, rule in rules.items()}
        alarms = [self._alarm(name, metric, says=says) for name, metric in metrics.items()]
        # Labels are for the graph alone: with one, an alarm is metric math, which the emulator does not take.
        self._graph("Rules: events lost", [metric.with_(label=name) for name, metric in metrics.items()], alarms)

    def watch_replication(self) -> None:
        """Of the payload bucket, into each Region. Failures are counted here, and how late a replica is, there."""
        regions = self._deployment.publisher.replicas
        failed = {region: self._replication("OperationsFailedReplication", "Sum", region) for region in regions}
        alarms = [
            self._alarm("NotReplicated", metric, of=region, says=f"S3 gave up replicating payloads into {region}.")
            for region, metric in failed.items()
        ]
        self._graph(
            "Replication: given up (left), seconds behind (right)",
            [metric.with_(label=region) for region, metric in failed.items()],
            alarms,
            [self._behind(region).with_(region=region, label=region) for region in regions],
        )

    def watch_replica(self, region: str) -> None:
        """In the replica's Region, which is `region`: an alarm has to be where its metric is."""
        self._alarm(
            "ReplicaLate",
            self._behind(region),
            says="The replica is an hour behind: its readers read the publisher's bucket.",
            threshold=Duration.hours(1).to_seconds(),
        )

    def show(self, about: str) -> None:
        """The dashboard: what to do, what is wrong, and then all there is to see. `about`: the stack in a sentence."""
        wide = 24
        advice = cloudwatch.TextWidget(
            markdown=_ADVICE.format(stack=self._stack.stack_name, about=about, runbook=self._runbook),
            width=wide,
            height=6,
        )
        status = cloudwatch.AlarmStatusWidget(
            title="What is wrong now", alarms=self._alarms, width=wide, height=2 + -(-len(self._alarms) // 4)
        )
        pairs = [self._graphs[start : start + 2] for start in range(0, len(self._graphs), 2)]
        rows: list[list[cloudwatch.IWidget]] = [[advice], [status], *pairs]
        if self._log_groups:
            failures = cloudwatch.LogQueryWidget(
                title="The last failures: message_id is what to follow",
                log_group_names=self._log_groups,
                query_lines=_ERRORS,
                width=wide,
                height=6,
            )
            rows.append([failures])
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=self._stack.stack_name,
            default_interval=Duration.hours(12),
            widgets=rows,
        )

    def _alarm(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        *,
        says: str,
        of: str | None = None,
        threshold: float = 1,
        periods: int = 1,
    ) -> cloudwatch.Alarm:
        """`of`: which of several, where a stack has more than one of that name."""
        full = f"{of}-{name}" if of else name
        alarm = cloudwatch.Alarm(
            self,
            full,
            alarm_name=f"{self._stack.stack_name}-{full}",
            alarm_description=f"{says} What to do: {self._runbook}#{name.lower()}",
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            # These metrics count failures, or what waits: where there is nothing to count, nothing is wrong.
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        self._alarms.append(alarm)
        return alarm

    def _topic(self, emails: Sequence[str]) -> sns.Topic:
        """CloudWatch publishes to an encrypted topic only with a key of one's own that lets it."""
        key = kms.Key(
            self,
            "Key",
            description=f"{self._stack.stack_name}: what alarms say",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.DESTROY,  # nothing is kept under it
        )
        topic = sns.Topic(self, "Topic", topic_name=names.operations_topic(self._stack.stack_name), master_key=key)
        topic.add_to_resource_policy(self._of_alarms("PublishAlarms", ["sns:Publish"], topic.topic_arn))
        topic.add_to_resource_policy(boundary.over_tls_only(topic.topic_arn))
        key.add_to_resource_policy(self._of_alarms("EncryptAlarms", ["kms:Decrypt", "kms:GenerateDataKey*"], "*"))
        for email in emails:
            topic.add_subscription(subscriptions.EmailSubscription(email))
        return topic

    def _of_alarms(self, sid: str, may: Sequence[str], on: str) -> iam.PolicyStatement:
        """CloudWatch, for alarms of this stack and no other."""
        stack = self._stack
        alarms = names.alarm_arns(stack.account, stack.region, stack.stack_name)
        return iam.PolicyStatement(
            sid=sid,
            principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
            actions=list(may),
            resources=[on],
            conditions={"StringEquals": {"aws:SourceAccount": stack.account}, "ArnLike": {"aws:SourceArn": alarms}},
        )

    def _own(self, function: Function, name: str, statistic: str) -> cloudwatch.Metric:
        """A metric that the function writes itself, as Powertools spells it."""
        return cloudwatch.Metric(
            namespace=METRICS,
            metric_name=name,
            dimensions_map={"service": function.service},
            statistic=statistic,
            period=_FIVE,
        )

    def _behind(self, region: str) -> cloudwatch.Metric:
        return self._replication("ReplicationLatency", "Maximum", region)

    def _replication(self, name: str, statistic: str, region: str) -> cloudwatch.Metric:
        """A metric of the rule that replicates payloads into a Region; one that S3 writes for "Metrics: Enabled"."""
        return cloudwatch.Metric(
            namespace="AWS/S3",
            metric_name=name,
            dimensions_map={
                "SourceBucket": names.payload_bucket(self._deployment),
                "DestinationBucket": names.payload_bucket(self._deployment, region),
                "RuleId": names.replication_rule(region),
            },
            statistic=statistic,
            period=_FIVE,
        )

    def _graph(
        self,
        title: str,
        left: Sequence[cloudwatch.IMetric],
        alarms: Sequence[cloudwatch.Alarm] = (),
        right: Sequence[cloudwatch.IMetric] = (),
    ) -> None:
        self._graphs.append(
            cloudwatch.GraphWidget(
                title=title,
                left=list(left),
                right=list(right),
                left_annotations=[each.to_annotation() for each in alarms],
                left_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
                right_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
                width=12,
                height=6,
            )
        )


def _of_rule(rule: events.Rule, counted_as: str) -> cloudwatch.Metric:
    cfn = rule.node.default_child
    assert isinstance(cfn, events.CfnRule)
    # Rules of the default bus are counted by their name alone. `Ref` of one on another bus is `<bus>|<name>`.
    bus = {"EventBusName": cfn.event_bus_name} if cfn.event_bus_name else {}
    name = Fn.select(1 + len(bus), Fn.split("/", rule.rule_arn))
    return cloudwatch.Metric(
        namespace="AWS/Events",
        metric_name=counted_as,
        dimensions_map={"RuleName": name, **bus},
        statistic="Sum",
        period=_FIVE,
    )

"""The alarms of a stack and the SNS topic that they notify.

An alarm is named `<stack>-<Name>`, or `<stack>-<qualifier>-<Name>`, and `docs/runbook.md` has a section `<Name>`. Its
description says what happened, what that means for messages, and the first step.
"""

from collections.abc import Iterable, Mapping, Sequence

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

from stacks.common.alarm_texts import TEXTS
from stacks.common.dashboard import FIVE_MINUTES, Dashboard, graph
from stacks.common.dead_letter_queue import DeadLetterQueue
from stacks.common.defaults import Defaults
from stacks.common.function import Function
from stacks.common.topic import EncryptedTopic
from stacks.deployment.names import PayloadBucketNames, Place, ReplicaNames

ERRORS = ("UntrustedStore", "MalformedMessage", "PayloadCorrupt")
"""Errors of the library that are an alarm at their first occurrence. Functions count them in a metric of that name."""


class Alarms(Construct):
    """Alarms, each with a graph for the stack's dashboard. `add_dashboard` comes last."""

    def __init__(self, scope: Construct, id: str, *, defaults: Defaults) -> None:
        super().__init__(scope, id)
        self._stack = Stack.of(self)
        self._runbook = defaults.operations.runbook
        self._alarms: list[cloudwatch.Alarm] = []
        self._graphs: list[cloudwatch.IWidget] = []
        self._log_groups: list[str] = []
        self.topic = self._topic(defaults.operations.emails)

    def add_dead_letter_alarm(self, name: str, queue: DeadLetterQueue) -> None:
        """Add `<name>NotEmpty`. One message raises it: no function reads the queue."""
        self._add_depth_alarm(name, queue, TEXTS["NotEmpty"])

    def add_undelivered_alarm(self, queue: DeadLetterQueue) -> None:
        """Add `UndeliveredNotEmpty`. One message raises it."""
        self._add_depth_alarm("Undelivered", queue, TEXTS["UndeliveredNotEmpty"])

    def _add_depth_alarm(self, name: str, queue: DeadLetterQueue, text: str) -> None:
        depth = queue.metric_approximate_number_of_messages_visible(statistic="Maximum", period=Duration.minutes(1))
        text = text.format(queue=queue.literal_name, days=queue.retention_days)
        alarm = self._add(f"{name}NotEmpty", depth, text)
        self._graphs.append(graph(f"{name}: visible messages", [depth], [alarm]))

    def add_queue_alarm(self, queue: sqs.IQueue, *, queue_name: str, threshold: Duration) -> None:
        """Add `QueueLate`.

        Args:
            queue: The queue before the consume function.
            queue_name: Its literal name.
            threshold: The maximum age of a message that uses all its receives. An older message means that messages
                arrive faster than they are processed.
        """
        age = queue.metric_approximate_age_of_oldest_message(statistic="Maximum", period=FIVE_MINUTES)
        text = TEXTS["QueueLate"].format(queue=queue_name)
        alarm = self._add("QueueLate", age, text, threshold=threshold.to_seconds())
        visible = queue.metric_approximate_number_of_messages_visible(statistic="Maximum", period=FIVE_MINUTES)
        title = "Queue: age of oldest message in seconds (left), visible messages (right)"
        self._graphs.append(graph(title, [age], [alarm], [visible]))

    def add_function_alarms(
        self,
        name: str,
        function: Function,
        *,
        dead_letters: DeadLetterQueue | None = None,
        throttled_on_purpose: bool = False,
    ) -> None:
        """Add `<name>Fails`, `<name>Throttled` and, for asynchronous invocations, `<name>Late` and `<name>Lost`.

        Lambda, SQS or Step Functions retry a failed invocation, so that only lasting errors raise an alarm.

        Args:
            name: The first part of the alarms' names.
            function: The function.
            dead_letters: The destination of failed asynchronous invocations. None for a function that is invoked
                synchronously.
            throttled_on_purpose: Whether the function's concurrency is limited, so that throttles are normal.
        """
        errors, throttles = function.metric_errors(period=FIVE_MINUTES), function.metric_throttles(period=FIVE_MINUTES)
        watched = {"Fails": errors} | ({} if throttled_on_purpose else {"Throttled": throttles})
        alarms = [
            self._add(f"{name}{end}", metric, TEXTS[end].format(function=function.service), periods=3)
            for end, metric in watched.items()
        ]
        self._log_groups.append(function.log_group.log_group_name)
        title = f"{name}: errors and throttles (left), invocations (right)"
        invocations = function.metric_invocations(period=FIVE_MINUTES)
        self._graphs.append(graph(title, [errors, throttles], alarms, [invocations]))
        if dead_letters:
            self._add_event_alarms(name, function, dead_letters.literal_name)

    def _add_event_alarms(self, name: str, function: Function, queue: str) -> None:
        """Add the alarms of events that wait for a function: Lambda stores them for six hours."""
        age = function.metric("AsyncEventAge", statistic="Maximum", period=FIVE_MINUTES)
        text = TEXTS["Late"].format(function=function.service, queue=queue)
        late = self._add(f"{name}Late", age, text, threshold=Duration.hours(1).to_milliseconds())
        lost = function.metric("DestinationDeliveryFailures", statistic="Sum", period=FIVE_MINUTES)
        self._add(f"{name}Lost", lost, TEXTS["Lost"].format(queue=queue))
        title = f"{name}: age of oldest event in milliseconds (left), events lost (right)"
        self._graphs.append(graph(title, [age], [late], [lost]))

    def add_error_alarms(self, function: Function, errors: Sequence[str] = ERRORS) -> None:
        """Add an alarm for each of the errors, by the metric in which the function counts it."""
        metrics = {error: function.own_metric(error, statistic="Sum", period=FIVE_MINUTES) for error in errors}
        alarms = [self._add(error, metric, TEXTS[error]) for error, metric in metrics.items()]
        self._graphs.append(graph("Rejected messages by error", list(metrics.values()), alarms))

    def add_execution_alarms(self, machine: sfn.StateMachine) -> None:
        """Add `ExecutionsFailed` and `ExecutionsTimedOut`. A failed execution has to be redriven in Step Functions."""
        metrics = {
            "ExecutionsFailed": machine.metric_failed(period=FIVE_MINUTES),
            "ExecutionsTimedOut": machine.metric_timed_out(period=FIVE_MINUTES),
        }
        alarms = [self._add(name, metric, TEXTS[name]) for name, metric in metrics.items()]
        right = [machine.metric_started(period=FIVE_MINUTES), machine.metric_succeeded(period=FIVE_MINUTES)]
        title = "Executions: failed and timed out (left), started and succeeded (right)"
        self._graphs.append(graph(title, list(metrics.values()), alarms, right))

    def add_topic_alarms(self, topic: sns.ITopic) -> None:
        """Add `NotDelivered` and `DeliveryLost`, for messages after SNS's last attempt."""
        metrics = {
            "NotDelivered": topic.metric("NumberOfNotificationsRedrivenToDlq", statistic="Sum", period=FIVE_MINUTES),
            "DeliveryLost": topic.metric(
                "NumberOfNotificationsFailedToRedriveToDlq", statistic="Sum", period=FIVE_MINUTES
            ),
        }
        alarms = [self._add(name, metric, TEXTS[name]) for name, metric in metrics.items()]
        right = [
            topic.metric_number_of_messages_published(period=FIVE_MINUTES),
            topic.metric_number_of_notifications_delivered(period=FIVE_MINUTES),
        ]
        title = "Deliveries: undelivered and lost (left), published and delivered (right)"
        self._graphs.append(graph(title, list(metrics.values()), alarms, right))

    def add_rule_alarms(
        self, rules: Mapping[str, events.Rule], *, function: Function, dead_letters: DeadLetterQueue
    ) -> None:
        """Add an alarm for each rule that invokes the function, by the alarm's name."""
        self._add_rule_alarms(
            rules, "InvocationsFailedToBeSentToDlq", function=function.service, queue=dead_letters.literal_name
        )

    def add_forwarding_alarms(self, rules: Mapping[str, events.Rule]) -> None:
        """Add an alarm for each rule that forwards events of AWS to the subscriber's bus, by the alarm's name.

        These rules have no dead-letter queue: their events are no messages.
        """
        self._add_rule_alarms(rules, "FailedInvocations")

    def add_failed_tasks_alarm(self, rule: events.Rule, *, dead_letters: DeadLetterQueue) -> None:
        """Add `TaskFailuresLost`, for the rule that writes failed tasks to the dead-letter queue."""
        self._add_rule_alarms({"TaskFailuresLost": rule}, "FailedInvocations", queue=dead_letters.literal_name)

    def _add_rule_alarms(self, rules: Mapping[str, events.Rule], metric_name: str, **values: str) -> None:
        metrics = {name: _rule_metric(rule, metric_name) for name, rule in rules.items()}
        alarms = [self._add(name, metric, TEXTS[name].format(**values)) for name, metric in metrics.items()]
        # Labels are for the graph alone: an alarm with a label is metric math, which the emulator lacks.
        labelled = [metric.with_(label=name) for name, metric in metrics.items()]
        self._graphs.append(graph("Rules: events lost", labelled, alarms))

    def add_replication_alarms(self, source: PayloadBucketNames, replicas: Iterable[ReplicaNames]) -> None:
        """Add `<region>-NotReplicated` for each replica. Its lag is an alarm of the replica's own stack."""
        failed, lag, alarms = [], [], []
        for replica in replicas:
            region = replica.place.region
            metric = _replication("OperationsFailedReplication", "Sum", source, replica)
            alarms.append(self._add(f"{region}-NotReplicated", metric, TEXTS["NotReplicated"].format(region=region)))
            failed.append(metric.with_(label=region))
            lag.append(_lag(source, replica).with_(region=region, label=region))
        self._graphs.append(graph("Replication: failed operations (left), lag in seconds (right)", failed, alarms, lag))

    def add_replica_alarm(self, source: PayloadBucketNames, replica: ReplicaNames) -> None:
        """Add `ReplicaLate`, in the replica's Region: CloudWatch alarms cannot use another Region's metrics."""
        text = TEXTS["ReplicaLate"].format(region=replica.place.region)
        self._add("ReplicaLate", _lag(source, replica), text, threshold=Duration.hours(1).to_seconds())

    def add_graph(self, widget: cloudwatch.IWidget) -> None:
        """Add a graph without an alarm to the dashboard."""
        self._graphs.append(widget)

    def add_dashboard(self, about: str) -> None:
        """Add the stack's dashboard, with all alarms and graphs added before. `about` is the stack in one sentence."""
        Dashboard(
            self._stack,
            "Dashboard",
            about=about,
            runbook=self._runbook,
            alarms=self._alarms,
            graphs=self._graphs,
            log_groups=self._log_groups,
        )

    def _add(
        self, name: str, metric: cloudwatch.IMetric, text: str, *, threshold: float = 1, periods: int = 1
    ) -> cloudwatch.Alarm:
        link = f" Details: {self._runbook}#{name.rpartition('-')[2].lower()}" if self._runbook else ""
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=f"{self._stack.stack_name}-{name}",
            alarm_description=text + link,
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            # These metrics count failures or waiting messages. Without data there are none.
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        self._alarms.append(alarm)
        return alarm

    def _topic(self, emails: Sequence[str]) -> sns.Topic:
        """Return the topic. CloudWatch publishes to an encrypted topic only if the key's policy allows it."""
        key = kms.Key(
            self,
            "Key",
            description=f"{self._stack.stack_name}: alarms",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.DESTROY,  # it encrypts no stored data
        )
        topic = EncryptedTopic(self, "Topic", topic_name=f"{self._stack.stack_name}-operations", key=key)
        topic.add_to_resource_policy(self._allow_alarms("PublishAlarms", ["sns:Publish"], topic.topic_arn))
        key.add_to_resource_policy(self._allow_alarms("EncryptAlarms", ["kms:Decrypt", "kms:GenerateDataKey*"], "*"))
        for email in emails:
            topic.add_subscription(subscriptions.EmailSubscription(email))
        return topic

    def _allow_alarms(self, sid: str, actions: Sequence[str], resource: str) -> iam.PolicyStatement:
        """Return the statement that allows CloudWatch the actions, for alarms of this stack alone."""
        stack = self._stack
        alarms = Place(stack.account, stack.region).named("cloudwatch", f"{stack.stack_name}-*", "alarm:")
        return iam.PolicyStatement(
            sid=sid,
            principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
            actions=list(actions),
            resources=[resource],
            conditions={"StringEquals": {"aws:SourceAccount": stack.account}, "ArnLike": {"aws:SourceArn": alarms.arn}},
        )


def _lag(source: PayloadBucketNames, replica: ReplicaNames) -> cloudwatch.Metric:
    return _replication("ReplicationLatency", "Maximum", source, replica)


def _replication(name: str, statistic: str, source: PayloadBucketNames, replica: ReplicaNames) -> cloudwatch.Metric:
    """Return a metric of a replication rule, which S3 writes because the rule has `Metrics: Enabled`."""
    return cloudwatch.Metric(
        namespace="AWS/S3",
        metric_name=name,
        dimensions_map={
            "SourceBucket": source.bucket.name,
            "DestinationBucket": replica.bucket.name,
            "RuleId": replica.replication_rule,
        },
        statistic=statistic,
        period=FIVE_MINUTES,
    )


def _rule_metric(rule: events.Rule, name: str) -> cloudwatch.Metric:
    cfn = rule.node.default_child
    assert isinstance(cfn, events.CfnRule)
    # Metrics of the default bus have the dimension RuleName alone. `Ref` of a rule on another bus is `<bus>|<name>`.
    bus = {"EventBusName": cfn.event_bus_name} if cfn.event_bus_name else {}
    return cloudwatch.Metric(
        namespace="AWS/Events",
        metric_name=name,
        dimensions_map={"RuleName": Fn.select(1 + len(bus), Fn.split("/", rule.rule_arn)), **bus},
        statistic="Sum",
        period=FIVE_MINUTES,
    )

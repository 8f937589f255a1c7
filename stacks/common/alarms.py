"""The alarms of a stack and the SNS topic that they notify.

An alarm is named `<stack>-<Name>`, or `<stack>-<qualifier>-<Name>`, and `docs/runbook.md` has a section `<Name>`. Its
description has the event, its consequence for messages, and the first step.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aws_cdk import Duration, Fn, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.common.alarm_texts import TEXTS
from stacks.common.dashboard import Dashboard, graph
from stacks.common.dead_letter_queue import DeadLetterQueue
from stacks.common.defaults import Defaults
from stacks.common.function import Function
from stacks.common.stack_key import USE, stack_key
from stacks.common.topic import PrivateTopic
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
        self.topic = self._topic(defaults)

    def add_dead_letter_alarm(self, name: str, queue: DeadLetterQueue) -> None:
        """Add `<name>NotEmpty`. One message raises it: no function reads the queue."""
        depth = queue.metric_approximate_number_of_messages_visible(period=Duration.minutes(1))
        title, days = f"{name}: visible messages", queue.retention_days
        self._add(title, {"NotEmpty": depth}, prefix=name, queue=queue.literal_name, days=days)

    def add_queue_alarm(self, queue: sqs.IQueue, *, queue_name: str, threshold: Duration) -> None:
        """Add `QueueLate`. `threshold` is the maximum age of a message that uses all its receives.

        An older message means that messages arrive faster than they are processed.
        """
        self._add(
            "Queue: age of oldest message in seconds (left), visible messages (right)",
            {"QueueLate": queue.metric_approximate_age_of_oldest_message()},
            right=[queue.metric_approximate_number_of_messages_visible()],
            threshold=threshold.to_seconds(),
            queue=queue_name,
        )

    def add_function_alarms(
        self,
        name: str,
        function: Function,
        *,
        dead_letters: DeadLetterQueue | None = None,
        throttled_on_purpose: bool = False,
    ) -> None:
        """Add `<name>Fails`, `<name>Throttled` and, for asynchronous invocations, `<name>Late` and `<name>Lost`.

        Lambda, SQS or Step Functions retry a failed invocation, so that only lasting errors raise an alarm. Failed
        asynchronous invocations go to `dead_letters`. With `throttled_on_purpose`, there is no `<name>Throttled`: a
        limit on the function's concurrency makes throttles normal.
        """
        errors, throttles = function.metric_errors(), function.metric_throttles()
        self._add(
            f"{name}: errors and throttles (left), invocations (right)",
            {"Fails": errors} | ({} if throttled_on_purpose else {"Throttled": throttles}),
            left=[errors, throttles],
            right=[function.metric_invocations()],
            prefix=name,
            periods=3,
            function=function.service,
        )
        self._log_groups.append(function.log_group.log_group_name)
        if dead_letters is None:
            return
        lost = function.metric("DestinationDeliveryFailures", statistic="Sum")
        self._add(
            f"{name}: age of oldest event in milliseconds (left), events lost (right)",
            {"Late": function.metric("AsyncEventAge", statistic="Maximum")},
            right=[lost],
            prefix=name,
            threshold=Duration.hours(1).to_milliseconds(),
            function=function.service,
            queue=dead_letters.literal_name,
        )
        self._add_alarm("Lost", lost, prefix=name, queue=dead_letters.literal_name)

    def add_stopped_alarm(self, function: Function, *, queue: sqs.IQueue | None = None) -> None:
        """Add `ConsumeStopped`: for ten minutes the function was not invoked, although its input waits.

        Without a queue, input waits if Lambda throttles events and none is processed. `Invocations` would show that too
        late: Lambda counts an invocation when it ends.
        """
        if queue:
            self._add_waiting_alarm("ConsumeStopped", queue, function.metric_invocations(), function=function.service)
            return
        running = function.metric("ConcurrentExecutions", statistic="Maximum")
        self._add_expression(
            "ConsumeStopped",
            "IF(throttles > 0 AND FILL(taken, 0) < 1, 1, 0)",
            {"throttles": function.metric_throttles(), "taken": running},
            periods=2,
            function=function.service,
        )

    def add_service_alarm(self, queue: sqs.IQueue, *, queue_name: str, role: str) -> None:
        """Add `ServiceStopped`: for ten minutes the subscriber's service received nothing, although messages wait."""
        received = queue.metric_number_of_messages_received()
        self._add_waiting_alarm("ServiceStopped", queue, received, queue=queue_name, role=role)

    def _add_waiting_alarm(self, name: str, source: sqs.IQueue, taken: cloudwatch.IMetric, **values: Any) -> None:
        """Add an alarm on visible messages of which none is received in two periods of five minutes.

        With messages in flight the receiver may be busy, or they block their FIFO group. Without messages there is no
        alarm.
        """
        self._add_expression(
            name,
            "IF(visible > 0 AND hidden < 1 AND FILL(taken, 0) < 1, 1, 0)",
            {
                "visible": source.metric_approximate_number_of_messages_visible(),
                "hidden": source.metric_approximate_number_of_messages_not_visible(statistic="Minimum"),
                "taken": taken,
            },
            periods=2,
            **values,
        )

    def add_subscription_alarm(self, topic: sns.ITopic, subscriptions: int) -> None:
        """Add `SubscriptionMissing`: in two of three hours SNS sent each message to fewer than `subscriptions`.

        Half a subscription is tolerated: the last messages of an hour are delivered in the next one.
        """
        counts = {"filtered": "FilteredOut", "delivered": "Delivered", "failed": "Failed"}
        attempts = " + ".join(f"FILL({name}, 0)" for name in counts)
        self._add_expression(
            "SubscriptionMissing",
            f"IF(published > 0 AND {attempts} <= published * {subscriptions - 0.5}, 1, 0)",
            {
                "published": topic.metric_number_of_messages_published(),
                **{
                    name: topic.metric(f"NumberOfNotifications{metric}", statistic="Sum")
                    for name, metric in counts.items()
                },
            },
            period=Duration.hours(1),
            periods=3,
            datapoints=2,
        )

    def add_error_alarms(self, function: Function, errors: Sequence[str] = ERRORS) -> None:
        """Add an alarm for each of the errors, by the metric in which the function counts it."""
        self._add("Rejected messages by error", {error: function.own_metric(error) for error in errors})

    def add_execution_alarms(self, machine: sfn.StateMachine) -> None:
        """Add `ExecutionsFailed` and `ExecutionsTimedOut`. A failed execution has to be redriven in Step Functions."""
        self._add(
            "Executions: failed and timed out (left), started and succeeded (right)",
            {"ExecutionsFailed": machine.metric_failed(), "ExecutionsTimedOut": machine.metric_timed_out()},
            right=[machine.metric_started(), machine.metric_succeeded()],
        )

    def add_topic_alarms(self, topic: sns.ITopic) -> None:
        """Add `NotDelivered` and `DeliveryLost`, for messages after SNS's last attempt."""
        self._add(
            "Deliveries: undelivered and lost (left), published and delivered (right)",
            {
                "NotDelivered": topic.metric("NumberOfNotificationsRedrivenToDlq", statistic="Sum"),
                "DeliveryLost": topic.metric("NumberOfNotificationsFailedToRedriveToDlq", statistic="Sum"),
            },
            right=[topic.metric_number_of_messages_published(), topic.metric_number_of_notifications_delivered()],
        )

    def add_rule_alarms(
        self, rules: Mapping[str, events.Rule], *, metric_name: str = "FailedInvocations", **values: Any
    ) -> None:
        """Add an alarm for each rule, by the alarm's name, with values for its text.

        A rule with a dead-letter queue loses an event only if it cannot write to that queue. For such rules,
        `metric_name` is "InvocationsFailedToBeSentToDlq".
        """
        metrics = {name: _rule_metric(rule, metric_name) for name, rule in rules.items()}
        # Labels are for the graph alone: CDK makes an alarm on a labelled metric into metric math.
        labelled = [metric.with_(label=name) for name, metric in metrics.items()]
        self._add("Rules: events lost", metrics, left=labelled, **values)

    def add_replication_alarms(self, source: PayloadBucketNames, replicas: Iterable[ReplicaNames]) -> None:
        """Add `<region>-NotReplicated` for each replica. The alarm on its lag is in the replica's stack."""
        failed, lag, alarms = [], [], []
        for replica in replicas:
            region = replica.place.region
            metric = _replication("OperationsFailedReplication", "Sum", source, replica)
            alarms.append(self._add_alarm("NotReplicated", metric, prefix=f"{region}-", region=region))
            failed.append(metric.with_(label=region))
            lag.append(_lag(source, replica).with_(region=region, label=region))
        self.add_graph(graph("Replication: failed operations (left), lag in seconds (right)", failed, alarms, lag))

    def add_replica_alarm(self, source: PayloadBucketNames, replica: ReplicaNames) -> None:
        """Add `ReplicaLate`, in the replica's Region: CloudWatch alarms cannot use another Region's metrics."""
        hour, region = Duration.hours(1).to_seconds(), replica.place.region
        self._add_alarm("ReplicaLate", _lag(source, replica), threshold=hour, region=region)

    def add_graph(self, widget: cloudwatch.IWidget) -> None:
        """Add a graph without an alarm to the dashboard."""
        self._graphs.append(widget)

    def add_dashboard(self, about: str) -> None:
        """Add the stack's dashboard, with all alarms and graphs added before. `about` describes the stack."""
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
        self,
        title: str,
        metrics: Mapping[str, cloudwatch.IMetric],
        *,
        left: Sequence[cloudwatch.IMetric] = (),
        right: Sequence[cloudwatch.IMetric] = (),
        **options: Any,
    ) -> None:
        """Add alarms with the same options, by name, and one graph of `left`, by default of their metrics."""
        alarms = [self._add_alarm(name, metric, **options) for name, metric in metrics.items()]
        self.add_graph(graph(title, left or [*metrics.values()], alarms, right))

    def _add_expression(
        self,
        name: str,
        expression: str,
        metrics: Mapping[str, cloudwatch.IMetric],
        *,
        period: Duration | None = None,
        **options: Any,
    ) -> None:
        """Add an alarm on an expression that is 1 in a period with a problem. Other graphs have its metrics."""
        self._add_alarm(
            name,
            cloudwatch.MathExpression(
                expression=expression, using_metrics=metrics, period=period or Duration.minutes(5)
            ),
            **options,
        )

    def _add_alarm(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        *,
        prefix: str = "",
        threshold: float = 1,
        periods: int = 1,
        datapoints: int | None = None,
        **values: object,
    ) -> cloudwatch.Alarm:
        """Return a new alarm `<prefix><name>`, with the text of that name, otherwise of `name`."""
        text, name = TEXTS[prefix + name if prefix + name in TEXTS else name], prefix + name
        link = f" Details: {self._runbook}#{name.rpartition('-')[2].lower()}" if self._runbook else ""
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=f"{self._stack.stack_name}-{name}",
            alarm_description=text.format(**values) + link,
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            datapoints_to_alarm=datapoints,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            # These metrics count failures or waiting messages. Without data there are none.
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        self._alarms.append(alarm)
        return alarm

    def _topic(self, defaults: Defaults) -> sns.Topic:
        """Return the topic. CloudWatch publishes to an encrypted topic only if the key's policy allows it."""
        key = stack_key(self, defaults)
        topic = PrivateTopic(self, "Topic", topic_name=f"{self._stack.stack_name}-operations", key=key)
        topic.add_to_resource_policy(self._allow_alarms("PublishAlarms", ["sns:Publish"], topic.topic_arn))
        if key:
            key.add_to_resource_policy(self._allow_alarms("EncryptAlarms", USE, "*"))
        for email in defaults.operations.emails:
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
    )

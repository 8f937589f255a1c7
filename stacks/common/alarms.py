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

from stacks.common.dashboard import FIVE_MINUTES, Dashboard, graph
from stacks.common.dead_letter_queue import DeadLetterQueue
from stacks.common.defaults import Defaults
from stacks.common.function import Function
from stacks.common.topic import EncryptedTopic
from stacks.deployment.names import PayloadBucketNames, Place, ReplicaNames

ERRORS = {
    "UntrustedStore": "A message points to a bucket that this subscriber does not trust. Nothing was read. Treat it as "
    "a security event: find out who sent the message. Do not redrive it.",
    "MalformedMessage": "A message has invalid attributes or an invalid pointer. It was rejected. Find out who sent "
    "it. Do not redrive it.",
    "PayloadCorrupt": "Size or SHA-256 of a payload differ from its message. It was not passed to the application. "
    "Keep the message and the object, and compare the object's versions.",
}
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
        self._add_depth_alarm(
            name,
            queue,
            f"Messages or events are in {queue.literal_name}: they could not be processed. They are deleted after "
            f"{queue.retention_days} days. Fix the cause, then run `coatcheck redrive`.",
        )

    def add_undelivered_alarm(self, queue: DeadLetterQueue) -> None:
        """Add `UndeliveredNotEmpty`. One message raises it."""
        self._add_depth_alarm(
            "Undelivered",
            queue,
            f"SNS could not deliver messages to this subscriber. They are in {queue.literal_name}, which deletes them "
            f"after {queue.retention_days} days. Deploy the subscriber's stack again, then run `coatcheck redrive "
            "--from undelivered`.",
        )

    def _add_depth_alarm(self, name: str, queue: sqs.IQueue, description: str) -> None:
        depth = queue.metric_approximate_number_of_messages_visible(statistic="Maximum", period=Duration.minutes(1))
        alarm = self._add(f"{name}NotEmpty", depth, description)
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
        alarm = self._add(
            "QueueLate",
            age,
            f"The oldest message in {queue_name} is older than all its receives should take. Nothing is lost until the "
            "queue's retention period ends. Check ConsumeFails and ConsumeThrottled; otherwise raise "
            "maximum_concurrency.",
            threshold=threshold.to_seconds(),
        )
        visible = queue.metric_approximate_number_of_messages_visible(statistic="Maximum", period=FIVE_MINUTES)
        self._graphs.append(
            graph("Queue: age of oldest message in seconds (left), visible messages (right)", [age], [alarm], [visible])
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

        Lambda, SQS or Step Functions retry a failed invocation, so that only lasting errors raise an alarm.

        Args:
            name: The first part of the alarms' names.
            function: The function.
            dead_letters: The destination of failed asynchronous invocations. None for a function that is invoked
                synchronously.
            throttled_on_purpose: Whether the function's concurrency is limited, so that throttles are normal.
        """
        errors, throttles = function.metric_errors(period=FIVE_MINUTES), function.metric_throttles(period=FIVE_MINUTES)
        alarms = [
            self._add(
                f"{name}Fails",
                errors,
                f"{function.service} has had errors for 15 minutes. Its events are retried and then go to a "
                f"dead-letter queue. Read its log group /aws/lambda/{function.service}.",
                periods=3,
            )
        ]
        if not throttled_on_purpose:
            alarms.append(
                self._add(
                    f"{name}Throttled",
                    throttles,
                    f'Lambda has throttled {function.service} for 15 minutes. Events wait. Check the quota "Concurrent '
                    "executions\" and the function's reserved concurrency.",
                    periods=3,
                )
            )
        self._log_groups.append(function.log_group.log_group_name)
        self._graphs.append(
            graph(
                f"{name}: errors and throttles (left), invocations (right)",
                [errors, throttles],
                alarms,
                [function.metric_invocations(period=FIVE_MINUTES)],
            )
        )
        if dead_letters:
            self._add_event_alarms(name, function, dead_letters)

    def _add_event_alarms(self, name: str, function: Function, dead_letters: DeadLetterQueue) -> None:
        """Add the alarms of events that wait for a function: Lambda keeps them for six hours."""
        age = function.metric("AsyncEventAge", statistic="Maximum", period=FIVE_MINUTES)
        late = self._add(
            f"{name}Late",
            age,
            f"An event has been waiting for {function.service} for an hour. After six hours it goes to "
            f"{dead_letters.literal_name}. Check the alarms {name}Fails and {name}Throttled.",
            threshold=Duration.hours(1).to_milliseconds(),
        )
        lost = function.metric("DestinationDeliveryFailures", statistic="Sum", period=FIVE_MINUTES)
        self._add(
            f"{name}Lost",
            lost,
            f"Lambda could not write a failed event to {dead_letters.literal_name}. The event is lost unless it is "
            "sent again. Deploy the stack again, then follow the runbook.",
        )
        title = f"{name}: age of oldest event in milliseconds (left), events lost (right)"
        self._graphs.append(graph(title, [age], [late], [lost]))

    def add_error_alarms(self, function: Function, errors: Sequence[str] = tuple(ERRORS)) -> None:
        """Add an alarm for each of the errors, by the metric in which the function counts it."""
        metrics = {error: function.own_metric(error, statistic="Sum", period=FIVE_MINUTES) for error in errors}
        alarms = [self._add(error, metric, ERRORS[error]) for error, metric in metrics.items()]
        self._graphs.append(graph("Rejected messages by error", list(metrics.values()), alarms))

    def add_execution_alarms(self, machine: sfn.StateMachine) -> None:
        """Add `ExecutionsFailed` and `ExecutionsTimedOut`. A failed execution has to be redriven in Step Functions."""
        failed, timed_out = machine.metric_failed(period=FIVE_MINUTES), machine.metric_timed_out(period=FIVE_MINUTES)
        alarms = [
            self._add(
                "ExecutionsFailed",
                failed,
                "An execution failed. Its message will not be delivered again. Fix the cause and redrive the execution "
                "within 14 days.",
            ),
            self._add(
                "ExecutionsTimedOut",
                timed_out,
                "An execution timed out. Its message will not be delivered again. Redrive the execution within 14 "
                "days.",
            ),
        ]
        self._graphs.append(
            graph(
                "Executions: failed (left), started and succeeded (right)",
                [failed, timed_out],
                alarms,
                [machine.metric_started(period=FIVE_MINUTES), machine.metric_succeeded(period=FIVE_MINUTES)],
            )
        )

    def add_topic_alarms(self, topic: sns.ITopic) -> None:
        """Add `NotDelivered` and `DeliveryLost`, for messages after SNS's last attempt."""
        undelivered = topic.metric("NumberOfNotificationsRedrivenToDlq", statistic="Sum", period=FIVE_MINUTES)
        lost = topic.metric("NumberOfNotificationsFailedToRedriveToDlq", statistic="Sum", period=FIVE_MINUTES)
        alarms = [
            self._add(
                "NotDelivered",
                undelivered,
                "SNS stopped retrying a message. It is in a subscriber's undelivered queue. Ask the subscriber whose "
                "UndeliveredNotEmpty alarm is on to redrive it.",
            ),
            self._add(
                "DeliveryLost",
                lost,
                "A message is lost to one subscriber: SNS could not deliver it, nor write it to the undelivered queue. "
                "Applications of that subscriber miss it. Deploy that subscriber's stacks, then publish again under "
                "the same ids.",
            ),
        ]
        self._graphs.append(
            graph(
                "Deliveries: undelivered and lost (left), published and delivered (right)",
                [undelivered, lost],
                alarms,
                [
                    topic.metric_number_of_messages_published(period=FIVE_MINUTES),
                    topic.metric_number_of_notifications_delivered(period=FIVE_MINUTES),
                ],
            )
        )

    def add_rule_alarms(
        self, rules: Mapping[str, events.Rule], *, function: Function, dead_letters: DeadLetterQueue
    ) -> None:
        """Add an alarm for each rule that invokes the function, by the alarm's name."""
        self._add_rule_alarms(
            rules,
            "InvocationsFailedToBeSentToDlq",
            f"EventBridge could not invoke {function.service} for 24 hours, nor write the event to "
            f"{dead_letters.literal_name}. The event is lost; an upload is still in outbox/. Deploy the stack again.",
        )

    def add_forwarding_alarms(self, rules: Mapping[str, events.Rule]) -> None:
        """Add an alarm for each rule that forwards events of AWS to the subscriber's bus, by the alarm's name.

        These rules have no dead-letter queue: their events are no messages.
        """
        self._add_rule_alarms(
            rules,
            "FailedInvocations",
            "EventBridge could not forward the event of an execution to the subscriber's bus. The execution is "
            "unaffected. Deploy the stack again, then list failed executions.",
        )

    def add_failed_tasks_alarm(self, rule: events.Rule, *, dead_letters: DeadLetterQueue) -> None:
        """Add `TaskFailuresLost`, for the rule that writes failed tasks to the dead-letter queue."""
        self._add_rule_alarms(
            {"TaskFailuresLost": rule},
            "FailedInvocations",
            f"EventBridge could not write a failed task to {dead_letters.literal_name}. Its message was not processed "
            "and is not in the queue. Deploy the stack again, then look for stopped tasks as the runbook says.",
        )

    def _add_rule_alarms(self, rules: Mapping[str, events.Rule], metric_name: str, description: str) -> None:
        metrics = {name: _rule_metric(rule, metric_name) for name, rule in rules.items()}
        alarms = [self._add(name, metric, description) for name, metric in metrics.items()]
        # Labels are for the graph alone: an alarm with a label is metric math, which the emulator lacks.
        labelled = [metric.with_(label=name) for name, metric in metrics.items()]
        self._graphs.append(graph("Rules: events lost", labelled, alarms))

    def add_replication_alarms(self, source: PayloadBucketNames, replicas: Iterable[ReplicaNames]) -> None:
        """Add `<region>-NotReplicated` for each replica. Its lag is an alarm of the replica's own stack."""
        failed = {replica: _replication("OperationsFailedReplication", "Sum", source, replica) for replica in replicas}
        alarms = [
            self._add(
                "NotReplicated",
                metric,
                f"S3 could not replicate a payload into {replica.place.region}. No message is affected: readers use "
                "the publisher's bucket. Deploy the publisher's stacks again.",
                qualifier=replica.place.region,
            )
            for replica, metric in failed.items()
        ]
        self._graphs.append(
            graph(
                "Replication: failed operations (left), lag in seconds (right)",
                [metric.with_(label=replica.place.region) for replica, metric in failed.items()],
                alarms,
                [
                    _lag(source, replica).with_(region=replica.place.region, label=replica.place.region)
                    for replica in failed
                ],
            )
        )

    def add_replica_alarm(self, source: PayloadBucketNames, replica: ReplicaNames) -> None:
        """Add `ReplicaLate`, in the replica's Region: CloudWatch alarms cannot use another Region's metrics."""
        self._add(
            "ReplicaLate",
            _lag(source, replica),
            f"Replication into {replica.place.region} is an hour behind. No message is affected: readers use the "
            "publisher's bucket. Wait, unless it lasts for hours.",
            threshold=Duration.hours(1).to_seconds(),
        )

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
        self,
        name: str,
        metric: cloudwatch.IMetric,
        description: str,
        *,
        qualifier: str | None = None,
        threshold: float = 1,
        periods: int = 1,
    ) -> cloudwatch.Alarm:
        """Add an alarm. `qualifier` distinguishes alarms of the same name in a stack."""
        full_name = f"{qualifier}-{name}" if qualifier else name
        alarm = cloudwatch.Alarm(
            self,
            full_name,
            alarm_name=f"{self._stack.stack_name}-{full_name}",
            alarm_description=f"{description} Details: {self._runbook}#{name.lower()}"
            if self._runbook
            else description,
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
        return iam.PolicyStatement(
            sid=sid,
            principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
            actions=list(actions),
            resources=[resource],
            conditions={
                "StringEquals": {"aws:SourceAccount": stack.account},
                "ArnLike": {
                    "aws:SourceArn": Place(stack.account, stack.region)
                    .named("cloudwatch", f"{stack.stack_name}-*", "alarm:")
                    .arn
                },
            },
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

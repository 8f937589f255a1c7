"""The dashboard of a stack: advice, the states of alarms, graphs and the last errors."""

from collections.abc import Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stacks.common.function import Function

_ADVICE = """\
# {stack}
{about}

1. Each red alarm below has a section of its name in {runbook}: cause, fix and check.
2. Messages in a dead-letter queue or an undelivered queue are not lost before the queue's retention period ends. Fix \
the cause, then run `coatcheck redrive` as in the runbook: it lists the messages first.
3. To follow a message through all accounts, search the log groups for its `message_id`.
"""
_ERRORS = [
    "fields @timestamp, service, message_id, message, exception_name",
    'filter level = "ERROR"',
    "sort @timestamp desc",
    "limit 20",
]


class Dashboard(cloudwatch.Dashboard):
    """A dashboard named after its stack."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        about: str,
        runbook: str | None,
        alarms: Sequence[cloudwatch.IAlarm],
        graphs: Sequence[cloudwatch.IWidget],
        log_groups: Sequence[str],
    ) -> None:
        stack = Stack.of(scope).stack_name
        link = f"[the runbook]({runbook})" if runbook else "the runbook"
        advice = _ADVICE.format(stack=stack, about=about, runbook=link)
        status_height = 2 + -(-len(alarms) // 4)
        super().__init__(scope, id, dashboard_name=stack, default_interval=Duration.hours(12))
        self.add_widgets(cloudwatch.TextWidget(markdown=advice, width=24, height=6))
        self.add_widgets(
            cloudwatch.AlarmStatusWidget(title="Alarms", alarms=list(alarms), width=24, height=status_height)
        )
        for start in range(0, len(graphs), 2):
            self.add_widgets(*graphs[start : start + 2])
        if log_groups:
            self.add_widgets(
                cloudwatch.LogQueryWidget(
                    title="Last errors", log_group_names=[*log_groups], query_lines=_ERRORS, width=24, height=6
                )
            )


def graph(
    title: str,
    left: Sequence[cloudwatch.IMetric],
    alarms: Sequence[cloudwatch.Alarm] = (),
    right: Sequence[cloudwatch.IMetric] = (),
) -> cloudwatch.GraphWidget:
    """Return a graph, with the thresholds of its alarms as lines."""
    return cloudwatch.GraphWidget(
        title=title,
        left=list(left),
        right=list(right),
        left_annotations=[alarm.to_annotation() for alarm in alarms],
        left_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
        right_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
        width=12,
        height=6,
    )


def traffic_graph(function: Function, bytes_metric: str, *time_metrics: str) -> cloudwatch.GraphWidget:
    """Return a graph of the function's own metrics: durations and bytes."""
    times = [
        function.own_metric(name, statistic).with_(label=f"{name} {statistic}")
        for name in time_metrics
        for statistic in ("p50", "p99")
    ]
    return graph("Durations in milliseconds (left), bytes (right)", times, right=[function.own_metric(bytes_metric)])


def queue_graph(title: str, *, queue_name: str, region: str) -> cloudwatch.GraphWidget:
    """Return a graph of a queue in another Region. The queue's alarm is in that Region."""
    depth = cloudwatch.Metric(
        namespace="AWS/SQS",
        metric_name="ApproximateNumberOfMessagesVisible",
        dimensions_map={"QueueName": queue_name},
        region=region,
        statistic="Maximum",
        period=Duration.minutes(1),
    )
    return graph(f"{title}: visible messages ({region})", [depth])

"""A monthly budget for SageMaker, with notifications by e-mail."""

from aws_cdk import aws_budgets as budgets
from constructs import Construct

from stacks.deployment.research import BudgetConfig

_Budget = budgets.CfnBudget
NOTIFICATIONS = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
"""Type of cost and percentage of the budget for each notification."""


class MonthlyBudget(budgets.CfnBudget):
    """A budget for all of SageMaker in the account.

    It has no filter by tag: CloudFormation cannot activate a tag for cost allocation.
    """

    def __init__(self, scope: Construct, id: str, *, settings: BudgetConfig) -> None:
        subscribers = [
            _Budget.SubscriberProperty(subscription_type="EMAIL", address=email) for email in settings.emails
        ]
        super().__init__(
            scope,
            id,
            budget=_Budget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=_Budget.SpendProperty(amount=settings.monthly_usd, unit="USD"),
                cost_filters={"Service": ["Amazon SageMaker"]},
            ),
            notifications_with_subscribers=[
                _Budget.NotificationWithSubscribersProperty(
                    notification=_Budget.NotificationProperty(
                        notification_type=notification_type,
                        comparison_operator="GREATER_THAN",
                        threshold=percentage,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=subscribers,
                )
                for notification_type, percentage in NOTIFICATIONS
            ],
        )

"""The monthly budget."""

from tests.stacks.policies import Template, only


def test_budget_notifies_at_80_and_100_per_cent(template: Template) -> None:
    budget = only(template, "AWS::Budgets::Budget")["Properties"]
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 500, "Unit": "USD"}
    assert budget["Budget"]["TimeUnit"] == "MONTHLY"
    entries = budget["NotificationsWithSubscribers"]
    assert [(e["Notification"]["NotificationType"], e["Notification"]["Threshold"]) for e in entries] == [
        ("ACTUAL", 80),
        ("ACTUAL", 100),
        ("FORECASTED", 100),
    ]
    addresses = {subscriber["Address"] for entry in entries for subscriber in entry["Subscribers"]}
    assert addresses == {"research-it@example.com"}

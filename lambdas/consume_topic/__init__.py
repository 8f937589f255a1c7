"""The consume function of a subscriber without a queue. It runs an ECS task with each hand-off.

handler.py       the event, record by record
settings.py      the function's settings
task.py          a hand-off -> a task
idempotency.py   the tasks that were started, by message id
"""

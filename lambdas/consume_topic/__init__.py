"""Is invoked by the topic with each message, and runs an ECS task with its hand-off.

handler.py       the event, record by record
settings.py      the function's settings
task.py          a hand-off -> a task
idempotency.py   the tasks that were started, by message id
"""

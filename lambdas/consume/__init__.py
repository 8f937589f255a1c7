"""The part that consume functions share: a message is proved, processed by own code, and handed off.

consumer.py        the steps of one message
own_code.py        the application's `process`, with its time limit
read_bytes.py      the bytes that own code reads
application.py     the application that the environment names
state_machine.py   the hand-off to a Step Functions execution
ecs_task.py        the hand-off to an ECS task
idempotency.py     the tasks that were started, by message id
settings.py        settings of each application
"""

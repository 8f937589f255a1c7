"""The consume function of a subscriber with a queue. It starts an execution of the state machine with each hand-off.

handler.py       the batch, record by record
settings.py      the function's settings
execution.py     a hand-off -> an execution
dead_letter.py   a record with a permanent error -> the dead-letter queue, with its reason
"""

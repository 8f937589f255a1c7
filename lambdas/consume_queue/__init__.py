"""Polls the subscriber's queue, dereferences each message and starts a state machine with it.

handler.py       environment -> arguments; the batch, record by record
execution.py     a handover -> an execution
dead_letter.py   a record there is no hope for -> the dead-letter queue, with its reason
"""

"""The consume function of a subscriber with a queue.

handler.py       the batch, record by record, each with `consume.consumer`
settings.py      the function's settings
dead_letter.py   a record with a permanent error -> the dead-letter queue, with its reason
"""

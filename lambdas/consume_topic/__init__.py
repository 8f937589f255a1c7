"""The consume function of a subscriber without a queue.

handler.py       the event, record by record, each with `consume.consumer`
settings.py      the function's settings
dead_letter.py   an event with a permanent error -> the dead-letter queue, with its reason
"""

"""The publish function, for events of the publisher's bus and uploads in the outbox.

handler.py    an EventBridge event, from the bus or about an upload
settings.py   the function's settings
event.py      an event of the bus -> a message
upload.py     an upload in the outbox -> a message
metadata.py   an upload's metadata -> message attributes
report.py     an event on the sender's bus: its message was published, or refused
dead_letter.py  a refused event -> a dead letter
"""

"""Publishes what reaches the publisher's doors: events from the bus, uploads from the outbox.

handler.py   environment -> arguments; which door
event.py     an event of the bus -> a message
upload.py    an upload in the outbox -> a message
metadata.py  an upload's metadata -> attributes
group.py     a name -> a message group of a FIFO topic
"""

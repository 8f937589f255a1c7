"""The cost model: the costs of a deployment without messages, and of a million messages.

prices.py     the price table, prices.toml or a file of the same form
fixed.py      the resources of a template that cost money without messages
traffic.py    one message -> the billed requests and bytes, hop by hop
storage.py    a payload's storage over its lifetime, by storage class
limits.py     messages per second until the first quota of AWS, quotas.toml
command.py    `coatcheck cost`
"""

from typing import Literal

Route = Literal["bus", "outbox", "library"]
"""How a message is sent."""

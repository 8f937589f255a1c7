"""`coatcheck redrive`: dead letters are sent back after their cause is fixed.

command.py        table, question and result
sources.py        the queues and state machines that dead letters are read from
dead_letter.py    the forms of a dead letter: its reason, and the event or message to send
targets.py        the queue, function or state machine that it is sent to
"""

from typing import Literal

Origin = Literal["dead-letters", "undelivered", "pipeline", "executions"]

"""`coatcheck redrive`: the redrive of dead letters after their cause is fixed.

command.py        the table, the question, and the sending
sources.py        the queues and state machines that contain dead letters
dead_letter.py    the forms of a dead letter: its reason, and the event or message to send
targets.py        the queue, function or state machine that receives it
"""

from typing import Literal

Origin = Literal["dead-letters", "undelivered", "pipeline", "executions"]

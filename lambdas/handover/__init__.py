"""What a consume function hands on to the application behind it: a pointer and a summary, never the payload."""

from handover.deadline import Deadline, OutOfTime
from handover.elapsed import Stopwatch, milliseconds_since
from handover.handover import Handover, take_over

__all__ = ["Deadline", "Handover", "OutOfTime", "Stopwatch", "milliseconds_since", "take_over"]

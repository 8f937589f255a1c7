"""What a consume function hands on to the application behind it: a pointer and a summary, never the payload."""

from shared.deadline import Deadline, OutOfTime
from shared.elapsed import Stopwatch, milliseconds_since
from shared.handoff import Handover, take_over

__all__ = ["Deadline", "Handover", "OutOfTime", "Stopwatch", "milliseconds_since", "take_over"]

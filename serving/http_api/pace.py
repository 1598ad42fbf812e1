"""Says how long work would take that is asked for now, by how quickly work has ended lately."""

from dataclasses import dataclass, field

__all__ = ["Pace"]


_FIRST_SECONDS = 0.002  # a unit, before anything was measured
_FIRST_UNITS = 50.0
_KEPT = 0.9  # of what is known, for each piece of work that ends


@dataclass
class Pace:
    """Seconds a unit of work takes a process, all its threads together, and the units not ended yet.

    Time counts while there is work, from the end of one piece to the end of the next; seconds and units fade alike, so
    that the pace is their ratio and no mean of ratios, in which small pieces would count as much as large ones. Two
    threads may be quicker than one, so what one has shown is on the safe side.
    """

    pending: float = 0.0
    _pieces: int = 0
    _since: float = 0.0
    _seconds: float = field(default=_FIRST_SECONDS * _FIRST_UNITS)
    _units: float = field(default=_FIRST_UNITS)

    @property
    def seconds_per_unit(self) -> float:
        """What a unit takes while there is work."""
        return self._seconds / self._units

    def begin(self, units: float, now: float) -> None:
        """A piece of work was taken on."""
        if not self._pieces:
            self._since = now
        self.pending += units
        self._pieces += 1

    def end(self, units: float, now: float, *, is_done: bool) -> None:
        """It has ended; what failed or never began teaches nothing."""
        self.pending -= units
        self._pieces -= 1
        if is_done:
            self._seconds = _KEPT * self._seconds + max(now - self._since, 0.0)
            self._units = _KEPT * self._units + units
            self._since = now

    def seconds_until(self, units: float, *, threads: int) -> float:
        """Until all that is pending and then these units have ended, which run beside the work of other threads."""
        return (self.pending + units * threads) * self.seconds_per_unit

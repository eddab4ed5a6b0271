"""How far another machine's clock is from this one's, by the date of its answers over HTTP."""

import time
from email.utils import parsedate_to_datetime

from poise.doctor.finding import Finding

#: Seconds. Storage refuses what is signed a quarter of an hour off; who is alive is told by beats.
_MUCH, _TOO_MUCH = 3.0, 60.0


def skew_s(date: str | None, asked: float, answered: float | None = None) -> float | None:
    """Return by how many seconds at least a clock is ahead of ours; None where nobody can tell.

    Args:
        date: the answer's ``Date``, which is cut to full seconds.
        asked: our clock, when it was asked.
        answered: our clock when the answer was there; now where not given.
    """
    try:
        theirs = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return None
    ahead = theirs - (time.time() if answered is None else answered)
    behind = asked - (theirs + 1)
    return ahead if ahead > 0 else -max(behind, 0.0)


def clock_finding(name: str, off_s: dict[str, float | None]) -> Finding:
    """Say how far clocks are from ours; ``off_s`` has what `skew_s` gave, by who was asked."""
    known = {who: off for who, off in off_s.items() if off is not None}
    if not known:
        return Finding(name, "skipped", "no answer says what time it is")
    worst = max(known, key=lambda who: abs(known[who]))
    off = known[worst]
    if abs(off) < _MUCH:
        return Finding(name, "ok", f"{', '.join(known)}: within {_MUCH:g} s of this machine's")
    return Finding(
        name,
        "failed" if abs(off) > _TOO_MUCH else "warning",
        f"the clock of {worst} is {abs(off):,.0f} s {'ahead of' if off > 0 else 'behind'} ours",
        "set both by a time server: timedatectl set-ntp true",
    )

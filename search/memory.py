"""What the kernel of this machine does when its memory runs out: it ends a process.

Nobody tells Ray why a worker was ended from outside. But the kernel counts whom it has ended so.
"""

from __future__ import annotations

from pathlib import Path


def ended() -> int:
    """How many processes the kernel has ended for memory since it started; 0 if it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:  # another system
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)

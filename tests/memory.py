"""How much memory a process took at most.

Not `getrusage`: a process that is started by a large one begins with that one's maximum.
"""

import re
from pathlib import Path


def peak_mb() -> int:
    """Return the highest resident memory of this process so far, in MB."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="utf-8"))[1]) >> 10

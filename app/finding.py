"""What one check of an index found."""

from dataclasses import dataclass
from typing import Literal

from quarry.indexer.messages import Message

Severity = Literal["ok", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check.

    Attributes:
        name: Identifies the check.
        severity: How bad the finding is.
        message: What was found.
        remedy: The command that fixes it; empty when there is nothing to fix.
    """

    name: str
    severity: Severity
    message: Message
    remedy: str = ""

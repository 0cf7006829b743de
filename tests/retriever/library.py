"""The documents of a small library that searches are tried on, and what its stages report."""

from quarry.indexer.records import Document

DOCUMENTS = [
    Document(
        "loans.md", "# Loans\n\nBorrow ten books for thirty days. Renew books twice online.", "Loans", {"lang": "en"}
    ),
    Document(
        "printer.md", "# 3D printer\n\nThe PR-200 takes PLA filament. Clean the nozzle.", "3D printer", {"lang": "en"}
    ),
    Document("借书.md", "# 借书\n\n每位读者可以借十本书，借期三十天，可以在网上续借两次。", "借书", {"lang": "zh"}),
    Document("hours.md", "Page one.\n\f\nThe library opens at nine and closes at eight.", "Hours", {"lang": "en"}),
]


def stages(answer) -> dict[str, str]:
    return {report.stage: report.status for report in answer.stages}

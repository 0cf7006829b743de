"""How long the long proofs run: short here and in CI, as long as one likes by hand (docs/reliability.md).

QUARRY_TEST_KILLS=200 QUARRY_TEST_PLACES=200 pytest -m slow tests/indexer tests/training
"""

import os

KILLS = int(os.environ.get("QUARRY_TEST_KILLS", "25"))  # how often a writer is killed
PLACES = int(os.environ.get("QUARRY_TEST_PLACES", "60"))  # where a bit is flipped or a file cut

"""How long the long proofs run: short here and in CI, as long as one likes by hand (docs/reliability.md).

QUARRY_TEST_KILLS=200 pytest --timeout 0 -m slow -k kill tests/indexer tests/training tests/app/cli/test_index_watch.py
"""

import os

KILLS = int(os.environ.get("QUARRY_TEST_KILLS", "25"))  # how often a writer is killed

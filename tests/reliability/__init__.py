"""The promises of docs/reliability.md, tried at any size: `python -m tests.reliability kills|damage|files`."""

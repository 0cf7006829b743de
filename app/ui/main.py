"""The frame for tests that start it here; `quarry ui` starts `app/ui/entry/main.py`."""

from app.ui.frame import frame

frame()

"""What `quarry ui` starts.

It has its own folder for two reasons. Streamlit puts this folder first on `sys.path`, so nothing else may be in it. And
Streamlit serves each file of a folder `pages` beside the main script under its own address, without this frame.
"""

from quarry.app.ui.shared.frame import frame

frame()

"""What `quarry ui` starts.

It stands in a folder of its own for two reasons. Streamlit puts this folder first on `sys.path`, so nothing else may be in
it. And where a folder `pages` is beside the main script, Streamlit serves each file in it by its own address, without this frame.
"""

from quarry.app.ui.shared.frame import frame

frame()

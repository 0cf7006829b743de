"""What every page uses.

session       the index, the visitor, the language and the models; `current()` is the door
frame         language and navigation around every page
password      the form in front of the app
jobs          long work in the background
shown_text    foreign text made safe; messages of the library in the interface's language
vocabulary    names that several pages share
fault         how a page shows an error
data_folders  which folders a visitor may read
"""

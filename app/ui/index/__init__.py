"""The page Index and models: generations and switching, the doctor's checks, disk space, models, folders.

`presenter` turns manifests, checks and models into rows; `pages/index.py` draws them and switches generations. While there is
no index yet, `first` asks for a folder and shows it being indexed. `folders` lists what the index was made from; `removal` shows what
would be taken out, and takes it out, for that tab and for the page Documents.
"""

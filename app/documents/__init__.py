"""The documents of an index as people look at them: what is in it, how it was cut, what was left out, and the original files.

catalog     the list, with conditions and pages, and one document with its passages
originals   the file that a document came from, by the document's id alone
skips       the files that the last runs could not read, and why
"""

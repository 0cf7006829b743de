"""Word, PowerPoint, Excel and OpenDocument. All of it runs in the worker process.

word        text in reading order, notes, comments, headers, text boxes      numbering: the numbers that Word counts
slides      text and notes of each slide
sheets      rows as the sheet shows them                                      formulas: values of formulas never calculated
open_document   text, spreadsheets and presentations of OpenDocument
ooxml       what the three formats of Microsoft share: charts, picture descriptions, the strict dialect
"""

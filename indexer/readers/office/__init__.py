"""Word, PowerPoint, Excel and OpenDocument. All of it runs in the worker process.

word        text in reading order, notes, comments, headers, text boxes      numbering: the numbers that Word counts
slides      text and notes of each slide
sheets      rows as the sheet shows them                                      formulas: values of formulas never calculated
number_formats   numbers as their formats show them                       sheet_drawings: what lies beside the cells
open_document   text, spreadsheets and presentations of OpenDocument      open_lists: numbers of lists; open_forms: fields
ooxml       what the three formats of Microsoft share: charts, picture descriptions, the strict dialect
"""

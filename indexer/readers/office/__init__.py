"""Word, PowerPoint and Excel. All of it runs in the worker process.

word        text in reading order, notes, comments, headers, text boxes      numbering: the numbers that Word counts
slides      text and notes of each slide
sheets      rows as the sheet shows them                                      formulas: values of formulas never calculated
ooxml       what the three formats share: charts, picture descriptions, the strict dialect
"""

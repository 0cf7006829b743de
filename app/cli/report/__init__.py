"""Reports to pass on: one HTML page with pictures, which loads nothing and runs nothing.

page          headings, paragraphs, tables and pictures, escaped
charts        pictures as SVG
evaluation    the page of `quarry evaluate --html`
comparison    the page of `quarry compare --html`
diagnosis     the page of `quarry diagnose --html`
state         the page of `quarry report --html`
"""

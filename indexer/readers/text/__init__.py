"""Formats that are text: small files of them are read in this process.

plain text, Markdown with its facts, tables        plain; front_matter
JSON, rows                                         rows
HTML and XML; reStructuredText and the like        markup; light_markup
subtitles, notebooks, rich text                    subtitles, notebook, rtf
"""

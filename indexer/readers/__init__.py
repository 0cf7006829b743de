"""One reader per format: bytes in, text with headings and pages out, or a refusal with its reason.

    bytes                                                    archive looks into zip files first: no bombs, no escapes
    -> which reader                                          formats
    -> text formats, in this process                         charset, plain, rows, markup; front_matter
    -> binary formats, in a process with limits              sandbox, serving, worker -> pdf, books, office
    -> `Reading`: text, headings, pages, what was left out   base

Tables of every format go through one model, `tables`. A file that cannot be read is `Unreadable`, with a reason (reasons has
its words) that reports count; what a reader leaves out of a file that it does read is counted in `Reading`.
"""

"""One reader per format: bytes in, text with headings and pages out, or a refusal with its reason.

    bytes                                                    archive looks into zip files first: no bombs, no escapes
    -> which reader                                          formats, registry
    -> small files of text, in this process                  charset, text
    -> all others, in a process with limits                  sandbox, serving, worker -> pdf, books, office, mail, text
    -> lines that repeat over the pages of a site            repeated
    -> `Reading`: text, headings, pages, what was left out   base, left_out

Tables of every format go through one model, `tables`. A file that cannot be read is `Unreadable`, with a reason (reasons has
its words) that reports count; what a reader leaves out of a file that it does read is counted in `Reading`.
"""

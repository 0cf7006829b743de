"""What stands around a passage, and how its document is built.

    results -> each with its section or its neighbours, within a budget of tokens    context
    a document -> its headings with their extent, and one section with its text      outline

Passages are found small, because small ones are told apart best, and read large, because answers need what stands around them.
"""

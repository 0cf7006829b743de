"""The Search page.

    asked         what is asked: the page's address holds the same
    form          query field, options and filters
    presenter     words and HTML of hits and degraded stages
    hit           draws one result; judging stores what a visitor says about it
    why_panel     draws why a result has its rank; why has its rows and words
    answer_panel  draws an answer with its sources; answer_presenter has its words
    export        results as JSON and CSV
    upload_panel  adds files to the index; upload_presenter has its words

`pages/search.py` runs: form -> searcher -> degraded notice -> answer -> hits -> uploads.
"""

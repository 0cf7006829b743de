"""The Evaluate page: search methods of an index compared on questions with known answers.

    job        measures and saves search methods in the background
    presenter  saved evaluations as rows: labels, means, differences, remarks
    groups     figures by language, length or metadata
    queries    single questions: worst first, what was found and missed
    charts     altair charts of the presenter's rows
    own_judgements  what users judged, as the first data set
    one_question    one question under two search methods, side by side; `two_rankings` says what moved
    panel      draws all of it

`pages/evaluate.py` starts a job and opens what it saved; `presenter.named_runs` names the runs that are shown together.
"""

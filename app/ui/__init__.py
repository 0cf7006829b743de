"""The web app: four pages over one index, drawn by Streamlit.

    entry/main.py     what `quarry ui` starts; server.py is the process behind it
    pages/            one script per page: gathers input, calls one function, draws rows
    search/ evaluate/ feedback/ index/ training/
                      what the pages draw: panels (Streamlit) and presenters (rows and sentences, no Streamlit)
    shared/           session, jobs, password, safe text, vocabulary

A page asks `shared.session.current()` for its session first; it holds the index, the language and the models. A presenter
takes `say`, which picks English or Chinese, and returns plain text or inert HTML; panels decide nothing. Long work is a job
(`shared.jobs`), so that every visitor sees its progress and a click elsewhere does not stop it.
"""

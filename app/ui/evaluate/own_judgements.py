"""What users judged, as a data set of the Evaluate page: written next to the evaluations, and again whenever the log has grown."""

import streamlit as st

from quarry.app.ui.evaluate.presenter import OWN_JUDGEMENTS
from quarry.app.ui.shared.data_folders import DataChoice
from quarry.app.ui.shared.fault import show_fault
from quarry.app.ui.shared.session import Session
from quarry.indexer.errors import SearchError
from quarry.training.examples.rows import write_beir


def own_judgements(session: Session) -> tuple[DataChoice, ...]:
    """Return the data set of the index's own judgements; nothing when no document was judged."""
    say, folder = session.say, session.index / OWN_JUDGEMENTS
    try:
        log = session.feedback()
        size = len(log)
        if st.session_state.get("evaluate.judged") != size or not folder.is_dir():
            grades = {query: found for query, found in log.document_grades().items() if any(found.values())}
            if not grades:
                return ()
            write_beir(folder, grades)
            st.session_state["evaluate.judged"] = size
    except SearchError as err:
        show_fault(say("The judgements cannot be read.", "无法读取标注。"), err, say)
        return ()
    return (DataChoice(say("What your users judged", "您的用户的标注"), folder),)

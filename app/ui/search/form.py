"""The query field, the options, and the address of the page, which holds the same."""

from itertools import islice
from typing import TYPE_CHECKING, cast

import streamlit as st

from quarry.app.ui.search import filters, indexes
from quarry.app.ui.search import presenter as words
from quarry.app.ui.search.answer_presenter import answer_help, has_model, rewrite_help
from quarry.app.ui.search.asked import COUNTS, DEFAULT_COUNT, ROUTES, Asked
from quarry.app.ui.search.filter_presenter import MODIFIED, SOURCE, Offer, changed_on, folder_counts
from quarry.app.ui.shared.rerankers import rerankers
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import label
from quarry.app.ui.shared.vocabulary import method_name

if TYPE_CHECKING:
    from quarry.retriever.ranking import Route
    from quarry.retriever.searcher import Searcher

_TITLES_READ = 200


def ask(session: Session, searcher: "Searcher") -> Asked:
    """Draw the query field and the options, update the address, and return what is asked."""
    can_rerank = bool(rerankers(session, searcher.index.manifest))
    default = Asked(route="hybrid" if searcher.index.vectors is not None else "bm25", rerank=can_rerank)
    offer, tries = _offers(str(session.index), searcher.index.generation, searcher)
    _follow_address(session, default, offer)
    say = session.say
    with st.form("ask", border=False), st.container(horizontal=True, gap="small", key="ask-row"):
        st.text_input(
            say("Your question, or keywords", "您的问题，或关键词"),
            key="q",
            type="search",
            placeholder=say("Ask in English or Chinese", "可以用中文或英文提问"),
            label_visibility="collapsed",
        )
        st.form_submit_button(say("Search", "搜索"), type="primary")
    _options(session, offer, can_rerank=can_rerank)
    asked = _asked(session, offer)
    if not asked.query.strip():
        _try_buttons(session, tries)
    _keep_address(asked, default)
    return asked


@st.cache_resource(max_entries=4, show_spinner=False)
def _offers(index: str, generation: str, _searcher: "Searcher") -> tuple[Offer, list[str]]:  # noqa: ARG001 (the key)
    """The filter menus and the examples of a generation."""
    chunks = _searcher.index.chunks
    titles = [document.title for document in islice(chunks.documents(), _TITLES_READ)]
    from quarry.demo_corpus import QUESTIONS, documents_path

    is_demo = str(documents_path()) in chunks.roots().values()
    values = chunks.meta_values()
    offer = Offer(
        words.filter_menus(values), folder_counts(values.get(SOURCE, ())), changed_on(values.get(MODIFIED, ()))
    )
    return offer, words.examples(QUESTIONS if is_demo else (), titles)


def _follow_address(session: Session, default: Asked, offer: Offer) -> None:
    """Fill the fields from an address that changed (a link, reload, back), or from the last question on return."""
    state = st.session_state
    params = {name: st.query_params.get_all(name) for name in st.query_params}
    if params and params != state.get("address"):
        _fill(session, Asked.from_params(params, default), offer)
    elif "q" not in state:
        _fill(session, state.get("asked", default), offer)


def _fill(session: Session, asked: Asked, offer: Offer) -> None:
    state = st.session_state
    state.q, state.route, state.rerank, state.k = asked.query, asked.route, asked.rerank, asked.k
    state.with_answer, state.with_copies, state.newest = asked.answer, asked.copies, asked.newest
    state.with_rewrite = asked.rewrite
    indexes.fill(session, asked.indexes)
    filters.fill(asked.filters, offer)


def _asked(session: Session, offer: Offer) -> Asked:
    state = st.session_state
    return Asked(
        query=state.q,
        route=cast("Route", state.route or "hybrid"),
        rerank=bool(state.rerank),
        k=state.k or DEFAULT_COUNT,
        filters=filters.chosen(offer),
        answer=bool(state.get("with_answer")),
        copies=bool(state.get("with_copies")),
        newest=bool(state.get("newest")),
        indexes=indexes.chosen(session),
        rewrite=bool(state.get("with_answer") and state.get("with_rewrite")),
    )


def _keep_address(asked: Asked, default: Asked) -> None:
    state = st.session_state
    params = asked.to_params(default)
    if {name: st.query_params.get_all(name) for name in st.query_params} != params:
        st.query_params.from_dict(params)
    state.address, state.asked = params, asked


def _options(session: Session, offer: Offer, *, can_rerank: bool) -> None:
    say = session.say
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="options"):
        st.segmented_control(
            say("Search by", "检索方式"),
            ROUTES,
            key="route",
            required=True,
            help=words.route_help(say),
            format_func=lambda route: method_name(route, say),
            label_visibility="collapsed",
        )
        st.segmented_control(say("Results", "结果数"), COUNTS, key="k", required=True, label_visibility="collapsed")
        if not can_rerank:
            st.session_state.rerank = False
        st.toggle(say("Rerank", "重排"), key="rerank", help=words.rerank_help(say), disabled=not can_rerank)
        st.toggle(say("Answer", "回答"), key="with_answer", help=answer_help(say))
        if st.session_state.get("with_answer") and has_model():
            st.toggle(say("Rewrite", "改写问题"), key="with_rewrite", help=rewrite_help(say))
        filters.filter_menus(session, offer)
    indexes.choose(session)


def _try_buttons(session: Session, tries: list[str]) -> None:
    if not tries:
        return
    st.caption(session.say("For example:", "例如："))
    with st.container(gap=None):
        for number, text in enumerate(tries):
            st.button(
                label(text), key=f"try-{number}", icon=":material/search:", type="tertiary", on_click=_try, args=(text,)
            )


def _try(text: str) -> None:
    st.session_state.q = text

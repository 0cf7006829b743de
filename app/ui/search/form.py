"""The query field, the options, and the address of the page, which holds the same."""

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, cast

import streamlit as st

from quarry.app.ui.search import presenter as words
from quarry.app.ui.search.answer_presenter import answer_help
from quarry.app.ui.search.asked import COUNTS, DEFAULT_COUNT, ROUTES, Asked
from quarry.app.ui.shared.rerankers import rerankers
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import label, safe
from quarry.app.ui.shared.vocabulary import method_name
from quarry.indexer.errors import BadFilter
from quarry.indexer.storage.conditions import expression_of, is_comparison, parse_expression

if TYPE_CHECKING:
    from quarry.retriever.ranking import Route
    from quarry.retriever.searcher import Searcher

_TITLES_READ = 200
_SOURCE = "source"


def ask(session: Session, searcher: "Searcher") -> Asked:
    """Draw the query field and the options, update the address, and return what is asked."""
    can_rerank = bool(rerankers(session, searcher.index.manifest))
    default = Asked(route="hybrid" if searcher.index.vectors is not None else "bm25", rerank=can_rerank)
    menus, tries = _offers(str(session.index), searcher.index.generation, searcher)
    _follow_address(default, menus)
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
    _options(session, menus, can_rerank=can_rerank)
    asked = _asked(menus)
    if not asked.query.strip():
        _try_buttons(session, tries)
    _keep_address(asked, default)
    return asked


@st.cache_resource(max_entries=4, show_spinner=False)
def _offers(index: str, generation: str, _searcher: "Searcher") -> tuple[dict[str, dict[str, int]], list[str]]:  # noqa: ARG001 (the key)
    """The filter menus and the examples of a generation."""
    chunks = _searcher.index.chunks
    titles = [document.title for document in islice(chunks.documents(), _TITLES_READ)]
    from quarry.demo_corpus import QUESTIONS, documents_path

    is_demo = str(documents_path()) in chunks.roots().values()
    return words.filter_menus(chunks.meta_values()), words.examples(QUESTIONS if is_demo else (), titles)


def _follow_address(default: Asked, menus: dict[str, dict[str, int]]) -> None:
    """Fill the fields from an address that changed (a link, reload, back), or from the last question on return."""
    state = st.session_state
    params = {name: st.query_params.get_all(name) for name in st.query_params}
    if params and params != state.get("address"):
        _fill(Asked.from_params(params, default), menus)
    elif "q" not in state:
        _fill(state.get("asked", default), menus)


def _fill(asked: Asked, menus: dict[str, dict[str, int]]) -> None:
    state = st.session_state
    state.q, state.route, state.rerank, state.k = asked.query, asked.route, asked.rerank, asked.k
    state.with_answer, state.with_copies = asked.answer, asked.copies
    wanted = dict(asked.filters)
    state.f_more = "; ".join(
        expression_of(key, value)
        for key, values in asked.filters
        for value in values
        if key != _SOURCE and (key not in menus or is_comparison(value))
    )
    state.f_source = (wanted.get(_SOURCE) or ("",))[0]
    for key, values in menus.items():
        state[f"f-{key}"] = [value for value in wanted.get(key, ()) if value in values]


def _asked(menus: dict[str, dict[str, int]]) -> Asked:
    state = st.session_state
    filters = {key: tuple(state.get(f"f-{key}") or ()) for key in menus}
    filters[_SOURCE] = (state.f_source.strip(),) if state.f_source.strip() else ()
    for key, value in _more(state.get("f_more") or ""):
        filters[key] = (*filters.get(key, ()), value)
    return Asked(
        query=state.q,
        route=cast("Route", state.route or "hybrid"),
        rerank=bool(state.rerank),
        k=state.k or DEFAULT_COUNT,
        filters=tuple((key, values) for key, values in filters.items() if values),
        answer=bool(state.get("with_answer")),
        copies=bool(state.get("with_copies")),
    )


def _keep_address(asked: Asked, default: Asked) -> None:
    state = st.session_state
    params = asked.to_params(default)
    if {name: st.query_params.get_all(name) for name in st.query_params} != params:
        st.query_params.from_dict(params)
    state.address, state.asked = params, asked


def _options(session: Session, menus: dict[str, dict[str, int]], *, can_rerank: bool) -> None:
    say = session.say
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
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
        chosen = sum(
            bool(st.session_state.get(name)) for name in (*(f"f-{key}" for key in menus), "f_source", "f_more")
        )
        with st.popover(say("Filters", "筛选") + (f" ({chosen})" if chosen else ""), icon=":material/filter_list:"):
            _filters(session, menus)


def _filters(session: Session, menus: dict[str, dict[str, int]]) -> None:
    say = session.say
    for key, counted in menus.items():
        st.multiselect(
            label(words.filter_name(key, say)),
            list(counted),
            key=f"f-{key}",
            placeholder=say("any", "不限"),
            format_func=_with_count(counted),
        )
    st.text_input(
        say("Source (* matches anything)", "来源（* 匹配任意字符）"), key="f_source", placeholder="documents/zh/*"
    )
    st.text_input(
        say("Other conditions, with ; between them", "其他条件，用 ; 分隔"),
        key="f_more",
        placeholder="date>=2024-04-01; tags=budget",
    )
    st.toggle(
        say("Show copies", "显示重复内容"),
        key="with_copies",
        help=say(
            "Passages that say the same are otherwise shown once, with the names of the others.",
            "内容相同的段落平时只显示一次，并列出其余各处。",
        ),
    )


def _more(text: str) -> list[tuple[str, str]]:
    """Return the conditions of the free field; what is none becomes a filter that the search refuses with its reason."""
    found = []
    for expression in filter(None, (part.strip() for part in text.replace("；", ";").split(";"))):
        try:
            found.append(parse_expression(expression))
        except BadFilter:
            found.append((expression, "*"))
    return found


def _with_count(counted: dict[str, int]) -> Callable[[str], str]:
    """Menu entries are shown as plain text, so only control characters are removed."""
    return lambda value: f"{safe(value)} ({counted[value]})"


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

"""The indexes that a search asks: the app's own, and those of `quarry ui INDEX --also OTHER`, of which a visitor chooses."""

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from quarry.app.ui.shared.everyone import check_everyone_may_see
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import label

if TYPE_CHECKING:
    from quarry.retriever.results import Answer
    from quarry.retriever.searcher import Searcher
    from quarry.retriever.several import Several

ALSO_VARIABLE = "QUARRY_UI_ALSO"  # folders, as a JSON list
KEY = "indexes"


@dataclass(frozen=True, slots=True)
class Side:
    """One index that is searched: a session in front of it, and its searcher."""

    session: Session
    searcher: "Searcher"


@dataclass(frozen=True, slots=True)
class Sides:
    """The indexes that are searched, by name; a single one has the name "", as its results have."""

    by_name: Mapping[str, Side]

    @property
    def first(self) -> Side:
        """The first of them."""
        return next(iter(self.by_name.values()))

    @property
    def generation(self) -> str:
        """Which generations answer."""
        return "\0".join(f"{name} {side.searcher.index.generation}" for name, side in self.by_name.items())

    def several(self) -> "Several | None":
        """Return them as one; None for a single one."""
        from quarry.retriever.several import Several

        if len(self.by_name) < 2:
            return None
        return Several({name: side.searcher for name, side in self.by_name.items()})

    def of(self, answer: "Answer", name: str) -> "Answer":
        """Return the part of an answer that one index gave: what is judged there is kept there."""
        if not name:
            return answer
        own = tuple(result for result in answer.results if result.index == name)
        return replace(answer, results=own, generation=self.by_name[name].searcher.index.generation)


def every_index(session: Session) -> dict[str, Path]:
    """Return all indexes by name, the app's own first; one for an app that was started with one."""
    from quarry.retriever.several import names_of

    also = [Path(root) for root in json.loads(os.environ.get(ALSO_VARIABLE) or "[]")]
    return names_of([session.index, *also])


def choose(session: Session) -> None:
    """Draw which indexes are searched; nothing for an app that was started with one."""
    names = list(every_index(session))
    if len(names) < 2:
        return
    say = session.say
    st.session_state.setdefault(KEY, names)
    st.pills(
        say("Indexes", "索引"),
        names,
        key=KEY,
        selection_mode="multi",
        format_func=label,
        help=say(
            "Each is searched with its own model; results are merged, and each names its index. With none chosen, all are searched.",
            "各索引用自己的模型检索，结果合并显示并注明所属索引。一个都不选时检索全部。",
        ),
    )


def fill(session: Session, names: Collection[str]) -> None:
    """Choose the indexes of some names; all where no index has such a name."""
    every = list(every_index(session))
    st.session_state[KEY] = [name for name in every if name in names] or every


def chosen(session: Session) -> tuple[str, ...]:
    """Return the names of the chosen indexes; empty for all of them."""
    names = list(every_index(session))
    picked = [name for name in st.session_state.get(KEY) or () if name in names]
    return () if len(picked) == len(names) else tuple(picked)


def opened(session: Session, names: tuple[str, ...]) -> Sides:
    """Open the indexes of some names, all for none; the page stops where one has documents that not everybody may see.

    Raises:
        IndexFormatError: If one is gone or damaged.
    """
    roots = {name: root for name, root in every_index(session).items() if not names or name in names}
    sides: dict[str, Side] = {}
    for name, root in roots.items():
        check_everyone_may_see(root, session.say)
        own = replace(session, index=root)
        sides["" if len(roots) == 1 else name] = Side(own, own.searcher())
    return Sides(sides)

"""The text search of ``GET /lead/?query=``, which Close has deprecated: words, and ``status:"Bad Fit"``."""

from __future__ import annotations

import re

from sqlalchemy import ColumnElement, FromClause, func, select

from deployments.sandbox import schema
from deployments.sandbox.conditions import has_words

_TERM = re.compile(r'(?:(?P<key>[a-z_]+):)?(?:"(?P<phrase>[^"]*)"|(?P<word>\S+))')
STATUS = ("status", "lead_status")
IGNORED = ("sort", "slice")


def text_query(query: str, lead: FromClause) -> list[ColumnElement[bool]]:
    """What must hold for leads to be found by *query*; ``*`` and ``sort:…`` ask for nothing.

    Words are looked for at the beginning of words of the name, phrases anywhere in it. A ``key:`` that isn't known here
    is read as part of the text.
    """
    clauses: list[ColumnElement[bool]] = []
    for term in _TERM.finditer(query):
        key, phrase, word = term["key"], term["phrase"], term["word"]
        value = phrase if word is None else word
        if key in IGNORED or value == "*":
            continue
        if key in STATUS:
            statuses = schema.statuses
            label = func.lower(statuses.c.label) == value.lower()
            clauses.append(lead.c.status_id.in_(select(statuses.c.id).where(label)))
        elif key == "id":
            clauses.append(lead.c.id == value)
        else:
            text = value if key in (None, "name", "company") else f"{key} {value}"
            clauses.append(has_words(lead.c.words, text, "beginning_of_words" if word else "phrase"))
    return clauses

"""From what people paste, or a Smart View stores, to a query."""

from collections.abc import Iterator, Mapping
from typing import cast

from pydantic import ValidationError

from tasks.close.problems import problems, quoted
from tasks.close.query.nodes import DEEPEST, NODE_TYPES, Query, is_deeper, parse
from tasks.close.query.rewrite import UnusableQuery
from tasks.close.request import JSON

TOO_DEEP = f"it is nested more than {DEEPEST} levels deep; write it with fewer groups inside groups"


def unwrap(document: JSON) -> tuple[Query, int | None]:
    """Return the query inside *document*, and the ``results_limit`` next to it.

    *document* is a bare node; the wrapper that a Smart View stores and *Copy Filters* copies, ``{"query": node,
    "results_limit": …, "sort": …}``; or a whole Smart View, which has either under ``s_query``. Close's bulk endpoints
    take the bare node. Empty groups that say nothing are left out.

    Raises `UnusableQuery` for anything else.
    """
    if is_deeper(document, _inside, 2 * DEEPEST):  # a level of a query is an object and a list
        raise UnusableQuery(TOO_DEEP)
    node, limit = _wrapped(document)
    node = _without_empty_groups(node)
    if _has_empty_group(node):
        raise UnusableQuery("one of its groups is empty, and may mean every lead or none; complete or remove the group")
    try:
        return parse(node), limit
    except ValidationError as error:
        raise UnusableQuery(problems(error, node)) from None


def _wrapped(document: JSON) -> tuple[JSON, int | None]:
    """The bare node inside *document*, and its limit."""
    kind = document.get("type")
    is_view = "s_query" in document or str(document.get("id")).startswith("save_")
    if is_view and kind not in NODE_TYPES:
        stored = _stored(document)
        node, limit = (stored, None) if "type" in stored else _wrapped(stored)
        return node, limit if limit is not None else _limit(document)
    if "type" in document:
        return document, None
    node = document.get("query")
    if not isinstance(node, Mapping):
        raise UnusableQuery("this is neither a query node (with a type) nor what Close's Copy Filters copies")
    return cast("JSON", node), _limit(document)


def _stored(view: JSON) -> JSON:
    """The ``s_query`` of a whole Smart View."""
    kind, stored = view.get("type"), view.get("s_query")
    if kind not in (None, "lead"):
        raise UnusableQuery(f"this is a Smart View of {kind} objects; only those of leads can be used")
    if view.get("is_user_dependent"):
        raise UnusableQuery("this Smart View depends on the current user; name the user in it instead")
    if not isinstance(stored, Mapping) or "s_query" in stored:
        raise UnusableQuery(
            "its s_query holds no query: a legacy text view can't be used; save it again with Close's filters"
        )
    return cast("JSON", stored)


def _limit(document: JSON) -> int | None:
    limit = document.get("results_limit")
    if limit is not None and type(limit) is not int:  # one that we can't read must not become "no limit"
        raise UnusableQuery(f"its results_limit is {quoted(limit)}; it must be a whole number or null")
    return limit


def _inside(value: object) -> Iterator[object]:
    match value:
        case Mapping():
            yield from cast("Mapping[str, object]", value).values()
        case list() | tuple():
            yield from cast("list[object]", value)
        case _:
            pass


def _without_empty_groups(node: JSON) -> JSON:
    """*node* without the groups that Close's UI adds where only its search box is used.

    An empty ``and`` says nothing inside an ``and`` with another part. Negated, as an ``or``, alone or inside an ``or``
    it would mean every lead or none, so it isn't left out there.
    """
    changed = {
        key: _without_empty_groups(cast("JSON", inner)) if isinstance(inner, Mapping) else inner
        for key, inner in node.items()
    }
    queries = node.get("queries")
    if isinstance(queries, list):
        inner = [
            _without_empty_groups(cast("JSON", each)) if isinstance(each, Mapping) else each
            for each in cast("list[object]", queries)
        ]
        if node.get("type") == "and" and not all(map(_is_empty_group, inner)):
            inner = [each for each in inner if not _says_nothing(each)]
        changed["queries"] = inner
    return changed


def _is_empty_group(node: object) -> bool:
    match node:
        case {"type": "and" | "or", "queries": []}:
            return True
        case _:
            return False


def _says_nothing(node: object) -> bool:
    match node:
        case {"type": "and", "queries": []}:
            known = cast("JSON", node)
            return known.get("negate", False) is False and len(known) == 2 + ("negate" in known)
        case _:
            return False


def _has_empty_group(value: object) -> bool:
    return _is_empty_group(value) or any(map(_has_empty_group, _inside(value)))

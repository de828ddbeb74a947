"""From the labels and names that people write to the ids of Close."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tasks.close.problems import quoted
from tasks.close.query.check import check
from tasks.close.query.nodes import Query
from tasks.close.query.paste import TOO_DEEP, unwrap
from tasks.close.query.rewrite import UnusableQuery, inline
from tasks.close.resources import CustomField, LeadStatus, SmartView
from tasks.criteria.spelling import one_form
from tasks.criteria.wording import did_you_mean
from tasks.runs.outcomes import Refused

_Object = TypeVar("_Object", LeadStatus, CustomField, SmartView)


@dataclass(frozen=True, kw_only=True)
class Names:
    """The objects behind the names in the criteria. Raises `Refused` for unknown and ambiguous names."""

    statuses: Sequence[LeadStatus] = ()
    custom_fields: Sequence[CustomField] = ()
    smart_views: Sequence[SmartView] = ()
    keep_view: str | None = None
    """The organisation's own never-delete Smart View, by name or id."""

    related_fields: Sequence[CustomField] = ()
    """The custom fields of contacts and opportunities that queries compare with days."""

    @property
    def field_types(self) -> Mapping[str, str]:
        """The types of the custom fields, by their ids."""
        return {each.id: each.type for each in (*self.custom_fields, *self.related_fields)}

    def status_id(self, name: str) -> str:
        """The id of the lead status with this label or id."""
        return _find("lead status", name, self.statuses, lambda status: status.label).id

    def custom_field(self, name: str) -> CustomField:
        """The lead custom field with this name or id."""
        return _find("lead custom field", name, self.custom_fields, lambda field: field.name)

    def smart_view(
        self, name: str, *, allow_unknown: bool = False, allowed_by: str = "", may_limit: bool = False
    ) -> Query:
        """The query of the Smart View with this name or id, including the views nested in it.

        Unless *may_limit*, a view that shows only its first leads is refused: "the 50 oldest" must not become all.
        """
        return _usable(
            f"Smart View {quoted(name)}",
            lambda: inline(self._stored(name, may_limit=may_limit), self._nested),
            allow_unknown=allow_unknown,
            allowed_by=allowed_by,
        )

    def pasted(
        self, setting: str, document: dict[str, object], *, allow_unknown: bool = False, allowed_by: str = ""
    ) -> Query:
        """The query pasted into the parameter *setting*, including the views nested in it."""
        return _usable(
            setting,
            lambda: inline(unwrap(document)[0], self._nested),
            allow_unknown=allow_unknown,
            allowed_by=allowed_by,
        )

    def _nested(self, view_id: str) -> Query:
        """A view nested in a query. It may not be limited: "not among the first 50" would become "not among any"."""
        return self._stored(view_id, may_limit=False, instead="remove the limit in Close")

    def _stored(self, name: str, *, may_limit: bool, instead: str = "remove the limit, use limits.batch") -> Query:
        view = _find("Smart View", name, self.smart_views, lambda each: each.name)
        if view.type != "lead":
            raise UnusableQuery(f"{view.name!r} is a view of {view.type} objects; only views of leads can be used")
        if view.s_query is None:
            raise UnusableQuery(f"{view.name!r} is a legacy text view; save it again with Close's filters")
        if view.is_user_dependent:
            raise UnusableQuery(f"{view.name!r} depends on the current user; name the user in it instead")
        query, limit = unwrap(view.s_query)
        if limit is not None and not may_limit:
            raise UnusableQuery(f"{view.name!r} shows only its first {limit} leads; {instead}")
        return query


def _usable(what: str, read: Callable[[], Query], *, allow_unknown: bool, allowed_by: str) -> Query:
    try:
        query = read()
        check(query, allow_unknown=allow_unknown, allowed_by=allowed_by)
    except UnusableQuery as error:
        raise Refused(f"{what} can't be used: {error}.") from None
    except RecursionError:  # of Smart Views in Smart Views
        raise Refused(f"{what} can't be used: {TOO_DEEP}.") from None
    return query


def _find(kind: str, name: str, objects: Sequence[_Object], label: Callable[[_Object], str]) -> _Object:
    wanted = one_form(name)
    found = [each for each in objects if wanted in (each.id, one_form(label(each)))]
    if not found:
        raise Refused(f"There is no {kind} {quoted(name)}{did_you_mean(name, map(label, objects))}")
    if len(found) > 1:
        ids = ", ".join(each.id for each in found)
        raise Refused(f"More than one {kind} is called {quoted(name)}; use an id instead: {ids}.")
    return found[0]

"""The organisation, the user behind the key, and the objects behind the names in the criteria."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.close.query.freeze import owners_of_days
from tasks.close.query.nodes import SavedSearch, parts
from tasks.close.query.paste import unwrap
from tasks.close.resources import FieldOwner, LeadStatus, Me, Membership, Organization
from tasks.criteria.names import Names
from tasks.criteria.policy import Keep, Match

if TYPE_CHECKING:  # `lead-cleanup query` without names needs none
    from tasks.close.client import CloseClient

RELATED_OWNERS: tuple[FieldOwner, ...] = ("contact", "opportunity")
ROLES_WITHOUT_BULK_DELETE = {"user", "restricted_user"}
"""Close documents that these built-in roles may not bulk delete; we guess their ids by that of ``admin``. It doesn't
document which permission a custom role needs, so there we rely on Close to refuse."""


@dataclass(frozen=True)
class Needed:
    """Which of the organisation's names a cleanup uses, so that no others are read."""

    statuses: bool
    custom_fields: bool
    smart_views: bool
    keep_view: str | None
    with_days: frozenset[str] = frozenset()
    """The object types whose custom fields a pasted query compares with days, for which their types are read."""

    @property
    def nothing(self) -> bool:
        """Whether the criteria use none of them."""
        return not (self.statuses or self.custom_fields or self.smart_views or self.with_days)

    @classmethod
    def by(cls, match: Match, keep: Keep, keep_view: str | None) -> "Needed":
        """What the criteria and the organisation's never-delete Smart View (*keep_view*, a name or id) use."""
        documents = [each for each in (match.s_query, keep.s_query) if each is not None]
        pasted = [unwrap(each)[0] for each in documents]
        return cls(
            statuses=bool(match.status or keep.status),
            custom_fields=bool(match.custom_fields or keep.custom_fields),
            smart_views=bool(match.smart_view or keep.smart_view or keep_view)
            or any(isinstance(part, SavedSearch) for query in pasted for part in parts(query)),
            keep_view=keep_view,
            with_days=frozenset(owners_of_days(documents)),
        )

    def read(self, close: "CloseClient", statuses: Sequence[LeadStatus]) -> Names:
        """Read them from Close, which has already shown its lead *statuses*."""
        views = close.smart_views() if self.smart_views else ()
        with_days = self.with_days | set(owners_of_days([each.s_query for each in views]))
        return Names(
            statuses=statuses if self.statuses else (),
            custom_fields=close.custom_fields("lead") if self.custom_fields or "lead" in with_days else (),
            related_fields=[
                field for owner in RELATED_OWNERS if owner in with_days for field in close.custom_fields(owner)
            ],
            smart_views=views,
            keep_view=self.keep_view,
        )


@dataclass(frozen=True)
class Account:
    """The organisation and the user that a key acts for. *membership* is the user's place in the organisation."""

    organization: Organization
    user: Me
    membership: Membership
    names: Names

    @property
    def role(self) -> str:
        """The id of the user's role: for built-in roles a word, such as ``admin``."""
        return self.membership.role_id or "unknown role"

    @property
    def notes(self) -> tuple[str, ...]:
        """What is always kept, and the `warnings`, in sentences."""
        view = self.names.keep_view
        return (*([f"Leads of the Smart View {view!r} are always kept."] if view else []), *self.warnings)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the key's user may not do or see."""
        granted, role = self.membership.permissions_granted, self.membership.role_id
        sees_all = granted is None or role == "admin" or "view_all_leads" in granted
        return (
            *([] if self.may_delete else [f"The role {role} of this key's user may not bulk delete."]),
            *([] if sees_all else ["This key's user doesn't see all leads: only those it sees are counted."]),
        )

    @property
    def may_delete(self) -> bool:
        """False where it is certain that the key's user may not bulk delete."""
        return self.role not in ROLES_WITHOUT_BULK_DELETE


def survey(close: "CloseClient", needed: Needed) -> Account:
    """Check the key, and read the organisation and the *needed* names."""
    user = close.me()  # first, since only its refusal proves that the key is wrong
    statuses = close.lead_statuses()
    organization = close.organization(close.organization_id(statuses))
    return Account(organization, user, _membership(organization, user), needed.read(close, statuses))


def _membership(organization: Organization, user: Me) -> Membership:
    for each in (*organization.memberships, *user.memberships):
        if each.user_id == user.id and each.organization_id in {None, organization.id}:
            return each
    return Membership()

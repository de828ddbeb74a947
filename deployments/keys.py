"""The API keys in Secret blocks: tried at Close, each for its organisation, and never replaced without a yes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from getpass import getpass
from typing import TYPE_CHECKING, NamedTuple, cast

from pydantic import SecretStr, ValidationError

from deployments.organizations import Organization
from deployments.prefect_yaml import Deployment
from flows.console.asking import ask_whether, somebody_is_there
from tasks.close import resources
from tasks.close.client import CloseClient
from tasks.close.errors import CloseError, NotAllowed, WrongKey, WrongOrganization
from tasks.close.settings import CloseSettings, settings_problem
from tasks.criteria.wording import did_you_mean

if TYPE_CHECKING:
    from prefect.blocks.system import Secret

REFUSED = (WrongKey, NotAllowed, WrongOrganization)


class WrongKeys(Exception):
    """There is no key to deploy with. The message is one sentence that says what to do."""


class Owner(NamedTuple):
    """Whose key it is."""

    user: str
    organization: resources.Organization

    def __str__(self) -> str:
        """``ada@example.com, Sandbox Inc.``, for people."""
        return f"{self.user}, {self.organization.name}"


@dataclass(frozen=True)
class Wanted:
    """A Secret block that deployments name. *settings* have CLOSE_API_KEY, if that is meant for this block."""

    block: str
    settings: CloseSettings
    organization: Organization | None = None

    @property
    def given(self) -> str | None:
        """The key in CLOSE_API_KEY."""
        return self.settings.api_key.get_secret_value() if self.settings.api_key else None


def wanted(
    deployments: Iterable[Deployment], organizations: Sequence[Organization], settings: CloseSettings, name: str | None
) -> list[Wanted]:
    """The blocks that *deployments* name.

    CLOSE_API_KEY of *settings* is for the organisation that is called *name*, or else for the deployments of none: if
    those name several blocks, nobody can tell for which, and it is for none. Raises `WrongKeys` for an unknown name.
    """
    by_block = {each.secret_block: each for each in organizations}
    if name and name not in (names := [each.name for each in organizations]):
        raise WrongKeys(f"There is no organisation {name!r} in organizations.yaml{did_you_mean(name, names)}")
    blocks = sorted({each.block for each in deployments if each.block})
    others = [each for each in blocks if each not in by_block]
    if name or len(others) > 1:
        settings_of_others = settings.model_copy(update={"api_key": None, "organization_id": None})
    else:
        settings_of_others = settings
    found = [Wanted(each, settings_of_others) for each in others]
    for block in blocks:
        if organization := by_block.get(block):
            own = organization.close_settings()
            if organization.name == name:
                own = own.model_copy(update={"api_key": settings.api_key})
            found.append(Wanted(block, own, organization))
    return found


def ensure(wanted: Wanted, *, replace: bool) -> str:
    """Leave a key in the block that Close accepts, and return a sentence on whose it is.

    CLOSE_API_KEY becomes the key if there is none yet, or if *replace* or the person at the terminal says so. Without
    it the person is asked for one. Raises `WrongKeys`, before anything is saved. A key that is kept for one of the
    organisations and that Close refuses by now is only said: it stops none but that organisation's own runs.
    """
    block, given, kept = wanted.block, wanted.given, _kept(wanted.block)
    if kept is None:
        key = given or ask(wanted)
        source = "taken from CLOSE_API_KEY and kept" if given else "kept"
        return _saved(block, key, f"Key of {owner(wanted, key)}, {source}")
    if given is None or given == kept:
        return f"{_owner_of_kept(wanted, kept)}, kept in {block}."
    whose = owner(wanted, given)
    if not replace and not somebody_is_there():
        raise WrongKeys(
            f"CLOSE_API_KEY (that of {whose}) is another key than the one kept in {block}, so nothing is deployed: "
            "make deploy REPLACE_KEY=1 replaces it; without CLOSE_API_KEY it stays."
        )
    question = f"CLOSE_API_KEY is another key than the one kept in {block}: that of {whose}. Replace it?"
    if replace or ask_whether(question, otherwise="keeps it"):
        return _saved(block, given, f"Key of {whose}, replaces the one kept")
    return f"{_owner_of_kept(wanted, kept)}, still kept in {block}; CLOSE_API_KEY is not used."


def ask(wanted: Wanted) -> str:
    """The key that the person at the terminal types, unseen. Raises `WrongKeys` without one."""
    key = getpass(f"Close API key for {wanted.block}: ") if somebody_is_there() else ""
    if key.strip():
        return key
    if wanted.organization:
        raise _missing([wanted.organization.name])
    raise WrongKeys("No API key was given, so nothing is deployed. Set CLOSE_API_KEY or answer the question.")


def check_that_all_can_be_had(wanted: Iterable[Wanted]) -> None:
    """Raise `WrongKeys` if organisations have no key and nobody is there to type it."""
    without = (each.organization.name for each in wanted if each.organization and _kept(each.block) is None)
    if not somebody_is_there() and (names := list(without)):
        raise _missing(names)


def _missing(names: Sequence[str]) -> WrongKeys:
    return WrongKeys(
        f"There is no key yet for {', '.join(names)} of organizations.yaml, so nothing is deployed: set CLOSE_API_KEY "
        f"to that of {names[0]}, and run make deploy ORGANIZATION={names[0]}."
    )


def _kept(block: str) -> str | None:
    from prefect.blocks.system import Secret  # whose key it is can be asked without Prefect

    try:
        found = cast("Secret[str]", Secret.load(block))  # pyright: ignore[reportUnknownMemberType]
    except ValueError:
        return None
    return str(found.get())


def save(block: str, key: SecretStr) -> None:
    """Keep *key* in *block*, in place of any other."""
    from prefect.blocks.system import Secret

    Secret(value=key).save(block, overwrite=True)  # pyright: ignore[reportUnknownMemberType]


def _saved(block: str, key: str, sentence: str) -> str:
    save(block, SecretStr(key))
    return f"{sentence} in {block}."


def owner(wanted: Wanted, key: str) -> Owner:
    """Whose it is. Raises `WrongKeys` unless Close accepts the key."""
    try:
        with CloseClient(wanted.settings.with_api_key(key)) as close:
            user, organization = close.me(), close.organization(close.organization_id())
            return Owner(user.email or user.id, organization)
    except ValidationError as error:
        raise WrongKeys(f"Nothing is deployed. {settings_problem(error)}") from None
    except WrongOrganization as error:
        of = f"the key for {wanted.block} is not that of {wanted.organization.name}: " if wanted.organization else ""
        raise WrongKeys(f"Nothing is deployed, since {of}{error}") from error
    except CloseError as error:
        raise WrongKeys(f"Nothing is deployed, since the key for {wanted.block} could not be tried: {error}") from error


def _owner_of_kept(wanted: Wanted, key: str) -> str:
    """``Key of …``; but a key that was accepted before needn't be tried if Close is unavailable."""
    try:
        return f"Key of {owner(wanted, key)}"
    except WrongKeys as error:
        cause, organization = error.__cause__, wanted.organization
        if isinstance(cause, CloseError) and not isinstance(cause, REFUSED):
            return f"The key could not be tried ({cause})"
        if organization and isinstance(cause, WrongKey | NotAllowed):
            return f"Runs of {organization.name} will be refused, since Close refuses its key ({cause})"
        raise WrongKeys(f"{error} The key is kept in {wanted.block}: set CLOSE_API_KEY to another one.") from error

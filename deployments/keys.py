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
from tasks.plan.account import Needed, survey
from tasks.runs.wording import with_full_stop

if TYPE_CHECKING:
    from prefect.blocks.system import Secret

REFUSED = (WrongKey, NotAllowed, WrongOrganization)
NO_NAMES = Needed(statuses=False, custom_fields=False, smart_views=False, keep_view=None)


class WrongKeys(Exception):
    """There is no key to deploy with. The message is one sentence that says what to do."""


class Owner(NamedTuple):
    """Whose key it is."""

    user: str
    organization: resources.Organization
    warnings: tuple[str, ...] = ()
    """What the user may not do or see."""

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

    @property
    def command(self) -> str:
        """The command that replaces the key in the block by CLOSE_API_KEY."""
        of = f"ORGANIZATION={self.organization.name} " if self.organization else ""
        return f"make deploy {of}REPLACE_KEY=1"


def wanted(
    deployments: Iterable[Deployment], organizations: Sequence[Organization], settings: CloseSettings, name: str | None
) -> list[Wanted]:
    """The blocks that *deployments* name.

    CLOSE_API_KEY of *settings* is for the organisation that is called *name*, or else for the deployments of none: if
    those name several blocks, nobody can tell for which, and it is for none. Raises `WrongKeys` for an unknown name.
    """
    by_block = {each.secret_block: each for each in organizations}
    if name and name not in (names := [each.name for each in organizations]):
        unknown = f"There is no organisation {name!r} in organizations.yaml{did_you_mean(name, names)}"
        raise WrongKeys(f"{with_full_stop(unknown)} Nothing is deployed.")
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


def check_that_one_is_replaced(wanted: Sequence[Wanted], settings: CloseSettings) -> None:
    """Raise `WrongKeys` if CLOSE_API_KEY of *settings* isn't set, or is for none of the blocks."""
    if any(each.given for each in wanted):
        return
    if settings.api_key is None:
        said = "CLOSE_API_KEY is not set: set it to the new key."
    elif names := [each.organization.name for each in wanted if each.organization]:
        others = f" (or {', '.join(names[1:])})" if names[1:] else ""
        said = f"Whose key is CLOSE_API_KEY? Say make deploy ORGANIZATION={names[0]} REPLACE_KEY=1{others}."
    else:
        said = "prefect.yaml doesn't tell for which Secret block CLOSE_API_KEY is: replace the key in Prefect."
    raise WrongKeys(f"{said} Nothing is replaced or deployed.")


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
        return _save_and_say(block, key, owner(wanted, key), source)
    if given is None or given == kept:
        return _about_kept(wanted, kept, f"kept in {block}")
    whose = owner(wanted, given)
    if not replace and not somebody_is_there():
        raise WrongKeys(
            f"CLOSE_API_KEY (that of {whose}) is another key than the one kept in {block}, so nothing is deployed: "
            f"{wanted.command} replaces it; without CLOSE_API_KEY it stays."
        )
    before = _user_of(wanted, kept) or whose.user
    replaced = "the one kept" if before == whose.user else f"that of {before}, another user,"
    question = f"CLOSE_API_KEY, the key of {whose}, would replace {replaced} in {block}. Replace it?"
    if replace or ask_whether(question, otherwise="keeps it"):
        return _save_and_say(block, given, whose, f"replaces {replaced}")
    return f"{_about_kept(wanted, kept, f'still kept in {block}')} CLOSE_API_KEY is not used."


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


def _save_and_say(block: str, key: str, whose: Owner, how: str) -> str:
    save(block, SecretStr(key))
    return " ".join([f"Key of {whose}, {how} in {block}.", *whose.warnings])


def owner(wanted: Wanted, key: str) -> Owner:
    """Whose it is. Raises `WrongKeys` unless Close accepts the key, and it is that of the organisation."""
    settings, listed = wanted.settings, wanted.organization
    if listed:  # what its entry says is compared here: no CLOSE_ORGANIZATION_ID is set that a message could name
        settings = settings.model_copy(update={"organization_id": None})
    try:
        with CloseClient(settings.with_api_key(key)) as close:
            account = survey(close, NO_NAMES)
    except ValidationError as error:
        raise WrongKeys(f"Nothing is deployed. {settings_problem(error)}") from None
    except WrongOrganization as error:
        raise WrongKeys(f"Nothing is deployed, since {error}") from error
    except CloseError as error:
        raise WrongKeys(f"Nothing is deployed, since the key for {wanted.block} could not be tried: {error}") from error
    found = account.organization
    if listed and listed.organization_id != found.id:
        raise WrongKeys(
            f"Nothing is deployed, since the key for {listed.name} is that of {found.name} ({found.id}), and "
            f"organizations.yaml says {listed.organization_id} for {listed.name}: set CLOSE_API_KEY to {listed.name}'s "
            "key, or correct organization_id."
        )
    return Owner(account.user.email or account.user.id, found, account.warnings)


def _user_of(wanted: Wanted, key: str) -> str | None:
    try:
        return owner(wanted, key).user
    except WrongKeys:
        return None


def _about_kept(wanted: Wanted, key: str, where: str) -> str:
    """``Key of …``; but a key that was accepted before needn't be tried if Close is unavailable."""
    try:
        return f"Key of {owner(wanted, key)}, {where}."
    except WrongKeys as error:
        cause, organization, replace = error.__cause__, wanted.organization, f"CLOSE_API_KEY=api_… {wanted.command}"
        if isinstance(cause, CloseError) and not isinstance(cause, REFUSED):
            return f"The key could not be tried ({cause}), {where}."
        if organization and isinstance(cause, WrongKey):
            return (
                f"Runs of {organization.name} will be refused, since Close refuses its key ({cause.status}), {where}: "
                f"make a new one in Close, then {replace}."
            )
        if organization and isinstance(cause, NotAllowed):
            return f"Runs of {organization.name} will be refused ({cause}) To replace its key: {replace}."
        raise WrongKeys(f"{error} The key is kept in {wanted.block}: {replace} replaces it.") from error

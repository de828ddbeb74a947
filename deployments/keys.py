"""The API key in the Secret block: tried at Close, and never replaced without a yes."""

from getpass import getpass
from typing import TYPE_CHECKING, NamedTuple, cast

from pydantic import SecretStr, ValidationError

from flows.console.asking import ask_whether, somebody_is_there
from tasks.close.client import CloseClient
from tasks.close.errors import CloseError, NotAllowed, WrongKey, WrongOrganization
from tasks.close.resources import Organization
from tasks.close.settings import CloseSettings, settings_problem

if TYPE_CHECKING:
    from prefect.blocks.system import Secret

REFUSED = (WrongKey, NotAllowed, WrongOrganization)


class WrongKeys(Exception):
    """There is no key to deploy with. The message is one sentence that says what to do."""


class Owner(NamedTuple):
    """Whose key it is."""

    user: str
    organization: Organization

    def __str__(self) -> str:
        """``ada@example.com, Sandbox Inc.``, for people."""
        return f"{self.user}, {self.organization.name}"


def ensure(block: str, *, settings: CloseSettings, replace: bool) -> str:
    """Leave a key in *block* that Close accepts, and return a sentence on whose it is.

    CLOSE_API_KEY of *settings* becomes the key if there is none yet, or if *replace* or the person at the terminal says
    so. Without it the person is asked for one. Raises `WrongKeys`, before anything is saved.
    """
    kept, given = _kept(block), settings.api_key.get_secret_value() if settings.api_key else None
    if kept is None:
        key = given or ask(block)
        source = "taken from CLOSE_API_KEY and kept" if given else "kept"
        return _saved(block, key, f"Key of {owner(settings, key)}, {source}")
    if given is None or given == kept:
        return f"{_owner_of_kept(settings, kept, block)}, kept in {block}."
    whose = owner(settings, given)
    if not replace and not somebody_is_there():
        raise WrongKeys(
            f"CLOSE_API_KEY (that of {whose}) is another key than the one kept in {block}, so nothing is deployed: "
            "make deploy REPLACE_KEY=1 replaces it; without CLOSE_API_KEY it stays."
        )
    question = f"CLOSE_API_KEY is another key than the one kept in {block}: that of {whose}. Replace it?"
    if replace or ask_whether(question, otherwise="keeps it"):
        return _saved(block, given, f"Key of {whose}, replaces the one kept")
    return f"{_owner_of_kept(settings, kept, block)}, still kept in {block}; CLOSE_API_KEY is not used."


def ask(block: str) -> str:
    """The key that the person at the terminal types, unseen. Raises `WrongKeys` without one."""
    key = getpass(f"Close API key for {block}: ") if somebody_is_there() else ""
    if not key.strip():
        raise WrongKeys("No API key was given, so nothing is deployed. Set CLOSE_API_KEY or answer the question.")
    return key


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


def owner(settings: CloseSettings, key: str) -> Owner:
    """Whose it is. Raises `WrongKeys` unless Close accepts the key."""
    try:
        with CloseClient(settings.with_api_key(key)) as close:
            user, organization = close.me(), close.organization(close.organization_id())
            return Owner(user.email or user.id, organization)
    except ValidationError as error:
        raise WrongKeys(f"Nothing is deployed. {settings_problem(error)}") from None
    except CloseError as error:
        raise WrongKeys(f"Nothing is deployed, since the key could not be tried: {error}") from error


def _owner_of_kept(settings: CloseSettings, key: str, block: str) -> str:
    """``Key of …``; but a key that was accepted before needn't be tried if Close is unavailable."""
    try:
        return f"Key of {owner(settings, key)}"
    except WrongKeys as error:
        if isinstance(error.__cause__, CloseError) and not isinstance(error.__cause__, REFUSED):
            return f"The key could not be tried ({error.__cause__})"
        raise WrongKeys(f"{error} The key is kept in {block}: set CLOSE_API_KEY to another one.") from error

"""``make up REAL=1``: whose key it is, and that a person says so."""

import os
from typing import NamedTuple

from pydantic import SecretStr, ValidationError

from flows.console.asking import ask_for_text, somebody_is_there
from flows.console.terminal import Usage, put
from tasks.close.resources import Organization
from tasks.close.settings import CloseSettings, settings_problem

NOBODY = "make up REAL=1 asks for the name of the organisation: run it at a terminal."
IGNORED = "CLOSE_API_KEY of the environment isn't used here: the key is in .env, or typed unseen."


class Real(NamedTuple):
    """An organisation in Close that a person has named, with its key."""

    key: SecretStr
    organization: Organization


def confirm() -> Real:
    """The organisation of the key in ``.env``, or of one that is typed, once the person has typed its name.

    Raises `Usage` otherwise; nothing is started or stored by then.
    """
    if not somebody_is_there():
        raise Usage(NOBODY)
    if os.environ.pop("CLOSE_API_KEY", None):  # make puts there what is written on its command line
        put(IGNORED)
    from deployments import keys

    try:
        settings = CloseSettings()
        wanted = keys.Wanted("the organisation to clean up", settings)
        key = wanted.given or keys.ask(wanted)
        owner = keys.owner(wanted, key)
    except ValidationError as error:
        raise Usage(settings_problem(error)) from None
    except keys.WrongKeys as error:
        raise Usage(str(error)) from None
    name = owner.organization.name
    put(f"This key is that of {owner} ({owner.organization.id}).")
    if ask_for_text("Type the name of the organisation to go on; anything else stops:") != name:
        raise Usage("That isn't its name, so nothing is started.")
    return Real(SecretStr(key), owner.organization)

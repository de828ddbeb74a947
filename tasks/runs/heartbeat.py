"""The heartbeat of what succeeds: a request to an address of yours, so that somebody is told when none comes.

Such an address is a secret, since anyone who knows it can feign a success: it is kept in the Secret block that
CLOSE_HEARTBEAT_BLOCK names, and is in no log and no error.
"""

import logging
from http.client import HTTPException
from typing import cast
from urllib.error import HTTPError
from urllib.request import urlopen

from prefect.blocks.system import Secret
from pydantic import ValidationError

from tasks.close.network import certificates
from tasks.close.settings import CloseSettings
from tasks.runs.connect import PREFECT_ERRORS

logger = logging.getLogger(__name__)

SECONDS = 5.0
"""To connect, and for each part of the answer."""


def send_heartbeat() -> None:
    """Ask the address, once, if CLOSE_HEARTBEAT_BLOCK is set. A failure is logged, and changes nothing.

    Not with httpx, which logs every address that it asks.
    """
    try:
        block = CloseSettings().heartbeat_block
        if block is None:
            return
        address = str(cast("Secret[str]", Secret.load(block)).get()).strip()  # pyright: ignore[reportUnknownMemberType]
    except ValidationError:
        return  # a run says so, where it needs the settings
    except (ValueError, *PREFECT_ERRORS):
        logger.warning("The heartbeat is not sent: the Secret block that CLOSE_HEARTBEAT_BLOCK names can't be loaded.")
        return
    if problem := _ask(address):
        logger.warning("The heartbeat did not arrive at the address in the Secret block %s: %s.", block, problem)


def _ask(address: str) -> str | None:
    """Send the request. Returns what was wrong with it, without the address; None if it was accepted."""
    if not address.startswith(("https://", "http://")):
        return "it is no https:// or http:// address"
    try:
        with urlopen(address, timeout=SECONDS, context=certificates()):  # noqa: S310 - the scheme is checked
            return None
    except HTTPError as error:
        error.close()
        return f"HTTP {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        return type(getattr(error, "reason", error)).__name__

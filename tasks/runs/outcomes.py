"""How a run can end, and what each end means to Prefect, to the shell and to people.

::

    nothing_to_do   dry_run   skipped   deleted      Completed   exit 0
    restored                                         Completed   exit 0
    failed                                           Failed      exit 1
    refused   declined   expired                     Failed      exit 3   nothing was deleted
    still_running                                    Failed      exit 4   Close is still deleting
    unknown                                          Failed      exit 5   was it started?
    cancelled                                        Cancelled   exit 6
    suspended                                        Suspended   exit 6   until a person resumes it

Exit 2 is for wrong usage and settings, without a run. Who is told of which: ``deployments/notifications.yaml``.
"""

from enum import StrEnum
from typing import Self

from tasks.close.errors import CloseError, CloseUnavailable, RateLimited


class Outcome(StrEnum):
    """The end of a run. The value is what reports and ``--json`` print."""

    exit_code: int

    def __new__(cls, value: str, exit_code: int) -> Self:
        """An outcome with the exit code of the command line."""
        member = str.__new__(cls, value)
        member._value_, member.exit_code = value, exit_code
        return member

    NOTHING_TO_DO = "nothing_to_do", 0
    DRY_RUN = "dry_run", 0
    SKIPPED = "skipped", 0
    DELETED = "deleted", 0
    RESTORED = "restored", 0
    FAILED = "failed", 1
    REFUSED = "refused", 3
    DECLINED = "declined", 3
    EXPIRED = "expired", 3
    STILL_RUNNING = "still_running", 4
    UNKNOWN = "unknown", 5
    CANCELLED = "cancelled", 6
    SUSPENDED = "suspended", 6

    @property
    def good(self) -> bool:
        """Whether nobody needs to look."""
        return self.exit_code == 0

    @property
    def words(self) -> str:
        """For people: ``Dry run``."""
        return self.value.replace("_", " ").capitalize()

    @property
    def state_name(self) -> str:
        """The name of the run's final state in Prefect, in Prefect's style: ``NothingToDo``."""
        return self.value.title().replace("_", "")


class Foreseen(Exception):
    """An expected end of a run: its message is enough, and no traceback is logged."""


class Stop(Foreseen):
    """Ends the run with *outcome*. The message is for the readers of the report."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(outcome, message)
        self.outcome = outcome
        self.message = message

    def __str__(self) -> str:
        return self.message

    @property
    def exit_code(self) -> int:
        """The exit code of a command that this ends without a run."""
        return self.outcome.exit_code


class Refused(Stop):
    """Ends the run before anything was deleted, because a guard forbids it."""

    def __init__(self, message: str) -> None:
        super().__init__(Outcome.REFUSED, message)
        self.args = (message,)  # unpickling calls the class with these


def outcome_of(error: Stop | CloseError) -> Outcome:
    """The outcome of a run that *error* ends: failed if Close is unavailable, refused if it rejects or forbids."""
    match error:
        case Stop():
            return error.outcome
        case CloseUnavailable() | RateLimited():
            return Outcome.FAILED
        case CloseError():
            return Outcome.REFUSED

"""What can go wrong, as one tree; each branch ends the command line with its own exit code.

    MicrolensError            1   anything of ours that is not listed below
    ├── RecipeError           2   a recipe or an option that cannot be used
    ├── NotReadyError         3   a stage was asked for whose input is not finished
    ├── TooFewUsersError      4   `subset --strict` found fewer users than were asked for
    ├── UnreachableError      5   a site, a server or a store did not answer
    │   ├── SiteUnreachableError
    │   ├── RedisUnreachableError
    │   ├── SparkUnreachableError
    │   └── StoreUnreachableError    its server does not answer, has no such bucket, or refuses us
    ├── PageChangedError      6   a page no longer has the shape that its adapter knows
    │   └── ExtractorBrokenError  a library that reads the site for us no longer can
    ├── KeyMismatchError      7   this process holds another pseudonym key than the run
    ├── CorruptDataError      8   bytes on disk are not what their manifest or ledger says
    └── DiskFullError         9   there is no space left to write to

Exit code 70 is a bug: its traceback is printed.
"""

from __future__ import annotations

BUG_EXIT_CODE = 70


class MicrolensError(Exception):
    """What happened, where, and the offending value; `hint` says what to do now."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class RecipeError(MicrolensError):
    exit_code = 2


class NotReadyError(MicrolensError):
    exit_code = 3


class TooFewUsersError(MicrolensError):
    exit_code = 4


class UnreachableError(MicrolensError):
    exit_code = 5


class SiteUnreachableError(UnreachableError):
    pass


class RedisUnreachableError(UnreachableError):
    pass


class SparkUnreachableError(UnreachableError):
    pass


class StoreUnreachableError(UnreachableError):
    pass


class PageChangedError(MicrolensError):
    exit_code = 6
    reason = "page_changed"
    """Of the videos that are dropped for it."""


class ExtractorBrokenError(PageChangedError):
    reason = "extractor_broken"


class KeyMismatchError(MicrolensError):
    exit_code = 7


class CorruptDataError(MicrolensError):
    exit_code = 8


class DiskFullError(MicrolensError):
    exit_code = 9
    usual_hint = "free some space, then run the same command again: what is finished stays"

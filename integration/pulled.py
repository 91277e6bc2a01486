"""What came of a pull."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

from microlens.errors import CorruptDataError, NotReadyError

_SOME = 3


@dataclass(slots=True)
class Pulled:
    """What came, and what did not."""

    files: int = 0
    parts: int = 0
    size_bytes: int = 0
    left: int = 0
    """How many files no source could give."""
    missing: list[str] = field(default_factory=list)
    """Names of these, the first hundred."""
    wrong: dict[str, str] = field(default_factory=dict)
    """By source and name of what was refused: why."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """By source: why its listing was refused."""
    troubles: dict[str, str] = field(default_factory=dict)
    """By source: why nothing more was asked of it."""
    set_aside: list[str] = field(default_factory=list)
    """Parts that were here and were not what the ledger lists: they were fetched anew."""
    stores: list[str] = field(default_factory=list)
    """Stores outside the runs' folders that media or parts are kept in, if something is missing."""
    hints: list[str] = field(default_factory=list)
    """What to do about the troubles."""

    def check(self) -> None:
        """CorruptDataError if a source gave what it should not, NotReadyError if something is missing."""
        if self.wrong or self.unreadable:
            refused = [f"the listing of {source}: {why}" for source, why in self.unreadable.items()]
            refused += [f"{name}: {why}" for name, why in islice(self.wrong.items(), _SOME)]
            raise CorruptDataError(
                f"{len(self.wrong)} files were refused, and {len(self.unreadable)} listings; {self.left} files are "
                f"still missing. {'; '.join(refused)}",
                hint="mend or delete them there; what was right has been taken, and the same command takes the rest",
            )
        if self.left:
            told = "; ".join(f"{source}: {why}" for source, why in self.troubles.items())
            stores = f", and the stores that they keep files in ({', '.join(self.stores)})" if self.stores else ""
            raise NotReadyError(
                f"{self.left} files are on no machine that was asked, {self.missing[0]} among them"
                + (f" ({told})" if told else ""),
                hint="".join(f"{hint}; " for hint in self.hints)
                + f"name every machine that worked on this run with --from{stores}; the same command takes the rest",
            )

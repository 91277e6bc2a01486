"""A node's visits to the frontier: what was fetched is told, and due work is brought, many items at a time."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from microlens.frontier import host_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from download_nodes.comment_parts import CommentParts
    from download_nodes.flights import Boarded, Flights
    from microlens.frontier import Claim, Frontier
    from microlens.records import FrontierItem, WorkKind

KINDS: tuple[WorkKind, ...] = ("comments", "media")


class Claimed(NamedTuple):
    """What a visit brought."""

    claims: tuple[Claim, ...]
    """With the hosts that are in trouble, or whose robots.txt is wanted, and when to come again."""
    comments: tuple[FrontierItem, ...]
    media: tuple[Boarded, ...]
    """To fetch, or known already."""


class Claims:
    """One process's claims, with no more than `share` items of one host in work: should it stall, the others go on."""

    def __init__(self, frontier: Frontier, flights: Flights, parts: CommentParts, *, share: int) -> None:
        self._frontier = frontier
        self._flights = flights
        self._parts = parts
        self._share = share

    def visit(
        self,
        fetched: Mapping[WorkKind, Sequence[str]],
        room: int,
        in_flight: Counter[str],
        held: Mapping[WorkKind, set[str]],
    ) -> Claimed:
        """Tell what was `fetched` and claim for so many places; for a thread, since Redis and the ledger may be far.

        `in_flight` are requests under way by host, `held` the names of what this process has in hand.
        """
        for kind, names in fetched.items():
            self._frontier.fetched(kind, names)
        claims, given = [], {}
        for kind in KINDS:
            if room <= 0:
                break
            claim = self._frontier.claim(kind, room, share=self._share, in_flight=in_flight)
            claims.append(claim)
            # An item in hand whose lease had ended while this process slept: the work that goes on has it again.
            given[kind] = [item for item in claim.items if item.name not in held[kind]]
            in_flight.update(host_of(item.url) for item in given[kind])
            room -= len(given[kind]) + len(claim.robots)
        comments, boarded = given.get("comments", []), self._flights.board(given.get("media", []))
        committed = self._parts.committed(comments)
        self._frontier.ack("comments", [item.name for item in committed])
        unasked = [*committed, *(each.item for each in boarded if each.known or not each.is_mine)]
        self._frontier.refund(Counter(host_of(item.url) for item in unasked))
        return Claimed(
            tuple(claims),
            tuple(item for item in comments if item not in committed),
            tuple(each for each in boarded if each.is_mine or each.known),
        )

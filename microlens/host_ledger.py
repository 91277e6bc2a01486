"""The ledger's pages on hosts: what their robots.txt said, and when they were parked.

Years later it can be shown what a crawl was allowed to do at any moment.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import sqlalchemy as sa

from microlens.clock import now_ms
from microlens.database import insert_new
from microlens.ledger_tables import parking_table, robots_table, robots_text_table

if TYPE_CHECKING:
    from microlens.database import Database


@dataclass(frozen=True, slots=True)
class RobotsFetch:
    """One fetch of a host's robots.txt."""

    host: str
    status: int | None
    """None where no answer came; `failure` says why."""
    body: bytes = b""
    """As far as it is read."""
    lifetime_s: float = 0.0
    crawl_delay_s: float = 0.0
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Parking:
    """A host that is parked now."""

    host: str
    reason: str
    until_ms: int
    times: int
    """How often in a row: it gave no answer in between."""


class HostLedger:
    """Statements over these tables; made by the ledger."""

    def __init__(self, database: Database, *, node_id: str) -> None:
        self._database = database
        self._node_id = node_id

    def record_robots(self, fetch: RobotsFetch) -> None:
        """Add a fetch, whatever came of it; a text that is known is not kept twice."""
        sha256 = hashlib.sha256(fetch.body).hexdigest() if fetch.status is not None else None
        with self._database.write() as connection:
            if sha256 is not None:
                insert_new(connection, robots_text_table, [{"sha256": sha256, "body": fetch.body}])
            connection.execute(
                robots_table.insert().values(
                    host=fetch.host,
                    fetched_at_ms=now_ms(),
                    status=fetch.status,
                    failure=fetch.failure,
                    lifetime_s=fetch.lifetime_s,
                    crawl_delay_s=fetch.crawl_delay_s,
                    sha256=sha256,
                    node_id=self._node_id,
                )
            )

    def robots_fetches(self, host: str) -> list[RobotsFetch]:
        """Every fetch of a host's robots.txt, oldest first."""
        query = (
            sa.select(robots_table, robots_text_table.c.body)
            .join(robots_text_table, robots_text_table.c.sha256 == robots_table.c.sha256, isouter=True)
            .where(robots_table.c.host == host)
            .order_by(robots_table.c.id)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            RobotsFetch(
                row["host"], row["status"], row["body"] or b"", row["lifetime_s"], row["crawl_delay_s"], row["failure"]
            )
            for row in rows
        ]

    def has_answered(self, host: str) -> bool:
        """Whether a host has ever given a robots.txt, or said that it has none."""
        status = robots_table.c.status
        is_answer = sa.and_(status < int(HTTPStatus.INTERNAL_SERVER_ERROR), status != int(HTTPStatus.TOO_MANY_REQUESTS))
        query = sa.select(robots_table.c.id).where(robots_table.c.host == host, is_answer).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def robots_counts(self) -> dict[str, int]:
        """How many hosts were asked for their robots.txt, how often, and how often in vain."""
        in_vain = sa.func.coalesce(sa.func.sum(sa.case((robots_table.c.failure.is_not(None), 1), else_=0)), 0)
        query = sa.select(sa.func.count(sa.distinct(robots_table.c.host)), sa.func.count(), in_vain)
        with self._database.read() as connection:
            hosts, fetches, failed = connection.execute(query.select_from(robots_table)).one()
        return {"hosts": hosts, "fetches": fetches, "failed": failed}

    def record_parking(self, host: str, reason: str, seconds: float) -> None:
        now = now_ms()
        with self._database.write() as connection:
            connection.execute(
                parking_table.insert().values(
                    host=host,
                    reason=reason,
                    parked_at_ms=now,
                    until_ms=now + int(seconds * 1000),
                    node_id=self._node_id,
                )
            )

    def end_parking(self, host: str) -> None:
        """The host has answered, or is waited for no longer."""
        mine = sa.and_(parking_table.c.host == host, parking_table.c.ended_at_ms.is_(None))
        with self._database.write() as connection:
            connection.execute(parking_table.update().where(mine).values(ended_at_ms=now_ms()))

    def parked(self) -> list[Parking]:
        """Hosts that are parked, or were and have not answered since; the one asked again soonest first."""
        newest = (
            sa.select(sa.func.max(parking_table.c.id).label("id"), sa.func.count().label("times"))
            .where(parking_table.c.ended_at_ms.is_(None))
            .group_by(parking_table.c.host)
            .subquery()
        )
        query = (
            sa.select(parking_table.c.host, parking_table.c.reason, parking_table.c.until_ms, newest.c.times)
            .join(newest, newest.c.id == parking_table.c.id)
            .order_by(parking_table.c.until_ms, parking_table.c.host)
        )
        with self._database.read() as connection:
            return [Parking(*row) for row in connection.execute(query)]

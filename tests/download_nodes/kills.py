"""Nodes that are killed at random moments while they fetch from a slow site, and what must hold nevertheless."""

import asyncio
import hashlib
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from download_nodes.flights import flight_of
from download_nodes.supervise import _Doorbell
from tests.download_nodes.desk import Desk
from tests.download_nodes.fleet import NodeProcess, are_gone, wait_until
from tests.download_nodes.wire import Wire, send

LARGE_BYTES = 3 << 20
_PIECE_BYTES = 64 << 10
POLITE = {"requests_per_second": 2000, "concurrency": 128, "max_attempts": 5}


@dataclass
class SlowFile:
    """A file that trickles and knows ranges; `is_committed` is asked as each request comes."""

    body: bytes
    piece_s: float
    is_committed: object
    starts: list = field(default_factory=list)
    """First byte of each request."""
    late: int = 0
    """Requests that came when the file had been committed already."""
    sent_bytes: int = 0

    async def __call__(self, asked, writer):
        start = int(asked.headers.get("range", "bytes=0-").removeprefix("bytes=")[:-1])
        self.starts.append(start)
        self.late += self.is_committed()
        size = len(self.body)
        status = f"206 Partial\r\nContent-Range: bytes {start}-{size - 1}/{size}" if start else "200 OK"
        head = f'HTTP/1.1 {status}\r\nContent-Length: {size - start}\r\nETag: "one"\r\n\r\n'
        await send(writer, head.encode())
        for at in range(start, size, _PIECE_BYTES):
            piece = self.body[at : at + _PIECE_BYTES]
            await send(writer, piece)
            self.sent_bytes += len(piece)
            await asyncio.sleep(self.piece_s)


class Trial:
    """`kill` again and again, then `finish`, then `judge`."""

    def __init__(self, desk: Desk, *, cover: bytes, clip: bytes, seed: int, nodes: int, lease_s: float) -> None:
        self.desk, self._cover, self._clip = desk, cover, clip
        self._chance = random.Random(seed)
        self._lease_s = lease_s
        self.files: dict[str, SlowFile] = {}
        self._doorbell = _Doorbell(desk.redis_url, desk.run.shared_name)
        self._seen: set[str] = set()
        self._children: set[tuple[int, str]] = set()
        self.kills = 0
        self._lives = [self._start(number) for number in range(nodes)]

    # --- the world ---

    def add_videos(self, count: int) -> None:
        """Videos with a cover each; every tenth is large."""
        ledger = self.desk.run.ledger
        for _ in range(count):
            number = len(self.files)
            size = self._chance.randrange(LARGE_BYTES, 2 * LARGE_BYTES) if number % 20 == 0 else self._small()
            for suffix, body in (("jpg", self._cover + self._noise(self._small())), ("mp4", self._with_noise(size))):
                path = f"/media/v{number}.{suffix}"
                key = flight_of(self.desk.site.url + path)
                self.files[path] = SlowFile(body, 0.03, lambda key=key: bool(ledger.assets_from([key])))
                self.desk.site.answers[path] = self.files[path]
            self.desk.add_page(f"v{number}")
        self.desk.push()

    def _small(self) -> int:
        return int(2_000 * 50 ** self._chance.random())

    def _with_noise(self, size: int) -> bytes:
        """The clip, and behind it a box that players skip."""
        return self._clip + (size + 8).to_bytes(4, "big") + b"free" + self._noise(size)

    def _noise(self, size: int) -> bytes:
        return self._chance.randbytes(size)

    @property
    def _large(self) -> list[SlowFile]:
        return [file for file in self.files.values() if len(file.body) > LARGE_BYTES]

    @property
    def left(self) -> int:
        return self.desk.frontier.open_count(["media"])

    # --- the nodes ---

    def _start(self, number: int) -> NodeProcess:
        log = self.desk.folder / f"node{number}.log"
        return NodeProcess(self.desk.run, self.desk.redis_url, log=log, lease_s=self._lease_s)

    def kill(self, *, within_s: tuple[float, float]) -> None:
        """Kill one of the nodes after a while, look at what it leaves, and start it again."""
        self._doorbell.ring(len(self._lives))
        wait_s = self._chance.uniform(*within_s)
        victim = self._chance.randrange(len(self._lives))
        time.sleep(wait_s)
        self._kill(victim)

    def kill_amid_a_large_file(self) -> None:
        """Kill all nodes once one has got the half of a large file: on a busy machine chance may never do so."""

        def is_amid():
            self._doorbell.ring(len(self._lives))
            return any(len(file.body) / 2 < file.sent_bytes < len(file.body) for file in self._large)

        self.add_videos(20)
        wait_until(is_amid, 60, lambda: f"no large file was begun\n{self._lives[0].told()[-3000:]}")
        for victim in range(len(self._lives)):
            self._kill(victim)

    def _kill(self, victim: int) -> None:
        self._children |= set(self._lives[victim].children)
        self._lives[victim].kill()
        self.kills += 1
        self._look_at_store()
        self._lives[victim] = self._start(victim)

    def finish(self, *, within_s: float) -> None:
        """Let the nodes come to the end of their work."""

        def is_done():
            self._doorbell.ring(len(self._lives))
            return self.left == 0

        wait_until(is_done, within_s, lambda: f"{self.left} items are left\n{self._lives[0].told()[-3000:]}")
        self.stop()

    def stop(self) -> None:
        for life in self._lives:
            if life.is_alive:
                life.end()

    # --- the judge ---

    def _look_at_store(self) -> None:
        """Every object that has come to the store is what its name says."""
        objects = self.desk.run.folder / "store" / "objects"
        for path in objects.rglob("*"):
            if path.name not in self._seen and path.is_file():
                assert path.name == hashlib.sha256(path.read_bytes()).hexdigest(), path
                self._seen.add(path.name)

    def judge(self) -> dict[str, float]:
        """AssertionError unless all is whole, and nothing that was committed was asked for again."""
        self._look_at_store()
        wanted = {path: hashlib.sha256(file.body).hexdigest() for path, file in self.files.items()}
        suffix = {"cover": "jpg", "video": "mp4"}
        rows = {f"/media/{row['video_id']}.{suffix[row['kind']]}": row for row in self.desk.run.ledger.assets()}
        assert wanted == {path: row["sha256"] for path, row in rows.items()}
        assert {path: len(file.body) for path, file in self.files.items()} == {
            path: row["size_bytes"] for path, row in rows.items()
        }
        assert set(wanted.values()) == self._seen, "the store holds what nobody committed"
        assert {} == self.desk.run.ledger.failure_counts()
        assert Counter() == Counter({path: file.late for path, file in self.files.items() if file.late})
        wait_until(lambda: are_gone(self._children), 10, "decoders outlive their nodes")
        served, size = (
            sum(of(file) for file in self._large) for of in (lambda file: file.sent_bytes, lambda f: len(f.body))
        )
        return {
            "kills": self.kills,
            "files": len(self.files),
            "requests": sum(len(file.starts) for file in self.files.values()),
            "resumed": sum(start > 0 for file in self.files.values() for start in file.starts),
            "decoders": len(self._children),
            "large_served": served / size,
            "served": sum(f.sent_bytes for f in self.files.values()) / sum(len(f.body) for f in self.files.values()),
        }


def run_trial(tmp_path, redis_url, cover, clip, *, kills, seed, least_left=40):
    """Kill so often while there is work, then let it come to its end; gives what it came to.

    AssertionError unless all is whole, and nothing that was committed was asked for again.
    """
    with Wire() as wire:
        desk = Desk(tmp_path, wire, redis_url)
        desk.make(politeness=POLITE, filters={"min_video_bytes": 10**9}, media={"audio_from_video": False})
        trial = Trial(desk, cover=cover, clip=clip, seed=seed, nodes=2, lease_s=1.5)
        try:
            for _ in range(kills):
                if trial.left < least_left:
                    trial.add_videos(20)
                trial.kill(within_s=(0.0, 1.2))
            trial.kill_amid_a_large_file()
            trial.finish(within_s=60)
            return trial.judge()
        finally:
            trial.stop()
            desk.close()

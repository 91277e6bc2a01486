"""Two small sites on this machine, one frozen and one live, and a plain way to ask them."""

import urllib.error
import urllib.request
from dataclasses import dataclass

import pytest

from sandbox.media import MediaFolder
from sandbox.process import SandboxSite
from sandbox.world import WorldConfig, generate


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def text(self):
        return self.body.decode()


@pytest.fixture(scope="session")
def fetch():
    def ask(url, method="GET", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(url, method=method, headers=named)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return Answer(response.status, dict(response.headers), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    return ask


@pytest.fixture(scope="session")
def demo():
    """The demo's world."""
    return generate(WorldConfig())


@pytest.fixture(scope="session")
def shuffled():
    return generate(WorldConfig(shuffle_tastes=True))


@pytest.fixture(scope="session")
def site(shared_dir):
    """A frozen site that no test changes; its log counts what all tests asked."""
    with SandboxSite(
        videos=100, users=300, seed=3, frozen=True, media_dir=shared_dir / "sites-media", crawl_delay=0.25
    ) as running:
        yield running


@pytest.fixture(scope="session")
def live_site():
    with SandboxSite(videos=60, users=100, seed=4) as running:
        yield running


@pytest.fixture(scope="session")
def folder(site, shared_dir):
    """The frozen site's media, made here and not by the site."""
    made = MediaFolder(site.world, shared_dir / "own-media")
    made.prepare(processes=2)
    return made


@pytest.fixture(scope="session")
def plain_id(site):
    """A kept video without any oddity."""
    dealt = site.world.videos.flaws
    odd = dealt.three_characters | dealt.hostile_title | set(dealt.scenes[[k != "" for k in dealt.kind]].tolist())
    wanted = (v for v, kind in enumerate(dealt.kind) if not kind and v not in odd and not dealt.exact_bytes[v])
    return site.world.videos.ids[next(wanted)]

"""Two nodes that are asked for the same 10,000 addresses at once."""

import os

import pytest

from tests.crawler.site import Site
from tests.download_nodes import sharing
from tests.download_nodes.desk import Desk

ADDRESSES = int(os.environ.get("SERVICE_ADDRESSES", "10000"))

pytestmark = [pytest.mark.service, pytest.mark.timeout(900)]


def test_two_nodes_fetch_each_of_ten_thousand_addresses_once(tmp_path, redis_url, make_cover):
    """20,000 items, two for each address, in two spellings: by the server's log one request each."""
    cover = make_cover(tmp_path / "cover.jpg").read_bytes()
    with Site() as site:
        desk = Desk(tmp_path, site, redis_url)
        desk.make(politeness=sharing.POLITE, filters=sharing.NO_COMMENTS)
        sharing.add_shared_covers(desk, ADDRESSES, cover)
        sharing.fetch_together(desk, within_s=600)
        asked = sharing.requests(desk)
        sharing.check_assets(desk, ADDRESSES)
        desk.close()

    assert {f"/media/{number}.jpg": 1 for number in range(ADDRESSES)} == asked

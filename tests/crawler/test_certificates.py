"""Certificates: a site that cannot prove who it is gets no request."""

import http.server
import ssl
import threading

import pytest

from tests.certificates import self_signed


@pytest.fixture
def stranger(tmp_path):
    """A site on https whose certificate nobody has signed but itself: (its address, what it was asked for)."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path / "stranger.pem"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_an_instance_with_a_certificate_of_its_own_making_is_not_crawled(crawl, site, stranger):
    """The crawl ends with the exit code of an unreachable site, and nothing was asked for."""
    url, asked = stranger
    said = crawl(site, expect=5, url=url, politeness={"max_attempts": 1})

    assert "certificate" in said.lower()
    assert [] == asked

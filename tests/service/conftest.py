"""What the tests of the nodes make, for the same at the size of a service."""

from tests.download_nodes.conftest import clip, make_cover, make_video, redis_url

__all__ = ["clip", "make_cover", "make_video", "redis_url"]

"""A platform of somebody else's package: yt-dlp's sites, asked for at addresses of this machine."""

import os
import sys
import textwrap

MODULE = """
import os
from dataclasses import replace

from microlens.platforms.base import Answer, HomePage
from microlens.platforms.ytdlp.platform import YtDlpPlatform

ORIGINS = list(zip(os.environ["MAPPED_FAR"].split(), os.environ["MAPPED_NEAR"].split(), strict=True))


def near(url):
    # The recorded server answers with and without a slash at the end; the recording has the latter.
    return next((url.replace(away, here).rstrip("/") for away, here in ORIGINS if url.startswith(away)), url)


def far(url):
    return next((url.replace(here, away) for away, here in ORIGINS if url.startswith(here)), url)


def mapped(ask):
    def there(question):
        answer = ask(replace(question, url=near(question.url)))
        return Answer(far(answer.url), answer.status, answer.headers, answer.body)

    return there


class MappedPlatform(YtDlpPlatform):
    name = "mapped"

    def check_instances(self, instances):
        super().check_instances(map(far, instances))

    def ask_home(self, url, ask):
        home = super().ask_home(far(url), mapped(ask))
        return HomePage(tuple(replace(link, url=near(link.url)) for link in home.links), home.is_last)

    def ask_video(self, link, ask):
        video = super().ask_video(replace(link, url=far(link.url)), mapped(ask))
        return replace(video, media=tuple(replace(media, url=near(media.url)) for media in video.media))

    def ask_comments(self, url, ask, *, limit):
        return super().ask_comments(far(url), mapped(ask), limit=limit)
"""


def install(folder, monkeypatch, *, far, near):
    """Install it for this process and those that it starts: yt-dlp writes https:// and its sites' names itself.

    `far`, `near`: the sites' origins and those in their place, a space between them, the pages' own first.
    """
    (folder / "mapped_platform.py").write_text(textwrap.dedent(MODULE))
    about = folder / "mapped_platform-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mapped-platform\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[microlens.platforms]\nmapped = mapped_platform:MappedPlatform\n")
    monkeypatch.setenv("MAPPED_FAR", far)
    monkeypatch.setenv("MAPPED_NEAR", near)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep))
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop("mapped_platform", None)

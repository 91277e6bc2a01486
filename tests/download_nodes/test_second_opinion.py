"""What a probe tells of real clips is what MediaInfo tells, which reads containers with code of its own."""

from pathlib import Path

import pytest
from pymediainfo import MediaInfo

from download_nodes.probe import probe_video
from filtering.video import check_video

REAL = Path(__file__).parents[3] / "shared/real-media"
CONTAINERS = {"MPEG-4": "mov", "Matroska": "matroska", "WebM": "matroska"}
CODECS = {"AVC": "h264", "HEVC": "hevc", "VP8": "vp8", "AAC": "aac", "MPEG Audio": "mp3", "Opus": "opus"}


def told_by_mediainfo(path):
    tracks = MediaInfo.parse(str(path)).tracks
    general = next(track for track in tracks if track.track_type == "General")
    picture = next(track for track in tracks if track.track_type == "Video")
    streams = [track for track in tracks if track.track_type in {"Video", "Audio", "Text"}]
    return {
        "container": CONTAINERS[general.format],
        "stream_count": len(streams),
        "codecs": ",".join(CODECS[track.format] for track in (picture, *(t for t in streams if t is not picture))),
        "width": picture.width,
        "height": picture.height,
    }, (float(picture.duration) / 1000, float(picture.frame_rate))


def told_by_us(path):
    facts = probe_video(path)
    names = ("container", "stream_count", "codecs", "width", "height")
    return {name: getattr(facts, name) for name in names}, (facts.duration_s, facts.fps), facts


def check(path):
    """AssertionError unless both tell the same; gives what only we tell: whether it decodes, whole and in its parts."""
    theirs, (their_length_s, their_fps) = told_by_mediainfo(path)
    ours, (length_s, fps), facts = told_by_us(path)

    assert theirs == ours
    # Matroska has the length of the whole alone, and a rate may be rounded to milliseconds.
    assert their_length_s == pytest.approx(length_s, abs=0.1)
    assert their_fps == pytest.approx(fps, rel=0.01)
    assert 1 <= len(facts.frame_hashes) <= 16
    return facts.is_decodable, facts.first_decodes, facts.middle_decodes, facts.last_decodes


@pytest.mark.parametrize(
    ("container", "video", "audio"),
    [
        ("mp4", "libx264", "aac"),
        ("mp4", "libx265", "aac"),
        ("mp4", "libx264", None),
        ("matroska", "libx264", "libopus"),
        ("matroska", "libx265", "libmp3lame"),
        ("webm", "libvpx", "libopus"),
    ],
)
def test_both_tell_the_same_of_clips_made_here(tmp_path, make_video, container, video, audio):
    """Container, codecs, streams, size, length and rate."""
    clip = make_video(tmp_path / "clip", seconds=3, video=video, audio=audio, container=container)

    assert (True, True, True, True) == check(clip)


def real_clips():
    return [path for path in sorted(REAL.glob("*/*")) if path.suffix in {".mp4", ".mkv"}]


@pytest.mark.parametrize("path", real_clips() or [None], ids=lambda path: path.name if path else "none")
def test_both_tell_the_same_of_real_clips(path):
    """H.264 and HEVC from the field, in MP4 and Matroska."""
    if path is None:
        pytest.skip(f"no real clips at {REAL}")

    assert (True, True, True, True) == check(path)


def test_one_real_clip_is_just_too_small(tmp_path):
    """96,822 bytes: decodable, and dropped by the paper's filter for its size alone."""
    path = REAL / "clips/realshort.mp4"
    if not path.exists():
        pytest.skip(f"no real clips at {REAL}")
    facts, size = probe_video(path), path.stat().st_size
    given = {"is_offered": True, "failure": None, "is_decodable": facts.is_decodable, "size_bytes": size}

    assert 90_000 < size < 100_000
    assert check_video(**given, min_bytes=100_000).reason == "video_too_small"
    assert check_video(**given, min_bytes=size) is None

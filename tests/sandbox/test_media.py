"""The files are real: they decode, they show their topic, and they are the same every time."""

import io
from colorsys import rgb_to_hsv

import av
import numpy as np
import pytest
from PIL import Image

from microlens.errors import MicrolensError
from sandbox import encode, media
from sandbox.sound import SAMPLE_RATE, make_sound
from sandbox.topics import TOPICS


def frames_of(body):
    with av.open(io.BytesIO(body)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def samples_of(body):
    with av.open(io.BytesIO(body)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def strongest_hz(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)[spectrum.argmax()]


@pytest.mark.parametrize("kind", list(media.SUFFIXES))
def test_bytes_are_the_same_every_time(demo, kind):
    """Making a file twice gives the same bytes, and another seed gives others."""
    planned = media.plan(demo, 5)

    assert media.make(7, planned, kind) == media.make(7, planned, kind)
    assert media.make(7, planned, kind) != media.make(8, planned, kind)


def test_clips_play_from_first_to_last_frame(site, folder, plain_id):
    """A clip is H.264 in YUV 4:2:0 with AAC, and has as many frames as its duration says."""
    video = site.world.index[plain_id]
    body = folder.read(video, "video")
    with av.open(io.BytesIO(body)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        names = picture.codec_context.name, picture.codec_context.pix_fmt, sound.codec_context.name
    frames = frames_of(body)

    assert names == ("h264", "yuv420p", "aac")
    assert len(frames) == int(site.world.videos.frame_count[video])
    assert np.abs(frames[0].astype(int) - frames[-1]).mean() > 5


def test_padded_clips_play(site, folder):
    """A clip that was padded to a size to the byte decodes as any other."""
    padded = np.flatnonzero(site.world.videos.flaws.exact_bytes)

    assert len(padded) == 2
    for video in padded.tolist():
        assert len(frames_of(folder.read(video, "video"))) == int(site.world.videos.frame_count[video])


def test_pictures_have_their_topics_hue(site, folder):
    """Covers and clips have the colour of their topic."""
    videos = site.world.videos
    for video in [v for v in range(20) if not videos.flaws.flat_share[v]]:
        cover = np.asarray(Image.open(io.BytesIO(folder.read(video, "cover"))))
        wanted = TOPICS[videos.topic[video]].hue
        for picture in (cover, frames_of(folder.read(video, "video"))[0]):
            red, green, blue = picture.reshape(-1, 3).mean(axis=0) / 255
            away = abs(rgb_to_hsv(red, green, blue)[0] - wanted)

            assert min(away, 1 - away) < 0.04


def test_sound_has_its_topics_pitch(site, folder):
    """The strongest tone of a video's sound is one of its topic's chord."""
    for video in range(12):
        pitch = TOPICS[site.world.videos.topic[video]].pitch_hz
        heard = strongest_hz(samples_of(folder.read(video, "audio"))) / pitch

        assert min(abs(heard / step - 1) for step in (1, 1.25, 1.5)) < 0.03


def test_sound_files_are_audio_alone(folder):
    """An M4A has one AAC stream, mono, of two to three seconds."""
    with av.open(io.BytesIO(folder.read(0, "audio"))) as container:
        streams = [(stream.type, stream.codec_context.name) for stream in container.streams]
        seconds = container.duration / 1e6

    assert streams == [("audio", "aac")]
    assert 1.9 < seconds < 3.2


def test_each_video_has_its_own_sound(site, folder):
    """Two videos of one topic sound differently."""
    videos = site.world.videos
    same = [v for v in range(100) if videos.topic[v] == videos.topic[0] and videos.flaws.source[v] == v]

    assert len({folder.read(video, "audio") for video in same}) == len(same) > 3


def test_topics_sound_and_look_apart():
    """No two topics share a hue or a pitch."""
    assert len({topic.hue for topic in TOPICS}) == len({topic.pitch_hz for topic in TOPICS}) == len(TOPICS) == 20


def test_a_folder_is_made_once(demo, tmp_path):
    """A file that is there is read and not made again."""
    folder = media.MediaFolder(demo, tmp_path)
    body = folder.read(3, "cover")
    (path,) = tmp_path.rglob("*.jpg")
    path.write_bytes(b"kept as it is")

    assert body.startswith(b"\xff\xd8")
    assert folder.read(3, "cover") == b"kept as it is"
    assert not list(tmp_path.rglob("*.part"))


def test_padding_needs_room_for_a_box():
    """Padding by less than a box header is refused, with the sizes."""
    with pytest.raises(MicrolensError, match="95 bytes cannot be padded to 100"):
        encode.pad_mp4(bytes(95), 100)


def test_sound_does_not_clip():
    """Samples stay within -1 and 1, with room for the encoder."""
    samples = make_sound(np.random.default_rng(1), TOPICS[4], 2.0)

    assert len(samples) == 2 * SAMPLE_RATE
    assert 0.1 < np.abs(samples).max() < 0.95

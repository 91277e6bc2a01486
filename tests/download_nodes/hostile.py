"""Files of strangers: bombs, stumps and lies, each with what a measurement must make of it.

`corpus(folder, make_cover, make_video)` writes them; nothing is downloaded, and all are made of small real files or of
bytes put together here.
"""

import gzip
import io
import random
import struct
import zipfile
import zlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

FINE = frozenset({None})


@dataclass(frozen=True)
class Hostile:
    path: Path
    kind: str
    """What it was fetched as."""
    outcomes: frozenset
    """Words that its record may have as `error` (None: decodable), or the type that NotMediaError names."""


def corpus(folder, make_cover, make_video):
    made = {}
    for maker in (covers, pages, videos, containers, sounds):
        made |= maker(folder, make_cover, make_video)
    cases = []
    for name, (kind, data, *outcomes) in made.items():
        path = folder / name
        path.write_bytes(data)
        cases.append(Hostile(path, kind, frozenset(outcomes)))
    return cases


# --- pictures ---


def covers(folder, make_cover, make_video):
    rng = np.random.default_rng(3)
    texture = rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)
    whole = {name: make_cover(folder / f"whole.{name}", texture).read_bytes() for name in ("jpg", "png", "gif", "webp")}
    stumps = {f"stump.{name}": ("cover", data[: len(data) // 2], "broken") for name, data in whole.items()}
    avif = io.BytesIO()
    Image.fromarray(texture).save(avif, "AVIF")
    frames = [Image.new("RGB", (4, 4), (n % 256, n // 256, 9)) for n in range(600)]
    animation = io.BytesIO()
    frames[0].save(animation, "GIF", save_all=True, append_images=frames[1:])
    return stumps | {
        "stump.avif": ("cover", avif.getvalue()[:2000], "broken"),
        "bomb.gif": ("cover", gif_bomb(50_000), "too_many_pixels"),
        "bomb7000.png": ("cover", png(7_000, 7_000), "too_many_pixels"),
        "bomb60000.png": ("cover", png(60_000, 60_000), "too_many_pixels"),
        "bomb.webp": ("cover", webp_bomb(), "too_many_pixels"),
        "huge-dimensions.jpg": ("cover", jpeg_of_size(whole["jpg"], 65_500, 65_500), "too_many_pixels"),
        "larger-than-its-data.jpg": ("cover", jpeg_of_size(whole["jpg"], 6_000, 6_000), None, "broken"),
        "scans.jpg": ("cover", scan_bomb(6_000, 3_000), "decoder_timeout"),
        "text-bomb.png": ("cover", png(8, 8, [(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 28), 9))]), "broken"),
        "more-data-than-pixels.png": ("cover", png(8, 8, pixels=zlib.compress(bytes(1 << 28), 9)), None, "broken"),
        "no-pixels.png": ("cover", png(0, 0), "broken"),
        "wrong-checksum.png": ("cover", whole["png"][:20] + b"\xff" + whole["png"][21:], "broken"),
        "header-only.jpg": ("cover", b"\xff\xd8\xff\xe0" + random.Random(1).randbytes(3_000), "broken"),
        "many-frames.gif": ("cover", animation.getvalue(), None),
        "picture.bmp": ("cover", b"BM" + bytes(200), "unknown_type"),
        "clip-as-cover.jpg": ("cover", mp4(folder, make_video), "video/mp4"),
    }


def gif_bomb(side):
    frame = struct.pack("<cHHHHB", b"\x2c", 0, 0, side, side, 0) + b"\x02\x02\x4c\x01\x00\x3b"
    return b"GIF89a" + struct.pack("<HH", side, side) + b"\x80\x00\x00" + bytes(6) + frame


def png(width, height, chunks=(), pixels=None):
    """A valid PNG's frame around a megabyte of black, whatever size it declares."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"".join(chunk(kind, data) for kind, data in chunks)
    pixels = pixels or zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def webp_bomb():
    """A lossless WebP of 16,383 by 16,383 in a few bytes."""
    body = b"\x2f" + struct.pack("<I", 16_382 | 16_382 << 14) + bytes(40)
    return b"RIFF" + struct.pack("<I", 12 + len(body)) + b"WEBPVP8L" + struct.pack("<I", len(body)) + body


def jpeg_of_size(data, width, height):
    """Declare another size in the frame's header (SOF0)."""
    changed = bytearray(data)
    struct.pack_into(">HH", changed, data.index(b"\xff\xc0") + 5, height, width)
    return bytes(changed)


def scan_bomb(side, repeats):
    """A progressive JPEG whose last scan comes again and again: each is short, and passes over every pixel."""
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * repeats + data[-2:]


# --- what is no media ---


def pages(folder, make_cover, make_video):
    secret = folder / "secret"
    secret.write_text("the secret")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a", bytes(1 << 26))
    return {
        "login.jpg": ("cover", b"<!DOCTYPE html><title>Log in</title>", "text/html"),
        "drawing.jpg": ("cover", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaa">]><svg/>', "text/plain"),
        "postscript.jpg": ("cover", b"%!PS-Adobe-3.0 EPSF-3.0\n(secret) run\n", "text/plain"),
        "empty.jpg": ("cover", b"", "unknown_type"),
        "archive.jpg": ("cover", archive.getvalue(), "unknown_type"),
        "packed.jpg": ("cover", gzip.compress(bytes(1 << 26)), "unknown_type"),
        "login.mp4": ("video", b"<html><script>location='/login'</script>", "text/html"),
        "empty.mp4": ("video", b"", "unknown_type"),
        "zeros.mp4": ("video", bytes(100_000), "unknown_type"),
        "picture.mp4": ("video", make_cover(folder / "p.jpg").read_bytes(), "image/jpeg"),
        "playlist.mp4": ("video", playlist, "application/vnd.apple.mpegurl"),
        "playlist-behind-a-head.mp4": ("video", b"\0\0\0\x10ftypisom\0\0\0\0" + playlist, "broken"),
        "concat.mp4": ("video", f"ffconcat version 1.0\nfile {secret}\n".encode(), "text/plain"),
        "session.mp4": ("video", b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n", "text/plain"),
        "images.mp4": ("video", b"%d.png\n", "text/plain"),
        "film.avi": ("video", b"RIFF\0\0\0\0AVI LIST" + bytes(400), "unknown_type"),
        "film.flv": ("video", b"FLV\x01\x05\0\0\0\x09" + bytes(400), "unknown_type"),
    }


# --- MP4 ---


def mp4(folder, make_video, **options):
    return make_video(folder / "made", seconds=1, options={"movflags": "faststart"}, **options).read_bytes()


def patched(data, box, at, form, *values):
    """Overwrite numbers `at` bytes behind the name of the first such box."""
    changed = bytearray(data)
    struct.pack_into(form, changed, data.index(box) + 4 + at, *values)
    return bytes(changed)


def frames_from_nothing(data, count):
    """One byte a frame, all in one piece: a table of three lines declares as many frames as it likes."""
    data = patched(data, b"stts", 4, ">III", 1, count, 1)
    data = patched(data, b"stsz", 4, ">II", 1, count)
    return patched(data, b"stsc", 4, ">IIII", 1, 1, count, 1)[:10_000]


def compressed_index(size):
    """QuickTime's compressed `moov`, which declares what it unpacks to."""
    body = zlib.compress(bytes(1 << 20))
    packed = box(b"dcom", b"zlib") + box(b"cmvd", struct.pack(">I", size) + body)
    return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", box(b"cmov", packed)) + box(b"mdat", bytes(64))


def box(name, body):
    return struct.pack(">I", 8 + len(body)) + name + body


def nested(depth):
    head = box(b"ftyp", b"isom\0\0\0\0isom")
    size = 8 * depth
    return head + b"".join(struct.pack(">I", size - 8 * level) + b"moov" for level in range(depth))


def videos(folder, make_cover, make_video):
    whole, head = mp4(folder, make_video), box(b"ftyp", b"isom\0\0\0\0isom")
    plain = make_video(folder / "plain", seconds=1).read_bytes()
    fragments = make_video(folder / "f", seconds=2, options={"movflags": "frag_keyframe+empty_moov"}).read_bytes()
    flips = random.Random(7)
    made = {
        "stump.mp4": ("video", whole[: len(whole) // 2], "truncated"),
        "without-its-index.mp4": ("video", plain[: plain.rindex(b"moov") + 40], "broken"),
        "stump-of-fragments.mp4": ("video", fragments[: len(fragments) * 3 // 4], "truncated"),
        "fragments.mp4": ("video", fragments, None),
        "millions-of-frames.mp4": ("video", frames_from_nothing(whole, 5_000_000), "broken", "truncated"),
        "billions-of-frames.mp4": ("video", frames_from_nothing(whole, 0xFFFF_FFF0), "broken", "decoder_memory"),
        "table-longer-than-the-file.mp4": ("video", patched(whole, b"stco", 4, ">I", 0x0FFF_FFFF), None, "broken"),
        "longer-by-its-header.mp4": ("video", patched(whole, b"mdhd", 16, ">I", 1 << 30), None),
        "no-clock.mp4": ("video", patched(whole, b"mdhd", 12, ">I", 0), "broken", "truncated", None),
        "nested.mp4": ("video", nested(50_000), "broken"),
        "box-of-exabytes.mp4": ("video", head + struct.pack(">I4sQ", 1, b"moov", 1 << 62), "broken"),
        "box-smaller-than-its-head.mp4": ("video", head + struct.pack(">I4s", 3, b"moov") + bytes(99), "broken"),
        "compressed-index.mov": ("video", compressed_index(0xFFFF_FF00), "broken", "decoder_memory"),
        "many-tracks.mp4": ("video", many_tracks(whole, 3_000), "broken", "decoder_memory"),
        "elsewhere.mp4": ("video", elsewhere(plain, folder / "secret"), None),
        "sound-with-a-picture.mp4": ("video", sound_with_picture(folder, make_cover), "no_video"),
        "sound.mp4": ("video", mp4(folder, make_video, video=None), "no_video"),
        "before-zero.mp4": ("video", before_zero(folder), None),
    }
    for number in range(12):
        changed = bytearray(whole)
        for _ in range(flips.choice([3, 30, 300])):
            changed[flips.randrange(len(changed))] = flips.randrange(256)
        made[f"flipped{number}.mp4"] = ("video", bytes(changed), *ANY)
    return made


ANY = (None, "broken", "truncated", "no_video", "unknown_type", "too_many_pixels", "decoder_memory", "decoder_timeout")


def many_tracks(data, count):
    start = data.index(b"trak") - 4
    (size,) = struct.unpack_from(">I", data, start)
    moov = data.index(b"moov") - 4
    (moov_size,) = struct.unpack_from(">I", data, moov)
    body = data[moov + 8 : start] + data[start : start + size] * count
    return data[:moov] + box(b"moov", body) + data[moov + moov_size :]


def elsewhere(data, secret):
    """Name another file as the place of the frames; what stands here is read all the same."""
    link = f"file://{secret}".encode() + b"\0"
    changed = bytearray(data)
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref", b"url "):
        at = changed.index(name) - 4
        struct.pack_into(">I", changed, at, struct.unpack_from(">I", changed, at)[0] + len(link))
    at = changed.index(b"url ") + 4
    return bytes(changed[:at] + bytes(4) + link + changed[at + 4 :])


def sound_with_picture(folder, make_cover):
    """An M4A with a cover: its only picture stream is no film."""
    path, picture = folder / "m.mp4", make_cover(folder / "in.jpg")
    with av.open(str(path), "w", format="mp4") as out, av.open(str(picture)) as cover:
        sound = out.add_stream("aac", rate=48_000, layout="mono")
        shown = out.add_stream_from_template(cover.streams.video[0])
        shown.disposition = 1024  # attached_pic
        for packet in cover.demux(video=0):
            if packet.size:
                packet.stream = shown
                out.mux(packet)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), format="fltp", layout="mono")
        frame.rate = 48_000
        out.mux([*sound.encode(frame), *sound.encode()])
    return path.read_bytes()


def before_zero(folder):
    """Frames that come out of order, the first of them decoded before time zero."""
    path = folder / "b.mkv"
    with av.open(
        str(path), "w", format="mp4", options={"movflags": "negative_cts_offsets", "use_editlist": "0"}
    ) as out:
        stream = out.add_stream("libx264", rate=25, width=96, height=72, pix_fmt="yuv420p", options={"bf": "3"})
        for number in range(25):
            picture = np.random.default_rng(number).integers(0, 256, (72, 96, 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number - 10
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path.read_bytes()


# --- other containers ---


def containers(folder, make_cover, make_video):
    mkv = make_video(folder / "m.mkv", seconds=1, container="matroska").read_bytes()
    ts = make_video(folder / "m.ts", seconds=1, container="mpegts").read_bytes()
    other = make_video(folder / "n.ts", seconds=1, container="mpegts", audio=None).read_bytes()
    cluster = mkv.index(b"\x1f\x43\xb6\x75")
    head = b"\x1a\x45\xdf\xa3"
    huge = b"\x01\x7f\xff\xff\xff\xff\xff\xff"  # an EBML size of 2 ** 55 and more
    return {
        "stump.mkv": ("video", mkv[: len(mkv) // 2], "truncated"),
        "longer-than-it-is.mkv": ("video", patched(mkv, b"\x44\x89\x88", -1, ">d", 1e9), "truncated"),
        "huge-header.mkv": ("video", head + huge + b"\x42\x82\x88matroska" + bytes(300), "broken"),
        "huge-cluster.mkv": ("video", mkv[: cluster + 4] + huge + mkv[cluster + 12 :], "broken", "truncated", None),
        "garbage.mkv": ("video", mkv[:60] + random.Random(4).randbytes(20_000), "broken", "no_video"),
        "seventy-megapixels.mov": ("video", pictures_as_film(folder, 8_400), "broken", "too_many_pixels"),
        "film-grows.mov": ("video", film_that_grows(folder), "broken", "too_many_pixels"),
        "garbage.ogg": (
            "video",
            b"OggS\0\x02" + b"\x80theora" + random.Random(5).randbytes(20_000),
            "broken",
            "no_video",
        ),
        "two-films.ts": ("video", ts + other, None),
        "stump.ts": ("video", ts[: 188 * (len(ts) // 376)], None, "broken", "truncated"),
        "syncs.ts": ("video", (b"G" + b"\x1f\xff\x10" + b"\xff" * 184) * 500, "broken", "no_video"),
    }


def pictures_as_film(folder, side):
    """One flat PNG of many pixels as a film's frame: a kilobyte a megapixel."""
    path = folder / "png.mov"
    with av.open(str(path), "w", format="mov") as out:
        stream = out.add_stream("png", rate=25, width=side, height=side, pix_fmt="gray")
        frame = av.VideoFrame.from_ndarray(np.zeros((side, side), np.uint8), format="gray")
        out.mux([*stream.encode(frame), *stream.encode()])
    return path.read_bytes()


def film_that_grows(folder):
    """The header says 64 by 64; so are the first frames, the later ones have 49 million pixels."""
    path, bomb = folder / "grows.mov", png(7_000, 7_000)
    with av.open(str(path), "w", format="mov") as out:
        stream = out.add_stream("png", rate=25, width=64, height=64, pix_fmt="rgb24")
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        (packet,) = [*stream.encode(frame), *stream.encode()]
        for number in range(30):
            copy = av.Packet(bytes(packet) if number < 3 else bomb)
            copy.pts = copy.dts = number * 40
            copy.time_base, copy.stream, copy.is_keyframe = Fraction(1, 1000), stream, True
            out.mux(copy)
    return path.read_bytes()


# --- sounds ---


def sounds(folder, make_cover, make_video):
    def sound(container, codec):
        return make_video(folder / "s", seconds=1, video=None, audio=codec, container=container).read_bytes()

    flac, ogg = sound("flac", "flac"), sound("ogg", "libopus")
    wav = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    return {
        "silent.m4a": ("audio", mp4(folder, make_video, audio=None), "no_audio"),
        "page.m4a": ("audio", b"<html>", "text/html"),
        "endless.wav": ("audio", wav + b"data\xff\xff\xff\xff" + bytes(1000), None, "truncated"),
        "endless-tag.mp3": ("audio", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(5_000), "broken", "no_audio"),
        "syncs.mp3": ("audio", b"\xff\xfb\x90\x64" * 2_000, "broken", None),
        "syncs.aac": ("audio", b"\xff\xf1\x4c\x40\x01\x1f\xfc" * 2_000, "broken", "no_audio", None),
        "garbage.flac": ("audio", flac[:60] + random.Random(6).randbytes(5_000), "broken"),
        "stump.ogg": ("audio", ogg[:200], "broken", "no_audio"),
    }

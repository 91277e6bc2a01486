"""What a topic sounds like: its chord, in a rhythm and a tuning that are every video's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sandbox.topics import Topic

SAMPLE_RATE = 22_050
_CHORD = (1.0, 1.25, 1.5)
_LOUDNESS = 0.18


def make_sound(rng: np.random.Generator, topic: Topic, duration_s: float) -> NDArray[np.float32]:
    """Give mono samples of -1 to 1."""
    time_s = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    turn = 2 * np.pi * topic.pitch_hz * rng.uniform(0.985, 1.015) * time_s
    chord = sum(np.sin(turn * step + rng.uniform(0, 6)) for step in _CHORD)
    beat = 0.6 + 0.4 * np.sin(2 * np.pi * rng.uniform(1.5, 6) * time_s)
    return np.asarray(_LOUDNESS * chord * beat + rng.normal(0, 0.004, len(time_s)), dtype=np.float32)

"""There is something to learn, and in the shuffled world there is nothing."""

from collections import Counter

import numpy as np
import pytest

from sandbox.truth import fates


def leave_one_out(world):
    """Give users (B,), their kept history (B, T) right-aligned, their last video (B,), and training counts."""
    fate = fates(world)
    kept = np.array([fate[video_id] == "kept" for video_id in world.videos.ids])
    sessions = {}
    for user, video in zip(world.comments.user.tolist(), world.comments.video.tolist(), strict=True):
        if kept[video] and video not in sessions.setdefault(user, []):
            sessions[user].append(video)
    sessions = {user: videos for user, videos in sessions.items() if len(videos) >= 5}
    history = np.full((len(sessions), max(map(len, sessions.values())) - 1), -1)
    counts = np.zeros(len(kept))
    for row, videos in enumerate(sessions.values()):
        history[row, history.shape[1] - len(videos) + 1 :] = videos[:-1]
        counts[videos[:-2]] += 1
    target = np.array([videos[-1] for videos in sessions.values()])
    return np.array(list(sessions)), history, target, np.where(kept, counts, -1), kept


def hit_rate(scores, history, target, kept):
    """HR@10 over all kept videos, what was seen masked."""
    scores = np.where(kept, scores, -1.0)
    rows, columns = np.nonzero(history >= 0)
    scores[rows, history[rows, columns]] = -1.0
    better = (scores > scores[np.arange(len(target)), target][:, None]).sum(axis=1)
    return (better < 10).mean()


def judge(world):
    users, history, target, counts, kept = leave_one_out(world)
    oracle = hit_rate(world.oracle_scores(users, history), history, target, kept)
    return oracle, hit_rate(np.tile(counts, (len(users), 1)), history, target, kept)


def test_tastes_beat_popularity_three_times(demo):
    """Who knows the tastes finds the next video at least three times as often as who knows what is popular."""
    oracle, popularity = judge(demo)

    assert oracle >= 3 * popularity
    assert 0.05 < popularity < 0.25


def test_shuffled_tastes_say_nothing(shuffled):
    """In the shuffled world knowing the tastes is no better than knowing what is popular."""
    oracle, popularity = judge(shuffled)

    assert oracle <= popularity


def test_oracle_scores_are_chances(demo):
    """Each row of the oracle's scores sums to one, and a video that was seen has none."""
    history = np.array([[-1, -1], [-1, 4], [9, 4]])

    scores = demo.oracle_scores(np.array([0, 1, 2]), history)

    assert scores.sum(axis=1) == pytest.approx([1, 1, 1])
    assert scores[2, 9] == scores[2, 4] == scores[1, 4] == 0
    assert (scores >= 0).all()


def test_users_stay_in_a_topic(demo, shuffled):
    """The next video has the topic of the one before in three of four cases; shuffled, hardly ever."""

    def share(world):
        order = np.lexsort((world.comments.created_ms, world.comments.user))
        user, topic = world.comments.user[order], world.videos.topic[world.comments.video[order]]
        same_user = user[1:] == user[:-1]
        return (topic[1:] == topic[:-1])[same_user].mean()

    assert share(demo) > 0.7
    assert share(shuffled) < 0.1


def test_shuffling_keeps_popularity_times_and_lengths(demo, shuffled):
    """Both worlds have the same videos at the same times, the same lengths of sessions, and no chance double."""

    def lengths(world):
        distinct = set(zip(world.comments.user.tolist(), world.comments.video.tolist(), strict=True))
        return Counter(user for user, _ in distinct)

    def dated(world):
        return sorted(zip(world.comments.video.tolist(), (world.comments.created_ms // 100).tolist(), strict=True))

    assert lengths(demo) == lengths(shuffled)
    assert Counter(demo.comments.video.tolist()) == Counter(shuffled.comments.video.tolist())
    assert sum(a != b for a, b in zip(dated(demo), dated(shuffled), strict=True)) < 10

-- Of one bucket of users: each user's earliest comment on each video, of all that was taken in and still stands.
SELECT user_key, video_id, commented_at_ms, comment_id
FROM (
    SELECT
        taken.user_key,
        taken.video_id,
        taken.commented_at_ms,
        taken.comment_id,
        row_number() OVER (
            PARTITION BY taken.user_key, taken.video_id
            ORDER BY taken.commented_at_ms, taken.comment_id
        ) AS repetition
    FROM taken
    LEFT JOIN (
        SELECT video_id, max(increment) AS increment FROM replaced GROUP BY video_id
    ) AS later ON later.video_id = taken.video_id AND later.increment > taken.increment
    WHERE later.video_id IS NULL
)
WHERE repetition = 1
ORDER BY user_key, commented_at_ms, comment_id, video_id

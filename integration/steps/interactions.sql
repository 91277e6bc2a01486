-- One interaction for each user and kept item: the earliest comment among the newest :max_per_video of the item.
SELECT user_key, video_id, commented_at_ms, comment_id
FROM (
    SELECT
        *,
        row_number() OVER (PARTITION BY user_key, video_id ORDER BY commented_at_ms, comment_id) AS repetition
    FROM (
        SELECT
            *,
            row_number() OVER (PARTITION BY video_id ORDER BY commented_at_ms DESC, comment_id DESC) AS recency
        FROM (
            SELECT DISTINCT c.user_key, c.video_id, c.commented_at_ms, c.comment_id
            FROM crawled_comments AS c
            JOIN items ON items.video_id = c.video_id
        )
    )
    WHERE recency <= :max_per_video
)
WHERE repetition = 1
ORDER BY user_key, commented_at_ms, comment_id, video_id

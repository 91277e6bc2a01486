-- Of each item with more pairs than :max_per_video the newest one that no longer counts: later ones do.
-- A pair's time is that of the user's earliest comment, so pairs can be merged before they are counted.
SELECT video_id, commented_at_ms, comment_id, user_key
FROM (
    SELECT
        item_pairs.*,
        row_number() OVER (
            PARTITION BY item_pairs.video_id
            ORDER BY item_pairs.commented_at_ms DESC, item_pairs.comment_id DESC, item_pairs.user_key DESC
        ) AS recency
    FROM item_pairs
    JOIN crowded ON crowded.video_id = item_pairs.video_id
)
WHERE recency = :max_per_video + 1
ORDER BY video_id

-- Public pairs: each user's items, oldest first.
SELECT
    user_ids.user_id,
    item_ids.item_id,
    CASE :timestamps
        WHEN 'exact' THEN interactions.commented_at_ms
        WHEN 'day' THEN interactions.commented_at_ms - interactions.commented_at_ms % 86400000
    END AS timestamp_ms,
    CAST(row_number() OVER (
        PARTITION BY user_ids.user_id
        ORDER BY interactions.commented_at_ms, interactions.comment_id, item_ids.item_id
    ) AS INTEGER) AS position
FROM pairs AS interactions
JOIN user_ids ON user_ids.user_key = interactions.user_key
JOIN item_ids ON item_ids.video_id = interactions.video_id
ORDER BY user_ids.user_id, position

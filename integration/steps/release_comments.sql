-- The texts of the comments that are the interactions, apart from them: most readers never need them.
SELECT user_ids.user_id, item_ids.item_id, min(c.text) AS text
FROM pairs AS interactions
JOIN user_ids ON user_ids.user_key = interactions.user_key
JOIN item_ids ON item_ids.video_id = interactions.video_id
JOIN crawled_comments AS c
    ON c.video_id = interactions.video_id
    AND c.comment_id = interactions.comment_id
    -- A site may number each video's comments for itself: merged twins can have one number twice.
    AND c.user_key = interactions.user_key
    AND c.commented_at_ms = interactions.commented_at_ms
WHERE c.text IS NOT NULL
GROUP BY user_ids.user_id, item_ids.item_id
ORDER BY user_ids.user_id, item_ids.item_id

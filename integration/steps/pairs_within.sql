-- The pairs of the release that is drawn from, as far as they still stand.
SELECT
    interactions.user_key,
    interactions.video_id,
    interactions.commented_at_ms,
    interactions.comment_id,
    interactions.page_id
FROM interactions
JOIN within_users ON within_users.user_key = interactions.user_key
JOIN within_items ON within_items.video_id = interactions.video_id
JOIN within_pairs
    ON within_pairs.user_id = within_users.user_id
    AND within_pairs.item_id = within_items.item_id
ORDER BY interactions.user_key, interactions.commented_at_ms, interactions.comment_id, interactions.video_id

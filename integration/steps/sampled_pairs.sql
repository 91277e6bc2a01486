-- All that the sampled users did within the pool and before the cutoff.
SELECT pair.user_key, pair.video_id, pair.commented_at_ms, pair.comment_id, pair.page_id
FROM drawn_from AS pair
JOIN sampled_users ON sampled_users.user_key = pair.user_key
JOIN pool_items ON pool_items.video_id = pair.video_id
WHERE pair.commented_at_ms < :cutoff_ms
ORDER BY pair.user_key, pair.commented_at_ms, pair.comment_id, pair.video_id

-- One round towards the core: the pairs of users with at least :min_user and of items with at least :min_item of them.
SELECT pairs.user_key, pairs.video_id, pairs.commented_at_ms, pairs.comment_id, pairs.page_id
FROM pairs
JOIN (
    SELECT user_key FROM pairs GROUP BY user_key HAVING count(*) >= :min_user
) AS often ON often.user_key = pairs.user_key
JOIN (
    SELECT video_id FROM pairs GROUP BY video_id HAVING count(*) >= :min_item
) AS popular ON popular.video_id = pairs.video_id
ORDER BY pairs.user_key, pairs.commented_at_ms, pairs.comment_id, pairs.video_id

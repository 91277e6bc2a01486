-- Items that at least one sampled user commented on.
SELECT DISTINCT interactions.video_id
FROM interactions
JOIN sampled_users ON sampled_users.user_key = interactions.user_key
ORDER BY interactions.video_id

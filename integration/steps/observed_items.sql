-- Items that at least one sampled user commented on.
SELECT DISTINCT video_id
FROM pairs
ORDER BY video_id

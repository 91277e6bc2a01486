-- The candidates with the count of their interactions within the pool and before the cutoff.
SELECT candidates.user_key, count(*) AS interaction_count, min(candidates.sampling_hash) AS sampling_hash
FROM drawn_from AS pair
JOIN candidates ON candidates.user_key = pair.user_key
JOIN pool_items ON pool_items.video_id = pair.video_id
WHERE pair.commented_at_ms < :cutoff_ms
GROUP BY candidates.user_key
ORDER BY candidates.user_key

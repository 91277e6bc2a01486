-- The items that users are drawn for: the first :pool in the order of the crawl, of those that have the stage and the
-- likes at the cutoff: by the last visit before it, or else by the first one that there was.
SELECT items.video_id
FROM items
JOIN (
    SELECT
        video_id,
        like_count,
        min(crawled_at_ms) OVER (PARTITION BY video_id) AS found_at_ms,
        row_number() OVER (
            PARTITION BY video_id
            ORDER BY
                CASE WHEN crawled_at_ms < :cutoff_ms THEN 0 ELSE 1 END,
                CASE WHEN crawled_at_ms < :cutoff_ms THEN -crawled_at_ms ELSE crawled_at_ms END,
                like_count DESC NULLS LAST
        ) AS place
    FROM snapshots
) AS visit ON visit.video_id = items.video_id
WHERE visit.place = 1
    AND (:stage = 'any' OR items.stage = :stage)
    AND (:min_likes = 0 OR visit.like_count >= :min_likes)
ORDER BY visit.found_at_ms, items.video_id
LIMIT :pool

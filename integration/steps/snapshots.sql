-- What every visit of a kept video's page counted, oldest first: a refresh adds a row and changes none.
SELECT DISTINCT
    crawled_videos.video_id,
    crawled_videos.crawled_at_ms,
    crawled_videos.like_count,
    crawled_videos.view_count,
    crawled_videos.comment_count
FROM crawled_videos
JOIN items ON items.video_id = crawled_videos.video_id
ORDER BY
    crawled_videos.video_id,
    crawled_videos.crawled_at_ms,
    crawled_videos.like_count NULLS LAST,
    crawled_videos.view_count NULLS LAST,
    crawled_videos.comment_count NULLS LAST

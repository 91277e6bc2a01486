-- The latest snapshot of every video, whichever node took it.
SELECT
    video_id, page_url, title, tags, category, language, published_at_ms, duration_s, like_count, view_count, comment_count,
    captions
FROM (
    SELECT *, row_number() OVER (PARTITION BY video_id ORDER BY crawled_at_ms DESC, page_url, title) AS age
    FROM crawled_videos
)
WHERE age = 1
ORDER BY video_id

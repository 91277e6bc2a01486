-- The latest snapshot of every video, whichever node took it.
SELECT
    video_id, page_url, title, tags, category, language, published_at_ms, duration_s, like_count, view_count, comment_count,
    captions
FROM (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY video_id
            -- Of two at one moment it must not be chance; captions stay out, for engines sort nulls within them each its way.
            ORDER BY
                crawled_at_ms DESC, page_url, title, like_count NULLS LAST, view_count NULLS LAST,
                comment_count NULLS LAST, category NULLS LAST, language NULLS LAST, published_at_ms NULLS LAST,
                duration_s NULLS LAST, tags
        ) AS age
    FROM crawled_videos
)
WHERE age = 1
ORDER BY video_id

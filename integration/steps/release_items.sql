-- Public items: dense ids, no ids of the platform but in the page's address.
SELECT
    item_ids.item_id,
    items.title,
    items.tags,
    items.category,
    items.language,
    items.duration_s,
    items.published_at_ms,
    items.like_count,
    items.view_count,
    items.comment_count,
    items.has_more_likes_than_views,
    items.stage,
    items.page_url,
    items.captions,
    items.cover_sha256,
    items.video_sha256,
    items.audio_sha256,
    items.audio_problem,
    item_ids.cover_path,
    item_ids.video_path,
    item_ids.audio_path
FROM items
JOIN item_ids ON item_ids.video_id = items.video_id
ORDER BY item_ids.item_id

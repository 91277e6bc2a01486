-- All that is known of every video that the crawl met: one row each, ready for its verdict.
SELECT
    page.video_id,
    videos.title,
    coalesce(videos.like_count, page.like_count) AS like_count,
    videos.comment_count,
    videos.category,
    videos.language,
    page.failure AS page_failure,
    page.refusal,
    selection.video_id IS NOT NULL AS is_selected,
    page.has_cover,
    cover_failure.reason AS cover_failure,
    cover.is_decodable AS cover_is_decodable,
    cover.error AS cover_error,
    cover.dominant_share AS cover_share,
    cover.phash AS cover_phash,
    page.has_video,
    video_failure.reason AS video_failure,
    video.size_bytes AS video_bytes,
    video.is_decodable AS video_is_decodable,
    video.error AS video_error,
    video.sha256 AS video_sha256,
    video.duration_s AS video_duration_s,
    video.phash AS video_phash,
    video.frame_hashes AS video_frames,
    audio.sha256 AS audio_sha256
FROM page
LEFT JOIN videos ON videos.video_id = page.video_id
LEFT JOIN selection ON selection.video_id = page.video_id
LEFT JOIN asset AS cover ON cover.video_id = page.video_id AND cover.kind = 'cover'
LEFT JOIN asset AS video ON video.video_id = page.video_id AND video.kind = 'video'
LEFT JOIN asset AS audio ON audio.video_id = page.video_id AND audio.kind = 'audio'
LEFT JOIN failure AS cover_failure ON cover_failure.name = page.video_id || '/cover'
LEFT JOIN failure AS video_failure ON video_failure.name = page.video_id || '/video'
ORDER BY page.video_id

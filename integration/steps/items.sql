-- Kept videos with what a release tells of them.
SELECT
    videos.video_id,
    videos.title,
    videos.tags,
    videos.category,
    videos.language,
    coalesce(video.duration_s, videos.duration_s) AS duration_s,
    videos.published_at_ms,
    videos.like_count,
    videos.view_count,
    videos.comment_count,
    videos.like_count > videos.view_count AS has_more_likes_than_views,
    selection.stage,
    videos.page_url,
    videos.captions,
    cover.sha256 AS cover_sha256,
    cover.mime AS cover_mime,
    video.sha256 AS video_sha256,
    video.mime AS video_mime,
    audio.sha256 AS audio_sha256,
    audio.mime AS audio_mime,
    CASE
        WHEN audio.sha256 IS NULL THEN coalesce(audio_failure.reason, 'missing')
        WHEN audio.is_decodable IS DISTINCT FROM TRUE THEN 'not_decodable'
    END AS audio_problem
FROM verdicts
JOIN videos ON videos.video_id = verdicts.video_id
JOIN selection ON selection.video_id = verdicts.video_id
LEFT JOIN asset AS cover ON cover.video_id = videos.video_id AND cover.kind = 'cover'
LEFT JOIN asset AS video ON video.video_id = videos.video_id AND video.kind = 'video'
LEFT JOIN asset AS audio ON audio.video_id = videos.video_id AND audio.kind = 'audio'
LEFT JOIN failure AS audio_failure ON audio_failure.name = videos.video_id || '/audio'
WHERE verdicts.is_kept
ORDER BY videos.video_id

-- Each user's earliest comment on each kept item: on its own page, or on a duplicate's that counts for it (twins).
-- A view, as interactions is; page_id tells where the comment was made.
SELECT
    merged_pairs.user_key,
    merged_pairs.video_id,
    merged_pairs.commented_at_ms,
    merged_pairs.comment_id,
    merged_pairs.video_id AS page_id
FROM merged_pairs
JOIN items ON items.video_id = merged_pairs.video_id
LEFT JOIN twins ON twins.video_id = merged_pairs.video_id
WHERE twins.video_id IS NULL
UNION ALL
SELECT user_key, video_id, commented_at_ms, comment_id, page_id
FROM (
    SELECT
        merged_pairs.user_key,
        twins.counts_for AS video_id,
        merged_pairs.commented_at_ms,
        merged_pairs.comment_id,
        merged_pairs.video_id AS page_id,
        row_number() OVER (
            PARTITION BY merged_pairs.user_key, twins.counts_for
            ORDER BY merged_pairs.commented_at_ms, merged_pairs.comment_id, merged_pairs.video_id
        ) AS repetition
    FROM merged_pairs
    JOIN twins ON twins.video_id = merged_pairs.video_id
)
WHERE repetition = 1

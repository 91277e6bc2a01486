-- Public users with the length of their sequences.
SELECT
    user_ids.user_id,
    CAST(count(*) AS INTEGER) AS interaction_count,
    max(genders.gender) AS gender
FROM pairs AS interactions
JOIN user_ids ON user_ids.user_key = interactions.user_key
JOIN item_ids ON item_ids.video_id = interactions.video_id
LEFT JOIN (
    SELECT crawled_texts.user_key, max(crawled_texts.gender) AS gender
    FROM crawled_texts
    JOIN user_ids ON user_ids.user_key = crawled_texts.user_key
    WHERE crawled_texts.gender IS NOT NULL
    GROUP BY crawled_texts.user_key
) AS genders ON genders.user_key = interactions.user_key
GROUP BY user_ids.user_id
ORDER BY user_ids.user_id

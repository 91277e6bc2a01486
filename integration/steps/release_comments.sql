-- The texts of the comments that are the interactions, apart from them: most readers never need them.
-- A comment is looked for on the page where it was made: duplicates of a video may number theirs alike.
-- What has no text is left out last: asked of the texts themselves, it would make them look fewer than the pairs are.
SELECT told.user_id, told.item_id, min(crawled_texts.text) AS text
FROM (
    SELECT user_ids.user_id, item_ids.item_id, pairs.page_id, pairs.comment_id
    FROM pairs
    JOIN user_ids ON user_ids.user_key = pairs.user_key
    JOIN item_ids ON item_ids.video_id = pairs.video_id
) AS told
JOIN crawled_texts ON crawled_texts.video_id = told.page_id AND crawled_texts.comment_id = told.comment_id
GROUP BY told.user_id, told.item_id
HAVING min(crawled_texts.text) IS NOT NULL
ORDER BY told.user_id, told.item_id

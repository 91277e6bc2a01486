-- One interaction for each user and kept item: the earliest comment, unless the item has too many later ones (floors).
-- A view: pairs are sorted by user already, and whoever reads it wants but a few users or columns.
SELECT
    item_pairs.user_key,
    item_pairs.video_id,
    item_pairs.commented_at_ms,
    item_pairs.comment_id,
    item_pairs.page_id
FROM item_pairs
LEFT JOIN floors ON floors.video_id = item_pairs.video_id
WHERE floors.video_id IS NULL
    OR item_pairs.commented_at_ms > floors.commented_at_ms
    OR (item_pairs.commented_at_ms = floors.commented_at_ms AND item_pairs.comment_id > floors.comment_id)
    OR (
        item_pairs.commented_at_ms = floors.commented_at_ms
        AND item_pairs.comment_id = floors.comment_id
        AND item_pairs.user_key > floors.user_key
    )

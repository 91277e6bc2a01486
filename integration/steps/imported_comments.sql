-- The texts of imported pairs; of several texts of one pair the first that is listed.
SELECT user_id, item_id, text
FROM (
    SELECT
        imported_users.user_id,
        imported_items.item_id,
        foreign_comments.text,
        row_number() OVER (
            PARTITION BY imported_users.user_id, imported_items.item_id
            ORDER BY foreign_comments.place
        ) AS turn
    FROM foreign_comments
    JOIN imported_users ON imported_users.user_token = foreign_comments.user_token
    JOIN imported_items ON imported_items.item_token = foreign_comments.item_token
    JOIN (SELECT DISTINCT user_id, item_id FROM imported_interactions) AS pairs
        ON pairs.user_id = imported_users.user_id AND pairs.item_id = imported_items.item_id
) AS told
WHERE turn = 1
ORDER BY user_id, item_id

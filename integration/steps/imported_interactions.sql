-- Imported pairs under their public ids: each user's items by time where the source tells one, else as it lists them.
-- Equal times stay as they are listed; a pair that is listed twice is there twice.
SELECT
    imported_users.user_id,
    imported_items.item_id,
    CASE WHEN :ms_per_unit > 0 THEN CAST(round(foreign_pairs.time * :ms_per_unit) AS BIGINT) END AS timestamp_ms,
    CAST(row_number() OVER (
        PARTITION BY imported_users.user_id
        ORDER BY foreign_pairs.time NULLS FIRST, foreign_pairs.place
    ) AS INTEGER) AS position
FROM foreign_pairs
JOIN imported_users ON imported_users.user_token = foreign_pairs.user_token
JOIN imported_items ON imported_items.item_token = foreign_pairs.item_token
ORDER BY imported_users.user_id, position

-- Users who may be eligible, as far as the sampling order before :bound: nobody has more interactions in a pool than in all.
SELECT user_key, interaction_count, sampling_hash
FROM (
    SELECT
        user_key,
        interaction_count,
        CASE
            WHEN :is_reseeded THEN sha2(concat(:seed, ':', lower(hex(user_key))), 256)
            ELSE sampling_hash
        END AS sampling_hash
    FROM users
    WHERE interaction_count >= :min_user
)
WHERE sampling_hash < :bound
ORDER BY sampling_hash, user_key

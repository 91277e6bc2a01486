-- Every user with the count of interactions and the place in the sampling order (sha256 exists in every engine).
SELECT
    user_key,
    count(*) AS interaction_count,
    sha256(concat(:seed, ':', lower(hex(user_key)))) AS sampling_hash
FROM interactions
GROUP BY user_key
ORDER BY user_key

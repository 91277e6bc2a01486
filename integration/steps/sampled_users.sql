-- The first :users of the eligible ones in sampling order: a smaller sample lies within every larger one.
SELECT user_key
FROM pool_users
WHERE interaction_count >= :min_user AND interaction_count <= :max_user
ORDER BY sampling_hash, user_key
LIMIT :users

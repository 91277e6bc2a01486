-- The first :users of the eligible ones in sampling order: a smaller sample lies within every larger one.
SELECT user_key
FROM users
WHERE interaction_count >= :min_user
ORDER BY sampling_hash, user_key
LIMIT :users

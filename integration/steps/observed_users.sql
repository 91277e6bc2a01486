-- Sampled users of whom something is left.
SELECT DISTINCT user_key
FROM pairs
ORDER BY user_key

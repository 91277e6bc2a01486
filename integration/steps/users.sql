-- Every user with the count of interactions and the place in the sampling order: by key, from :start on and around.
-- A key is a keyed hash (HMAC) already, and pairs lie in this order: who is drawn is found in a few of their files.
SELECT
    user_key,
    count(*) AS interaction_count,
    concat(CASE WHEN user_key >= unhex(:start) THEN '0' ELSE '1' END, lower(hex(user_key))) AS sampling_hash
FROM interactions
GROUP BY user_key
ORDER BY user_key

-- The frontier's operations. Each section below the prelude is one atomic script; the prelude stands before each.
--
-- KEYS[1] is the prefix "mlb:{run}:"; every other key is spelled here and nowhere else (the braces keep a run's keys
-- on one slot of a Redis cluster):
--
--   item:<kind>        hash   name -> JSON of the item
--   seen:<2 bytes>     set    16-byte digests of every item ever pushed, in 65,536 buckets that stay compact
--   ready:<kind>:<host> zset  name by priority
--   hosts:<kind>       zset   host by the time when it is worth a look; a host stands here while it has ready items
--   delayed:<kind>     zset   name by the time when it becomes ready
--   lease:<kind>       zset   name by the time when its lease ends
--   busy:<kind>        hash   name -> host, while the item takes one of its host's places
--   attempts:<kind>    hash   name -> tries that failed so far
--   open               hash   kind -> items pushed and not yet acked or failed
--   host:<host>        hash   theoretical arrival time (GCRA), places taken, backoff, crawl delay, robots' lifetime
--   robots:<host>      string JSON of the last robots.txt
--
-- Times are Redis's own, in milliseconds, so that machines with different clocks agree.

local P = KEYS[1]

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function ready_key(kind, host) return P .. 'ready:' .. kind .. ':' .. host end

local function look_at(kind, host, at)
  redis.call('ZADD', P .. 'hosts:' .. kind, at, host)
end

local function make_ready(item)
  redis.call('ZADD', ready_key(item.kind, item.host), item.priority, item.name)
  redis.call('ZADD', P .. 'hosts:' .. item.kind, 'LT', 0, item.host)
end

-- Give back the host's place that an item holds, if it still holds one.
local function free_place(name, kind)
  local host = redis.call('HGET', P .. 'busy:' .. kind, name)
  if host then
    redis.call('HDEL', P .. 'busy:' .. kind, name)
    redis.call('HINCRBY', P .. 'host:' .. host, 'places', -1)
    if redis.call('ZSCORE', P .. 'hosts:' .. kind, host) then look_at(kind, host, 0) end
  end
end

local function close(name, kind)
  free_place(name, kind)
  redis.call('ZREM', P .. 'lease:' .. kind, name)
  redis.call('HDEL', P .. 'attempts:' .. kind, name)
  if redis.call('HDEL', P .. 'item:' .. kind, name) == 1 then redis.call('HINCRBY', P .. 'open', kind, -1) end
end

-- Take one request from a host's budget. 0: go; else the milliseconds until it is worth asking again.
local function take(host, now, rate)
  local key = P .. 'host:' .. host
  local h = redis.call('HMGET', key, 'tat', 'backoff_until', 'delay_ms')
  local backoff = tonumber(h[2]) or 0
  if backoff > now then return backoff - now end
  local delay = tonumber(h[3]) or 0
  local interval = math.max(1000 / rate, delay)
  -- GCRA: up to 100 ms of requests may go at once, none where they are further apart than that.
  local tolerance = math.max(0, 100 - interval)
  local tat = tonumber(h[1]) or 0
  if tat - tolerance > now then return math.ceil(tat - tolerance - now) end
  redis.call('HSET', key, 'tat', math.max(tat, now) + interval)
  return 0
end

--- push  ARGV: (JSON of an item, its 16-byte digest)*  -> how many were new
local added = 0
for i = 1, #ARGV, 2 do
  local digest = ARGV[i + 1]
  if redis.call('SADD', P .. 'seen:' .. string.sub(digest, 1, 2), digest) == 1 then
    local item = cjson.decode(ARGV[i])
    redis.call('HSET', P .. 'item:' .. item.kind, item.name, ARGV[i])
    redis.call('HINCRBY', P .. 'open', item.kind, 1)
    make_ready(item)
    added = added + 1
  end
end
return added

--- claim  ARGV: kind, wanted, lease_ms, rate, concurrency  -> {wait_ms, now_ms, (JSON of an item, its attempts)*}
local kind, wanted = ARGV[1], tonumber(ARGV[2])
local lease_ms, rate, concurrency = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local now = now_ms()
local answer = {0, now}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'lease:' .. kind, '-inf', now, 'LIMIT', 0, 256)) do
  redis.call('ZREM', P .. 'lease:' .. kind, name)
  free_place(name, kind)
  local json = redis.call('HGET', P .. 'item:' .. kind, name)
  if json then make_ready(cjson.decode(json)) end
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'delayed:' .. kind, '-inf', now, 'LIMIT', 0, 256)) do
  redis.call('ZREM', P .. 'delayed:' .. kind, name)
  local json = redis.call('HGET', P .. 'item:' .. kind, name)
  if json then make_ready(cjson.decode(json)) end
end
for _, host in ipairs(redis.call('ZRANGEBYSCORE', P .. 'hosts:' .. kind, '-inf', now, 'LIMIT', 0, 256)) do
  if wanted <= 0 then break end
  local key = P .. 'host:' .. host
  local known = tonumber(redis.call('HGET', key, 'robots_until')) or 0
  if known <= now then
    -- Nothing is asked of a host whose robots.txt is not known: whoever comes first is sent for it.
    local asked = tonumber(redis.call('HGET', key, 'robots_asked')) or 0
    if asked <= now then
      redis.call('HSET', key, 'robots_asked', now + lease_ms)
      answer[#answer + 1] = cjson.encode({kind = 'robots', host = host, url = host .. '/robots.txt'})
      answer[#answer + 1] = 0
      wanted = wanted - 1
    end
    look_at(kind, host, now + 50)
  else
    local places = tonumber(redis.call('HGET', key, 'places')) or 0
    while wanted > 0 do
      if places >= concurrency then look_at(kind, host, now + 50) break end
      if redis.call('ZCARD', ready_key(kind, host)) == 0 then
        redis.call('ZREM', P .. 'hosts:' .. kind, host)
        break
      end
      local wait = take(host, now, rate)
      if wait > 0 then look_at(kind, host, now + wait) break end
      local name = redis.call('ZPOPMIN', ready_key(kind, host))[1]
      local json = redis.call('HGET', P .. 'item:' .. kind, name)
      if json then
        redis.call('ZADD', P .. 'lease:' .. kind, now + lease_ms, name)
        redis.call('HSET', P .. 'busy:' .. kind, name, host)
        places = redis.call('HINCRBY', key, 'places', 1)
        answer[#answer + 1] = json
        answer[#answer + 1] = redis.call('HGET', P .. 'attempts:' .. kind, name) or 0
        wanted = wanted - 1
      end
    end
  end
end
-- How long until something may become due: the caller sleeps that long instead of asking again and again.
local soonest = now + 1000
for _, name in ipairs({'hosts:', 'delayed:', 'lease:'}) do
  local first = redis.call('ZRANGE', P .. name .. kind, 0, 0, 'WITHSCORES')
  if first[2] then soonest = math.min(soonest, tonumber(first[2])) end
end
answer[1] = math.max(1, math.ceil(soonest - now))
return answer

--- take  ARGV: host, rate, wanted  -> {how many may go, milliseconds until the next may; 0: all go}
local now, rate, wanted = now_ms(), tonumber(ARGV[2]), tonumber(ARGV[3])
for granted = 0, wanted - 1 do
  local wait = take(ARGV[1], now, rate)
  if wait > 0 then return {granted, wait} end
end
return {wanted, 0}

--- fetched  ARGV: kind, name...  -> the network is done with; the lease goes on, the host's place is free
for i = 2, #ARGV do free_place(ARGV[i], ARGV[1]) end
return #ARGV - 1

--- ack  ARGV: kind, name...  -> done with for good
for i = 2, #ARGV do close(ARGV[i], ARGV[1]) end
return #ARGV - 1

--- retry  ARGV: kind, name, delay_ms  -> 1 unless the item or its lease is gone; it comes back with one more attempt
local kind, name = ARGV[1], ARGV[2]
free_place(name, kind)
-- Whoever lost the lease has lost the item: it is ready again already and must not stand in two places.
if redis.call('ZREM', P .. 'lease:' .. kind, name) == 0 then return 0 end
if redis.call('HEXISTS', P .. 'item:' .. kind, name) == 0 then return 0 end
redis.call('HINCRBY', P .. 'attempts:' .. kind, name, 1)
redis.call('ZADD', P .. 'delayed:' .. kind, now_ms() + tonumber(ARGV[3]), name)
return 1

--- give_back  ARGV: kind, name  -> 1 if the lease was held; the item waits for its host as if it were never claimed
local kind, name = ARGV[1], ARGV[2]
if redis.call('ZREM', P .. 'lease:' .. kind, name) == 0 then return 0 end
free_place(name, kind)
local json = redis.call('HGET', P .. 'item:' .. kind, name)
if json then make_ready(cjson.decode(json)) end
return 1

--- forget  ARGV: digest...  -> how many were known; they may be pushed again
local known = 0
for _, digest in ipairs(ARGV) do
  known = known + redis.call('SREM', P .. 'seen:' .. string.sub(digest, 1, 2), digest)
end
return known

--- renew  ARGV: kind, lease_ms, name...  -> how many leases were still held
local held = 0
local until_ms = now_ms() + tonumber(ARGV[2])
for i = 3, #ARGV do
  held = held + redis.call('ZADD', P .. 'lease:' .. ARGV[1], 'XX', 'CH', until_ms, ARGV[i])
end
return held

--- backoff  ARGV: host, sent_ms, retry_after_ms (0: none), base_ms  -> milliseconds the host now rests
local key = P .. 'host:' .. ARGV[1]
local now, sent, asked, base = now_ms(), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local h = redis.call('HMGET', key, 'backoff_at', 'backoff_step', 'backoff_until')
local last, step, until_ms = tonumber(h[1]) or 0, tonumber(h[2]) or 0, tonumber(h[3]) or 0
if sent > last then -- else it was sent before the host told us: the same event, no further step
  until_ms = math.max(until_ms, now + base * 2 ^ math.min(step, 10))
  redis.call('HSET', key, 'backoff_at', now, 'backoff_step', step + 1)
end
if asked > 0 then until_ms = math.max(until_ms, now + asked) end
redis.call('HSET', key, 'backoff_until', until_ms)
return math.max(0, math.ceil(until_ms - now))

--- calm  ARGV: host  -> an answer that was no refusal: the next backoff starts small again
return redis.call('HDEL', P .. 'host:' .. ARGV[1], 'backoff_step')

--- clear  -> how many keys are gone, all in one step: a push between two of them would be seen and yet have no item
local keys = redis.call('KEYS', P .. '*')
for _, key in ipairs(keys) do redis.call('UNLINK', key) end
return #keys

--- robots  ARGV: host, JSON, lifetime_ms, delay_ms  -> remember a host's robots.txt and obey its crawl delay
local key = P .. 'host:' .. ARGV[1]
redis.call('SET', P .. 'robots:' .. ARGV[1], ARGV[2], 'PX', ARGV[3])
redis.call('HSET', key, 'robots_until', now_ms() + tonumber(ARGV[3]), 'delay_ms', ARGV[4], 'robots_asked', 0, 'robots_failures', 0)
return 1

--- robots_later  ARGV: host, delay_ms  -> it could not be fetched: nobody asks again before that
redis.call('HSET', P .. 'host:' .. ARGV[1], 'robots_asked', now_ms() + tonumber(ARGV[2]))
return redis.call('HINCRBY', P .. 'host:' .. ARGV[1], 'robots_failures', 1)

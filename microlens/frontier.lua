-- The frontier's operations. Each section below the prelude is one atomic script; the prelude stands before each.
--
-- KEYS[1] is the prefix "mlb:{run}:"; every other key is spelled here and nowhere else (the braces keep a run's keys
-- on one slot of a Redis cluster):
--
--   seen:<2 bytes>     set    16-byte digests of every item ever pushed, in 65,536 buckets that stay compact
--   ready:<kind>:<host> zset  item by priority: "length of its name:name, then JSON of [URL, payload]"
--   hosts:<kind>       zset   host by the time when it is worth a look; a host stands here while it has ready items
--   taken:<kind>       hash   name -> "priority\nhost\nitem" of what is leased or delayed (a host has no newline)
--   delayed:<kind>     zset   name by the time when it becomes ready
--   lease:<kind>       zset   name by the time when its lease ends
--   holder:<kind>      hash   name -> "owner\nhost" of a leased item; "owner\n" once it takes no place of its host
--   expired:<kind>     hash   name -> as in taken, of a ready item whose lease ended: its late owner may still ack it
--   attempts:<kind>    hash   name -> tries that failed so far, and parts of tries
--   open               hash   kind -> items pushed and not yet acked or failed
--   host:<host>        hash   theoretical arrival time (GCRA), places taken, backoff, crawl delay, robots' lifetime,
--                             requests in a row without an answer, parking
--   robots:<host>      string JSON of the last robots.txt
--   nodes              hash   node's process -> its last heartbeat (microlens.heartbeats)
--   bytes:<account>    string GCRA arrival time of a host's or a node's bandwidth
--   flight:<digest>    string "owner\nname" of the item that fetches an address now, until its lease ends
--   waiting:<digest>   set    names of delayed media items that wait for what comes of a flight
--
-- Times are Redis's own, in milliseconds, so that machines with different clocks agree. What concerns many names is
-- gathered and done in one command each: most of a script's time is the number of commands that it calls. And whatever
-- is touched at every claim stays small, however much is ready.

local P = KEYS[1]

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- ARGV from one place on.
local function arguments(first)
  local rest = {}
  for i = first, #ARGV do rest[#rest + 1] = ARGV[i] end
  return rest
end

local function look_at(kind, host, at)
  redis.call('ZADD', P .. 'hosts:' .. kind, at, host)
end

-- Have a host that is waited for looked at no later than that, for whatever kind it has ready items of.
local function wake(host, at)
  for _, kind in ipairs({'page', 'visit', 'links', 'media', 'comments'}) do
    redis.call('ZADD', P .. 'hosts:' .. kind, 'XX', 'LT', at, host)
  end
end

local function name_of(item)
  local colon = string.find(item, ':', 1, true)
  return string.sub(item, colon + 1, colon + tonumber(string.sub(item, 1, colon - 1)))
end

-- Make what was leased or delayed ready again; gives what was noted of it, unless it was finished meanwhile.
local function make_ready(kind, name, now)
  local entry = redis.call('HGET', P .. 'taken:' .. kind, name)
  if not entry then return nil end
  redis.call('HDEL', P .. 'taken:' .. kind, name)
  local priority, host, item = string.match(entry, '^([^\n]*)\n([^\n]*)\n(.*)$')
  if redis.call('ZADD', P .. 'ready:' .. kind .. ':' .. host, priority, item) == 0 then
    redis.call('HINCRBY', P .. 'open', kind, -1) -- it was forgotten meanwhile and pushed again: it is one item still
  end
  -- A host that stands here already has its time: new work makes it due no sooner.
  redis.call('ZADD', P .. 'hosts:' .. kind, 'NX', now, host)
  return entry
end

-- Give back the hosts' places that these items take. Of an owner's call, items that another has claimed since are left
-- alone; `owner` is nil for all. Returns the names that were nobody's or the owner's, and those of them that were held.
local function release(kind, owner, names, now)
  local entries = redis.call('HMGET', P .. 'holder:' .. kind, unpack(names))
  local free, held, counts, done = {}, {}, {}, {}
  for i, name in ipairs(names) do
    local entry = entries[i]
    if not done[name] and (not entry or not owner or string.sub(entry, 1, #owner) == owner) then
      free[#free + 1] = name
      if entry then
        held[#held + 1] = name
        counts[entry] = (counts[entry] or 0) + 1
      end
    end
    done[name] = true
  end
  for entry, count in pairs(counts) do
    local host = string.match(entry, '\n(.+)$')
    if host then
      redis.call('HINCRBY', P .. 'host:' .. host, 'places', -count)
      redis.call('ZADD', P .. 'hosts:' .. kind, 'XX', 'LT', now, host)
    end
  end
  return free, held
end

-- Have a leased item come back after a while; false for whoever has lost the lease, and with it the item: it is ready or
-- in other hands already, and must not stand in two places.
local function hand_back(kind, owner, name, after_ms, now)
  local _, held = release(kind, owner, {name}, now)
  if #held == 0 then return false end
  redis.call('ZREM', P .. 'lease:' .. kind, name)
  redis.call('HDEL', P .. 'holder:' .. kind, name)
  if after_ms == 0 then
    make_ready(kind, name, now)
  else
    redis.call('ZADD', P .. 'delayed:' .. kind, now + after_ms, name)
  end
  return true
end

-- How many requests a host's clocks allow now, and the milliseconds until the next where none is; then the two numbers
-- of GCRA (theoretical arrival time, interval) by which a request is paid for.
local function allowance(tat, backoff_until, parked_until, delay, now, rate)
  local rest = math.max(tonumber(backoff_until) or 0, tonumber(parked_until) or 0) - now
  if rest > 0 then return 0, rest end
  local interval = math.max(1000 / rate, tonumber(delay) or 0)
  -- Up to 100 ms of requests may go at once, none where they are further apart than that.
  local tolerance = math.max(0, 100 - interval)
  tat = math.max(tonumber(tat) or 0, now)
  local spare = now + tolerance - tat
  if spare < 0 then return 0, math.ceil(-spare) end
  return 1 + math.floor(spare / interval), 0, tat, interval
end

-- The host has answered: what its silence had brought about is over. Returns 1 if it had been parked.
local function answered(host, now)
  local key = P .. 'host:' .. host
  local was_parked = redis.call('HDEL', key, 'parked_times')
  redis.call('HDEL', key, 'failures', 'silent_since', 'parked_until')
  if was_parked == 1 then wake(host, now) end
  return was_parked
end

--- push  ARGV: kind, (its 16-byte digest, host, priority, item)*  -> how many were new
local kind, now, added, ready = ARGV[1], now_ms(), 0, {}
for i = 2, #ARGV, 4 do
  local digest, host = ARGV[i], ARGV[i + 1]
  if redis.call('SADD', P .. 'seen:' .. string.sub(digest, 1, 2), digest) == 1 then
    local items = ready[host] or {}
    ready[host] = items
    items[#items + 1] = ARGV[i + 2]
    items[#items + 1] = ARGV[i + 3]
    added = added + 1
  end
end
local opened = 0 -- fewer than were added where something was forgotten while it stood here
for host, items in pairs(ready) do
  opened = opened + redis.call('ZADD', P .. 'ready:' .. kind .. ':' .. host, unpack(items))
  redis.call('ZADD', P .. 'hosts:' .. kind, 'NX', now, host)
end
if opened > 0 then redis.call('HINCRBY', P .. 'open', kind, opened) end
return added

--- claim  ARGV: kind, owner, wanted, lease_ms, rate, concurrency, share, (host, requests the caller has there)*
-- -> {wait_ms, now_ms, {host whose robots.txt is wanted}, {host in trouble}, {item, its priority, its attempts}*}
-- `share` is how many requests the caller wants to have at one host at most, those that it has included.
local kind, owner, wanted = ARGV[1], ARGV[2], math.min(tonumber(ARGV[3]), 1000)
local lease_ms, rate, concurrency, share = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local in_flight = {}
for i = 8, #ARGV, 2 do in_flight[ARGV[i]] = tonumber(ARGV[i + 1]) end
local now = now_ms()
local expired = redis.call('ZRANGEBYSCORE', P .. 'lease:' .. kind, '-inf', now, 'LIMIT', 0, 256)
if #expired > 0 then
  release(kind, nil, expired, now)
  redis.call('ZREM', P .. 'lease:' .. kind, unpack(expired))
  redis.call('HDEL', P .. 'holder:' .. kind, unpack(expired))
  for _, name in ipairs(expired) do
    local entry = make_ready(kind, name, now)
    if entry then redis.call('HSET', P .. 'expired:' .. kind, name, entry) end
  end
end
local rested = redis.call('ZRANGEBYSCORE', P .. 'delayed:' .. kind, '-inf', now, 'LIMIT', 0, 256)
if #rested > 0 then
  redis.call('ZREM', P .. 'delayed:' .. kind, unpack(rested))
  for _, name in ipairs(rested) do make_ready(kind, name, now) end
end
local have_failed = redis.call('EXISTS', P .. 'attempts:' .. kind) == 1
local have_expired = redis.call('EXISTS', P .. 'expired:' .. kind) == 1
local robots, troubled, given, taken, leases, holders = {}, {}, {}, {}, {}, {}
for _, host in ipairs(redis.call('ZRANGEBYSCORE', P .. 'hosts:' .. kind, '-inf', now, 'LIMIT', 0, 256)) do
  if wanted <= 0 then break end
  local key = P .. 'host:' .. host
  local h = redis.call('HMGET', key, 'tat', 'backoff_until', 'parked_until', 'delay_ms', 'places', 'robots_until',
    'robots_asked', 'failures', 'backoff_step')
  local allowed, wait, tat, interval = allowance(h[1], h[2], h[3], h[4], now, rate)
  local places = tonumber(h[5]) or 0
  local asked = tonumber(h[7]) or 0
  local room = math.min(concurrency - places, share - (in_flight[host] or 0))
  if allowed == 0 then
    look_at(kind, host, now + wait)
  elseif (tonumber(h[6]) or 0) <= now then
    -- Nothing is asked of a host whose robots.txt is not known: whoever comes first is sent for it.
    if asked <= now then
      asked = now + lease_ms
      redis.call('HSET', key, 'robots_asked', asked, 'tat', tat + interval)
      robots[#robots + 1] = host
      wanted = wanted - 1
    end
    look_at(kind, host, asked)
  elseif room <= 0 then
    look_at(kind, host, now + 50)
  else
    local most = math.min(allowed, room, wanted)
    local popped = redis.call('ZPOPMIN', P .. 'ready:' .. kind .. ':' .. host, most)
    local names, count, holder = {}, 0, owner .. '\n' .. host
    for i = 1, #popped, 2 do names[#names + 1] = name_of(popped[i]) end
    if #names > 0 then
      local entries = redis.call('HMGET', P .. 'taken:' .. kind, unpack(names))
      local attempts = have_failed and redis.call('HMGET', P .. 'attempts:' .. kind, unpack(names)) or {}
      if have_expired then redis.call('HDEL', P .. 'expired:' .. kind, unpack(names)) end
      local given_now = {}
      for i, name in ipairs(names) do
        local item, priority = popped[2 * i - 1], popped[2 * i]
        -- Forgotten and pushed again, while somebody had it or with another address: it is one item still.
        if entries[i] or given_now[name] then
          redis.call('HINCRBY', P .. 'open', kind, -1)
        else
          count = count + 1
          given_now[name] = true
          given[#given + 1] = item
          given[#given + 1] = priority
          given[#given + 1] = attempts[i] or 0
          taken[#taken + 1] = name
          taken[#taken + 1] = priority .. '\n' .. host .. '\n' .. item
          leases[#leases + 1] = now + lease_ms
          leases[#leases + 1] = name
          holders[#holders + 1] = name
          holders[#holders + 1] = holder
        end
      end
    end
    if count > 0 then
      tat = tat + count * interval
      redis.call('HSET', key, 'tat', tat, 'places', places + count)
      wanted = wanted - count
      if h[8] or h[9] then troubled[#troubled + 1] = host end
    end
    if #names < most then
      redis.call('ZREM', P .. 'hosts:' .. kind, host)
    elseif count >= room then
      look_at(kind, host, now + 50)
    else
      -- Served hosts go behind those that were not, so that each has its turn.
      local _, next_wait = allowance(tat, h[2], h[3], h[4], now, rate)
      look_at(kind, host, now + next_wait)
    end
  end
end
if #leases > 0 then
  redis.call('ZADD', P .. 'lease:' .. kind, unpack(leases))
  redis.call('HSET', P .. 'holder:' .. kind, unpack(holders))
  redis.call('HSET', P .. 'taken:' .. kind, unpack(taken))
end
-- How long until something may become due: the caller sleeps that long instead of asking again and again.
local soonest = now + 1000
for _, name in ipairs({'hosts:', 'delayed:', 'lease:'}) do
  local first = redis.call('ZRANGE', P .. name .. kind, 0, 0, 'WITHSCORES')
  if first[2] then soonest = math.min(soonest, tonumber(first[2])) end
end
return {math.max(1, math.ceil(soonest - now)), now, robots, troubled, given}

--- take  ARGV: host, rate, wanted  -> {how many may go, milliseconds until the next may; 0: all go}
local key, now, wanted = P .. 'host:' .. ARGV[1], now_ms(), tonumber(ARGV[3])
local h = redis.call('HMGET', key, 'tat', 'backoff_until', 'parked_until', 'delay_ms')
local allowed, wait, tat, interval = allowance(h[1], h[2], h[3], h[4], now, tonumber(ARGV[2]))
if allowed == 0 then return {0, wait} end
local granted = math.min(allowed, wanted)
tat = tat + granted * interval
redis.call('HSET', key, 'tat', tat)
if granted == wanted then return {granted, 0} end
return {granted, math.max(1, math.ceil(tat - math.max(0, 100 - interval) - now))}

--- refund  ARGV: host, requests, rate  -> a claim paid for these, and they are not made
local key = P .. 'host:' .. ARGV[1]
local h = redis.call('HMGET', key, 'tat', 'delay_ms')
local interval = math.max(1000 / tonumber(ARGV[3]), tonumber(h[2]) or 0)
redis.call('HSET', key, 'tat', (tonumber(h[1]) or 0) - tonumber(ARGV[2]) * interval)
wake(ARGV[1], now_ms())

--- fetched  ARGV: kind, owner, name*  -> the network is done with; the lease goes on, the host's place is free
local _, held = release(ARGV[1], ARGV[2], arguments(3), now_ms())
local entries = {}
for _, name in ipairs(held) do
  entries[#entries + 1] = name
  entries[#entries + 1] = ARGV[2] .. '\n'
end
if #held > 0 then redis.call('HSET', P .. 'holder:' .. ARGV[1], unpack(entries)) end
return #held

--- ack  ARGV: kind, owner, name*  -> done with for good, unless another has claimed it since; how many were open
local kind = ARGV[1]
local free, held = release(kind, ARGV[2], arguments(3), now_ms())
if #free == 0 then return 0 end
if #held > 0 then
  redis.call('ZREM', P .. 'lease:' .. kind, unpack(held))
  redis.call('HDEL', P .. 'holder:' .. kind, unpack(held))
end
if redis.call('EXISTS', P .. 'attempts:' .. kind) == 1 then
  redis.call('HDEL', P .. 'attempts:' .. kind, unpack(free))
end
local closed = redis.call('HDEL', P .. 'taken:' .. kind, unpack(free))
if redis.call('EXISTS', P .. 'expired:' .. kind) == 1 then
  for _, name in ipairs(free) do
    local entry = redis.call('HGET', P .. 'expired:' .. kind, name)
    if entry then
      local host, item = string.match(entry, '^[^\n]*\n([^\n]*)\n(.*)$')
      redis.call('HDEL', P .. 'expired:' .. kind, name)
      closed = closed + redis.call('ZREM', P .. 'ready:' .. kind .. ':' .. host, item)
    end
  end
end
if closed > 0 then redis.call('HINCRBY', P .. 'open', kind, -closed) end
return closed

--- retry  ARGV: kind, owner, name, delay_ms, attempts to count (or a part of one)
-- -> 1 if the lease was held; it comes back after a while
local kind, name = ARGV[1], ARGV[3]
if not hand_back(kind, ARGV[2], name, tonumber(ARGV[4]), now_ms()) then return 0 end
if tonumber(ARGV[5]) > 0 then redis.call('HINCRBYFLOAT', P .. 'attempts:' .. kind, name, ARGV[5]) end
return 1

--- forget  ARGV: digest*  -> how many were known; they may be pushed again
local known = 0
for _, digest in ipairs(ARGV) do
  known = known + redis.call('SREM', P .. 'seen:' .. string.sub(digest, 1, 2), digest)
end
return known

--- renew  ARGV: kind, owner, lease_ms, name*  -> how many leases were still held
local kind = ARGV[1]
local names = arguments(4)
local entries = redis.call('HMGET', P .. 'holder:' .. kind, unpack(names))
local until_ms = now_ms() + tonumber(ARGV[3])
local leases = {}
for i, name in ipairs(names) do
  if entries[i] and string.match(entries[i], '^[^\n]*') == ARGV[2] then
    leases[#leases + 1] = until_ms
    leases[#leases + 1] = name
  end
end
if #leases > 0 then redis.call('ZADD', P .. 'lease:' .. kind, 'XX', unpack(leases)) end
return #leases / 2

--- board  ARGV: owner, lease_ms, (16-byte digest of an address, item's name)*
-- -> for each 1 if the item may fetch the address now, 0 if another item, of whatever machine, is at it
local may = {}
for i = 3, #ARGV, 2 do
  local key, who = P .. 'flight:' .. ARGV[i], ARGV[1] .. '\n' .. ARGV[i + 1]
  if redis.call('SET', key, who, 'NX', 'PX', ARGV[2]) or redis.call('GET', key) == who then
    redis.call('PEXPIRE', key, ARGV[2])
    may[#may + 1] = 1
  else
    may[#may + 1] = 0
  end
end
return may

--- await  ARGV: owner, (digest, name of a media item)*
-- -> each is given back, and due again when whoever is at its address lands, or loses it
local owner, now = ARGV[1], now_ms()
for i = 2, #ARGV, 2 do
  local waiting, left_ms = P .. 'waiting:' .. ARGV[i], redis.call('PTTL', P .. 'flight:' .. ARGV[i])
  if hand_back('media', owner, ARGV[i + 1], math.max(0, left_ms), now) and left_ms > 0 then
    redis.call('SADD', waiting, ARGV[i + 1])
    redis.call('PEXPIRE', waiting, left_ms + 1000)
  end
end

--- fly  ARGV: owner, lease_ms, (digest, name)*  -> the caller's addresses are its own for longer, and waited for
local now, lease_ms = now_ms(), tonumber(ARGV[2])
for i = 3, #ARGV, 2 do
  local key, waiting = P .. 'flight:' .. ARGV[i], P .. 'waiting:' .. ARGV[i]
  if redis.call('GET', key) == ARGV[1] .. '\n' .. ARGV[i + 1] then
    redis.call('PEXPIRE', key, lease_ms)
    for _, name in ipairs(redis.call('SMEMBERS', waiting)) do
      redis.call('ZADD', P .. 'delayed:media', 'XX', 'GT', now + lease_ms, name)
    end
    redis.call('PEXPIRE', waiting, lease_ms + 1000)
  end
end

--- land  ARGV: owner, (digest, name)*  -> the caller's addresses are free, and whoever waits for them is due
local now = now_ms()
for i = 2, #ARGV, 2 do
  local key, waiting = P .. 'flight:' .. ARGV[i], P .. 'waiting:' .. ARGV[i]
  if redis.call('GET', key) == ARGV[1] .. '\n' .. ARGV[i + 1] then
    redis.call('DEL', key)
    for _, name in ipairs(redis.call('SPOP', waiting, 1000000)) do
      redis.call('ZADD', P .. 'delayed:media', 'XX', 'LT', now, name)
    end
  end
end

--- spend  ARGV: account, bytes (below zero: given back), bytes_per_s
-- -> milliseconds until they are paid for; a second's worth may go at once
local key, now = P .. 'bytes:' .. ARGV[1], now_ms()
local tat = math.max(tonumber(redis.call('GET', key)) or 0, now) + tonumber(ARGV[2]) * 1000 / tonumber(ARGV[3])
redis.call('SET', key, tat, 'PX', math.max(1, math.ceil(tat - now) + 1000))
return math.max(0, math.ceil(tat - now - 1000))

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
answered(ARGV[1], now)
return math.max(0, math.ceil(until_ms - now))

--- calm  ARGV: host  -> an answer that was no refusal: the next backoff starts small again; 1 if it had been parked
redis.call('HDEL', P .. 'host:' .. ARGV[1], 'backoff_step')
return answered(ARGV[1], now_ms())

--- clear  -> how many keys are gone, all in one step: a push between two of them would be seen and yet have no item
-- What hosts have told stays, for somebody may have heard it since the rest was lost: rests, robots.txt, budgets.
local stays, gone = {host = true, robots = true, bytes = true, nodes = true}, 0
for _, key in ipairs(redis.call('KEYS', P .. '*')) do
  local kind = string.match(key, '^[^:]*', #P + 1)
  if kind == 'host' then
    redis.call('HDEL', key, 'places') -- of leases that are forgotten
  elseif not stays[kind] then
    redis.call('UNLINK', key)
    gone = gone + 1
  end
end
return gone

--- robots  ARGV: host, JSON, lifetime_ms, delay_ms, is it the host's own answer (1) or our verdict on it (0)
-- -> remember a host's robots.txt and obey its crawl delay; 1 if it had been parked
local host, now, was_parked = ARGV[1], now_ms(), 0
redis.call('SET', P .. 'robots:' .. host, ARGV[2], 'PX', ARGV[3])
redis.call('HSET', P .. 'host:' .. host, 'robots_until', now + tonumber(ARGV[3]), 'delay_ms', ARGV[4], 'robots_asked', 0)
if ARGV[5] == '1' then
  was_parked = answered(host, now)
else
  redis.call('HDEL', P .. 'host:' .. host, 'parked_until')
end
wake(host, now)
return was_parked

--- give_back_robots  ARGV: host  -> nobody is asking for its robots.txt any more
redis.call('HSET', P .. 'host:' .. ARGV[1], 'robots_asked', 0)
wake(ARGV[1], now_ms())

--- silent  ARGV: host, sent_ms, was it for robots.txt (1 or 0), again_ms, park_after, park_ms, longest_ms
-- A request brought no answer. After so many in a row the host's robots.txt is asked for before anything else: a host
-- that gives it is well, and what was asked of it is at fault. A host that does not is parked, longer each time.
-- -> {requests in a row without an answer, milliseconds since the first of them, milliseconds parked by this one,
--     whether it was sent before the host was parked last (1 or 0)}
local host, is_robots, now = ARGV[1], ARGV[3] == '1', now_ms()
local key = P .. 'host:' .. host
local h = redis.call('HMGET', key, 'failures', 'silent_since', 'parked_at', 'parked_times')
local failures, since, times = tonumber(h[1]) or 0, tonumber(h[2]) or now, tonumber(h[4]) or 0
-- What was sent before the host was parked tells nothing new, even if the host has answered since.
if tonumber(ARGV[2]) <= (tonumber(h[3]) or 0) then return {failures, now - since, 0, 1} end
failures = failures + 1
redis.call('HSET', key, 'failures', failures, 'silent_since', since)
if not is_robots then
  if failures >= tonumber(ARGV[5]) then
    redis.call('HSET', key, 'robots_until', 0)
    -- A host that only redirects and lists lead to is looked for by whoever follows them: no claim asks for it.
    redis.call('DEL', P .. 'robots:' .. host)
    wake(host, now)
  end
  return {failures, now - since, 0, 0}
end
local parked, again = 0, tonumber(ARGV[4])
if failures >= tonumber(ARGV[5]) then
  parked = math.min(tonumber(ARGV[6]) * 2 ^ math.min(times, 30), tonumber(ARGV[7]))
  again = parked
  redis.call('HSET', key, 'parked_at', now, 'parked_until', now + parked, 'parked_times', times + 1)
end
redis.call('HSET', key, 'robots_asked', now + again)
wake(host, now + again)
return {failures, now - since, parked, 0}

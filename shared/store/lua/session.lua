#!lua flags=allow-oom
-- session: how many SMTP sessions a worker process has to its hops, and how many more it may set up.
-- KEYS[1] prefix. Reads and writes
--   session_holders ZSET process -> the end of its lease, ms
--   sessions_of:<process> HASH hop -> sessions
--   sessions:<key> HASH <process>|<hop> -> sessions, by key of a limit
--   sessions_wanted:<key> HASH <process>|<hop> -> since when it waits, '|', when it last asked;
--     '' -> until when who has been told to end some, '|', who
--   sessions_begun:<key> STRING ms, the GCRA of sessions begun; reads shaping
-- ARGV[4] process, [5] lease ms (0: it stops), then hop, sessions that it has, sessions that it wants
--   more, 1 where class critical waits for one, ...
-- Returns four numbers for each hop: sessions granted; ms after which asking again is worth while, 0
-- when none was refused; sessions that others wait for; sessions to end even when they are in use.
--
-- What is told is how many there are, not how many more or fewer: an answer that is lost, or a lease
-- that has run out, is made good by the next call. Where a limit is short each asker has a right to
-- an equal share. Who has less than that comes first, and who has more is told to end some.

local process, lease = ARGV[4], tonumber(ARGV[5])
local AGAIN_MS, LEAST_MS, LONGEST_MS, FRESH_MS = 250, 20, 500, 1200
local PATIENCE_MS, PROMISE_MS, STALL_MS = 2000, 1000, 3000
local holders = P .. 'session_holders'
local limited = call('EXISTS', P .. 'shaping') > 0
-- include limits

local function keys_of(hop)
  local whose, route = limit_keys(hop)
  return { whose, route }
end

-- The sessions at a key, how many names have some, and all together. Read once: hops of a route share one.
local read = {}
local function sessions_at(key)
  if not read[key] then
    local at, flat = { of = {}, names = 0, total = 0 }, call('HGETALL', P .. 'sessions:' .. key)
    for i = 1, #flat, 2 do
      local count = tonumber(flat[i + 1])
      at.of[flat[i]], at.names, at.total = count, at.names + 1, at.total + count
    end
    read[key] = at
  end
  return read[key]
end

local function note(who, hop, count)
  local of = P .. 'sessions_of:' .. who
  if tonumber(call('HGET', of, hop) or '0') == count then return end
  if count > 0 then call('HSET', of, hop, count) else call('HDEL', of, hop) end
  for _, key in ipairs(keys_of(hop)) do
    local at, name = P .. 'sessions:' .. key, who .. '|' .. hop
    if count > 0 then call('HSET', at, name, count) else call('HDEL', at, name) end
    local seen = read[key]
    if seen then
      local had = seen.of[name]
      seen.of[name] = count > 0 and count or nil
      seen.names = seen.names + (count > 0 and 1 or 0) - (had and 1 or 0)
      seen.total = seen.total + count - (had or 0)
    end
  end
end

local function forget(who)
  for _, hop in ipairs(call('HKEYS', P .. 'sessions_of:' .. who)) do note(who, hop, 0) end
  call('ZREM', holders, who)
end

-- Leases that have run out, but not while nobody could renew one: after a stall or a restart of the
-- server the sessions are there as before.
local function reap()
  local last = call('ZREVRANGE', holders, 0, 0, 'WITHSCORES')
  if not last[1] then return end
  local renewed = tonumber(last[2]) - lease
  if now - renewed > STALL_MS or renewed > now then
    for _, who in ipairs(call('ZRANGE', holders, 0, -1)) do call('ZADD', holders, now + lease, who) end
    return
  end
  for _, who in ipairs(call('ZRANGEBYSCORE', holders, '-inf', now)) do
    if who ~= process then forget(who) end
  end
end

-- Who waits at a key, and since when; who has been told to end some. Who has not asked again has gone.
-- Read once, too.
local asking = {}
local function waiting_at(key)
  if asking[key] then return asking[key] end
  local at, w = P .. 'sessions_wanted:' .. key, { since = {}, told = nil }
  local flat = call('HGETALL', at)
  for i = 1, #flat, 2 do
    local first, second = string.match(flat[i + 1], '^(%d+)|(.*)$')
    if flat[i] == '' then
      if tonumber(first) > now then w.told = second end
    elseif math.abs(now - tonumber(second)) > FRESH_MS then
      call('HDEL', at, flat[i])
    else
      w.since[flat[i]] = tonumber(first)
    end
  end
  asking[key] = w
  return w
end

-- How many sessions may begin now by the rate, and how far before its time the next one may.
local function permits(key, interval)
  local burst = math.max(1, 100 / interval) + 0.5
  local tat = math.max(now, tonumber(call('GET', P .. 'sessions_begun:' .. key) or '0'))
  return math.max(0, math.floor((now - tat) / interval + burst + 1e-6)), tat, (burst - 1) * interval
end

-- Whether a key has places for all, and nobody waits at it: then there is nothing to say to who wants
-- no more.
local function is_calm(key, most)
  if call('EXISTS', P .. 'sessions_wanted:' .. key) == 1 then return false end
  if most == 0 then return true end
  return sessions_at(key).total <= most
end

-- One key of a limit, as `me` finds it, which has `held` sessions and wants `more`.
local function found_at(key, limit, me, held, more, urgent)
  local most, at = limit.connections, sessions_at(key)
  local open, total = at.of, at.total
  local sharers = at.names + (open[me] and 0 or 1)
  local w = waiting_at(key)
  local mine, told = w.since[me], w.told
  for name in pairs(w.since) do
    if name ~= me and not open[name] then sharers = sharers + 1 end
  end
  local share = math.max(1, math.floor(most / sharers))
  local f = { key = key, limit = limit, since = urgent and 0 or mine or now, waits = mine ~= nil }
  local lacking, before, longest = 0, 0, 0
  for name, since in pairs(w.since) do
    local lack = name == me and 0 or share - (open[name] or 0)
    if lack > 0 then
      lacking, longest = lacking + lack, math.max(longest, now - since)
      if since < f.since then before = before + lack end
    end
  end
  f.room = more
  if most > 0 then f.room = math.min(f.room, most - total) end
  if limit.connection_interval > 0 then
    local free, tat, early = permits(key, limit.connection_interval)
    f.tat = tat
    if free < f.room then f.room, f.early = free, early end
  end
  if held >= share then
    f.room = f.room - lacking
  elseif lacking > 0 then
    f.room = math.min(f.room - before, share - held)
  end
  f.idle, f.due = 0, 0
  if most > 0 and held > 0 then
    local over = math.max(0, total - most)
    local short = over + math.max(0, lacking - math.max(0, most - total))
    f.idle = math.min(held, short)
    if short > 0 and (not told or told == me) then
      if held > share then
        f.due = math.min(short, held - share)
      elseif sharers > most and (over > 0 or longest >= PATIENCE_MS) then
        f.due = 1
      end
      if f.due > 0 and not told then
        w.told = me
        call('HSET', P .. 'sessions_wanted:' .. key, '', (now + PROMISE_MS) .. '|' .. me)
        call('PEXPIRE', P .. 'sessions_wanted:' .. key, 60000)
      end
    end
  end
  return f
end

-- Write down at a key what `me` was granted of `more`; gives when to ask for the others, 0: not here.
local function book(f, me, granted, more)
  local at, again = P .. 'sessions_wanted:' .. f.key, 0
  local tat = f.tat and f.tat + granted * f.limit.connection_interval
  if granted < more and f.room < more then
    again = f.early and math.max(LEAST_MS, math.min(LONGEST_MS, math.ceil(tat - f.early - now - 1e-6)))
      or AGAIN_MS
    waiting_at(f.key).since[me] = granted > 0 and now or f.since
    call('HSET', at, me, (granted > 0 and now or f.since) .. '|' .. now)
    call('PEXPIRE', at, 60000)
  elseif f.waits then
    waiting_at(f.key).since[me] = nil
    call('HDEL', at, me)
  end
  if tat and granted > 0 then
    call('SET', P .. 'sessions_begun:' .. f.key, string.format('%.17g', tat),
      'PX', math.ceil(tat - now) + 60000)
  end
  return again
end

local function asked(hop, held, more, urgent)
  note(process, hop, held)
  local me, at = process .. '|' .. hop, {}
  for _, key in ipairs(keys_of(hop)) do
    local limit = limited and limit_of(key)
    if limit and (limit.connections > 0 or limit.connection_interval > 0)
      and not (more == 0 and is_calm(key, limit.connections)) then
      at[#at + 1] = found_at(key, limit, me, held, more, urgent)
    end
  end
  local granted, again, idle, due = more, 0, 0, 0
  for _, f in ipairs(at) do
    granted = math.max(0, math.min(granted, f.room))
    idle, due = math.max(idle, f.idle), math.max(due, f.due)
  end
  for _, f in ipairs(at) do again = math.max(again, book(f, me, granted, more)) end
  if granted > 0 then note(process, hop, held + granted) end
  return granted, again, idle, due
end

if lease == 0 then
  forget(process)
  return {}
end
reap()
local answers = {}
for i = 6, #ARGV, 4 do
  local granted, again, idle, due =
    asked(ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), ARGV[i + 3] == '1')
  local n = #answers
  answers[n + 1], answers[n + 2], answers[n + 3], answers[n + 4] = granted, again, idle, due
end
if call('EXISTS', P .. 'sessions_of:' .. process) == 1 then
  call('ZADD', holders, now + lease, process)
else
  call('ZREM', holders, process)
end
return answers

#!lua
-- accept: store submissions, each atomically. Not allow-oom: a full store refuses new mail first.
-- KEYS[1] prefix. Writes head:<b> body:<b> leg:<b> ready:<c>:<queue> ring:<c> deferred:<c> open
--   urgent:<hop> expiry idem:<n> quota:<window>:<start> events counters tickets:<c> dramatiq:<class>[.msgs]
-- ARGV[4] width of an idempotency hash in ms, ARGV[5] how many hashes to look in, then for each
--   submission: message id, head, body, idempotency key ('' for none), fingerprint, '1' when
--   scheduled, '1' when it has a deliver_by, its quota ('' for none, else '<recipients>
--   <limit a month> <a day> <a minute> <application>', 0 for no limit), number of legs, then the
--   packed legs.
-- Returns for each submission 'a', 'm', 'r' .. '0'/'1' (scheduled) .. the first message's id, or
--   'o<window> <recipients used> <end of the window in ms> <ms until then>': over its quota.

local width, kept = tonumber(ARGV[4]), tonumber(ARGV[5])
local bucket = math.floor(now / width)
local answers = {}
local i, n = 6, #ARGV

local function remembered(key)
  for b = bucket, bucket - kept + 1, -1 do
    local found = call('HGET', P .. 'idem:' .. string.format('%d', b), key)
    if found then return found end
  end
end

local function remember(key, fingerprint, id, scheduled)
  local name = P .. 'idem:' .. string.format('%d', bucket)
  call('HSET', name, key, fingerprint .. scheduled .. id)
  if call('HLEN', name) == 1 then
    call('PEXPIREAT', name, string.format('%d', (bucket + kept) * width))
  end
end

local function store_leg(id, rec, timed)
  local l = decode(rec)
  if timed then call('ZADD', P .. 'expiry', l.give_up, id) end
  call('HSET', leg_key(id), id, rec)
  local status = sub(l.statuses, 1, 1)
  bump('s:' .. l.c .. ':' .. status, #l.statuses)
  bump('a:' .. l.c, #l.statuses)
  if l.state == READY then
    push_ready(id, l)
  else
    call('ZADD', P .. 'deferred:' .. l.c, l.due, id)
  end
end

-- What applications with a quota use, by window: gathered, and written once a script. Two functions,
-- made for the first message that has a quota, so that the others pay nothing: one that counts a
-- message or says which window is full, and one that writes.
local function counting()
  local uses = {}

  local function use_of(window, application)
    local place = window .. ' ' .. application
    if not uses[place] then
      local key, ends = quota_now(window)
      local used = tonumber(call('HGET', key, application) or '0')
      uses[place] = { key = key, field = application, ends = ends, used = used, more = 0 }
    end
    return uses[place]
  end

  -- The longest window comes first: once that one has ended, the message fits.
  local function over(quota)
    local recipients, month, day, minute, application =
      string.match(quota, '^(%d+) (%d+) (%d+) (%d+) (.*)$')
    recipients = tonumber(recipients)
    local found = {}
    for _, each in ipairs({ { 'month', month }, { 'day', day }, { 'minute', minute } }) do
      local window, limit = each[1], tonumber(each[2])
      if limit > 0 then
        local use = use_of(window, application)
        local used = use.used + use.more
        if used + recipients > limit then
          return string.format('o%s %d %d %d', window, used, use.ends, use.ends - now)
        end
        found[#found + 1] = use
      end
    end
    for _, use in ipairs(found) do use.more = use.more + recipients end
  end

  local function write()
    for _, use in pairs(uses) do
      if use.more > 0 and call('HINCRBY', use.key, use.field, use.more) == use.more then
        call('PEXPIREAT', use.key, string.format('%d', use.ends))
      end
    end
  end

  return over, write
end

local over, write_uses
while i <= n do
  local id, key = ARGV[i], ARGV[i + 3]
  local scheduled, legs = ARGV[i + 5], tonumber(ARGV[i + 8])
  local found = key ~= '' and remembered(key)
  local refused
  if not found and ARGV[i + 7] ~= '' then
    if not over then over, write_uses = counting() end
    refused = over(ARGV[i + 7])
  end
  if found then
    if sub(found, 1, 16) == ARGV[i + 4] then
      answers[#answers + 1] = 'r' .. sub(found, 17)
    else
      answers[#answers + 1] = 'm'
    end
  elseif refused then
    answers[#answers + 1] = refused
  else
    local b = byte(id, 16)
    call('HSET', P .. 'head:' .. b, id, ARGV[i + 1])
    call('HSET', P .. 'body:' .. b, id, ARGV[i + 2])
    for number = 0, legs - 1 do
      store_leg(id .. struct.pack('>H', number), ARGV[i + 9 + number], ARGV[i + 6] == '1')
    end
    if legs > 1 then call('HSET', P .. 'open', id, legs) end
    if key ~= '' then remember(key, ARGV[i + 4], id, scheduled) end
    event('accepted', id, '')
    answers[#answers + 1] = 'a'
  end
  i = i + 9 + legs
end
if write_uses then write_uses() end
commit()
return answers

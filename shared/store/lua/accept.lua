#!lua
-- accept: store submissions, each atomically. Not allow-oom: a full store refuses new mail first.
-- KEYS[1] prefix. Writes head:<b> body:<b> leg:<b> ready:<c>:<queue> ring:<c> deferred:<c> open
--   urgent:<hop> expiry idem:<n> quota:<window>:<start> finished events counters outcomes[:<day>]
--   recent tickets:<c> dramatiq:<class>[.msgs]; reads suppressed suppressed:<n>
-- ARGV[4] width of an idempotency hash in ms, ARGV[5] how many hashes to look in, then for each
--   submission: message id, head, body, idempotency key ('' for none), fingerprint, '1' when
--   scheduled, '1' when it has a deliver_by, its quota ('' for none, else '<recipients>
--   <limit a month> <a day> <a minute> <application>', 0 for no limit), what the suppression list is
--   asked (`pack_check`; '' for nothing), number of legs, then the packed legs.
-- Returns for each submission 'a' .. who is suppressed (an H each: the index), 'm', 'r' .. '0'/'1'
--   (scheduled) .. the first message's id .. who was suppressed then, or
--   'o<window> <recipients used> <end of the window in ms> <ms until then>': over its quota.

local width, kept = tonumber(ARGV[4]), tonumber(ARGV[5])
local bucket = math.floor(now / width)
local answers, stored = {}, {}
local i, n = 6, #ARGV
-- include suppressions
local anyone = some_listed()

local function remembered(key)
  for b = bucket, bucket - kept + 1, -1 do
    local name = P .. 'idem:' .. string.format('%d', b)
    local found = call('HGET', name, key)
    if found then return found, name end
  end
end

-- Who was suppressed has a field of its own, 17 bytes: a release before takes what is behind the id
-- for a part of it.
local function remember(key, fingerprint, id, scheduled, suppressed)
  local name = P .. 'idem:' .. string.format('%d', bucket)
  call('HSET', name, key, fingerprint .. scheduled .. id)
  if call('HLEN', name) == 1 then
    call('PEXPIREAT', name, string.format('%d', (bucket + kept) * width))
  end
  if suppressed ~= '' then call('HSET', name, key .. 'p', suppressed) end
end

-- Those of a leg's recipients that are suppressed never wait for anything. They count for other sites:
-- which provider they are at is not known here.
local function suppress_in(id, l, suppressed)
  local letters, count = {}, 0
  for at = 1, #l.statuses do
    local index = at - 1
    if #l.indices > 2 then index = struct.unpack('>H', l.indices, 2 * at + 1) end
    letters[at] = suppressed[index] and 'p' or sub(l.statuses, at, at)
    if suppressed[index] then count = count + 1 end
  end
  bump('s:' .. l.c .. ':' .. sub(l.statuses, 1, 1), -count)
  bump('s:' .. l.c .. ':p', count)
  if count > 0 then
    score(l.c, '|' .. escaped(application_of(id, l)) .. '|other|suppressed', count)
  end
  l.statuses = table.concat(letters)
end

local function store_leg(id, rec, timed, suppressed)
  local l = decode(rec)
  bump('s:' .. l.c .. ':' .. sub(l.statuses, 1, 1), #l.statuses)
  bump('a:' .. l.c, #l.statuses)
  if suppressed then
    suppress_in(id, l, suppressed)
    if not has_open(l) then
      place(id, l, 0)
      save_leg(id, l)
      return
    end
    rec = encode(l)
  end
  if timed then call('ZADD', P .. 'expiry', l.give_up, id) end
  call('HSET', leg_key(id), id, rec)
  if l.state == READY then
    push_ready(id, l)
  else
    call('ZADD', P .. 'deferred:' .. l.c, l.due, id)
  end
end

-- Who is suppressed, as an answer tells it, and as an `accepted` event does.
local function told(suppressed)
  if not suppressed then return '', '' end
  local indices, packed = {}, {}
  for index in pairs(suppressed) do indices[#indices + 1] = index end
  table.sort(indices)
  for at, index in ipairs(indices) do packed[at] = struct.pack('>H', index) end
  return table.concat(packed), cmsgpack.pack({ suppressed = indices })
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
  local scheduled, legs = ARGV[i + 5], tonumber(ARGV[i + 9])
  local found, kept_in, refused
  if key ~= '' then found, kept_in = remembered(key) end
  if not found and ARGV[i + 7] ~= '' then
    if not over then over, write_uses = counting() end
    refused = over(ARGV[i + 7])
  end
  if found then
    if sub(found, 1, 16) == ARGV[i + 4] then
      answers[#answers + 1] = 'r' .. sub(found, 17) .. (call('HGET', kept_in, key .. 'p') or '')
    else
      answers[#answers + 1] = 'm'
    end
  elseif refused then
    answers[#answers + 1] = refused
  else
    local suppressed = anyone and ARGV[i + 8] ~= '' and standing(ARGV[i + 8]) or nil
    local who, payload = told(suppressed)
    local b = byte(id, 16)
    call('HSET', P .. 'head:' .. b, id, ARGV[i + 1])
    call('HSET', P .. 'body:' .. b, id, ARGV[i + 2])
    if legs > 1 then call('HSET', P .. 'open', id, legs) end
    for number = 0, legs - 1 do
      local rec = ARGV[i + 10 + number]
      store_leg(id .. struct.pack('>H', number), rec, ARGV[i + 6] == '1', suppressed)
    end
    if key ~= '' then remember(key, ARGV[i + 4], id, scheduled, who) end
    event('accepted', id, payload)
    stored[#stored + 1] = id
    answers[#answers + 1] = 'a' .. who
  end
  i = i + 10 + legs
end
if write_uses then write_uses() end
if #stored > 0 then call('RPUSH', P .. 'recent', unpack(stored)) end  -- At most 100 in a script.
commit()
return answers

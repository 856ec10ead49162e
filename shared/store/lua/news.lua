#!lua
-- news: what came back about one recipient's copy of one message: all of it, or when it was told before
-- only that he has bounced once more, where he has had another copy meanwhile. Not allow-oom: whoever reports it comes again.
-- KEYS[1] prefix. Reads and writes told:<week> HASH of what was told; leg:<b> held dead open body:<b>
--   finished early:<hour> suppressed suppressed:<n> events counters outcomes[:<day>]
-- ARGV[4] 'bounced', 'complained' or 'unsubscribed', [5] message id or '', [6] digest of what is told
--   of whom, [7] ms for which it is remembered, [8] recipient's index or '', [9] packed attempt or '',
--   [10] the event's payload, [11] field of `outcomes`, [12]... entries for the suppression list, as for
--   `suppress`.
-- Returns 'c' the recipient is bounced now, 'n' noted, 'r' it was told before, and changes nothing; of an
--   unsubscription that cannot be put on the list 'f' or 'x', as `suppress` does: nothing is told then.

-- include early
-- include suppressions
local WEEK_MS = 604800000
local kind, message, digest, lasts = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local week = math.floor(now / WEEK_MS)

local function was_told()
  for each = week, week - math.ceil(lasts / WEEK_MS), -1 do
    if call('HEXISTS', P .. 'told:' .. each, digest) == 1 then return true end
  end
end

local function remember_told()
  local key = P .. 'told:' .. week
  call('HSET', key, digest, '')
  if call('HLEN', key) == 1 then
    call('PEXPIRE', key, (week + 1) * WEEK_MS - now + lasts)
  end
end

-- Where a recipient is in a leg: its place in the statuses, from 1.
local function place_of(l, index)
  if #l.indices == 2 then return index < #l.statuses and index + 1 or nil end
  for i = 3, #l.indices, 2 do
    if byte(l.indices, i) * 256 + byte(l.indices, i + 1) == index then return (i - 1) / 2 end
  end
end

-- The leg that has a recipient. Those that cannot be read are passed over.
local function leg_of(index)
  local n, legs = 0, 1
  while n < 65536 do
    local id = message .. struct.pack('>H', n)
    local rec = call('HGET', leg_key(id), id)
    if n >= legs and not rec then return nil end
    local l = rec and decode(rec)
    if l then
      legs = math.max(legs, l.legs)
      local at = place_of(l, index)
      if at then return id, l, at end
    end
    n = n + 1
  end
end

-- Whether who has the leg now will hear of it when he settles it.
local function is_kept(id, l, at)
  local found = false
  each_early(id, function(fence, place) found = found or (fence == l.fence and place == at) end)
  return found
end

-- Of a leg that is held the last uncertain recipient may have bounced: it is decided about then.
local function bounced(id, l, at, attempt)
  local changed = to_bounced(l, at)
  if attempt ~= '' then remember(l, attempt) end
  if l.state ~= FINAL then keep_early(id, l.fence, at, attempt) end
  if l.state == HELD and not string.find(l.statuses, 'u', 1, true) then
    withdraw(id, l)
    place(id, l, 0)
  end
  save_leg(id, l)
  return changed
end

-- The same report once more, or that of another copy of the same mail, which has come meanwhile.
local function bounced_again(id, l, at, attempt)
  local status = sub(l.statuses, at, at)
  local waits = l.state ~= FINAL and string.find('qsf', status, 1, true) and not is_kept(id, l, at)
  return (HAD_ITS_COPY[status] or waits) and bounced(id, l, at, attempt)
end

-- Whether all that it puts on the suppression list is there: who has been taken off it since may ask
-- for it again.
local function is_listed()
  for i = 12, #ARGV, 3 do
    local there, entry = entries_at(ARGV[i]), ARGV[i + 1]
    local _, _, begins = entry_at(entry, 1)
    if not there or not there.of[sub(entry, begins, identity_end(entry, begins))] then return false end
  end
  return true
end

local function about()
  if message ~= '' and ARGV[8] ~= '' then return leg_of(tonumber(ARGV[8])) end
end

if was_told() and (kind ~= 'unsubscribed' or is_listed()) then
  local id, l, at = about()
  if not id or kind ~= 'bounced' or not bounced_again(id, l, at, ARGV[9]) then
    commit()
    return 'r'
  end
  event(kind, id, ARGV[10])
  commit()
  return 'c'
end
-- What is read comes before all that is written.
local id, l, at = about()
local refused
for i = 12, #ARGV, 3 do
  local answer = put_listed(ARGV[i], ARGV[i + 1], ARGV[i + 2])
  if answer == 'f' or answer == 'x' then refused = answer end
end
if refused and kind == 'unsubscribed' then
  write_listed()
  return refused
end
remember_told()
write_listed()
local changed = id and kind == 'bounced' and bounced(id, l, at, ARGV[9])
score(sub(ARGV[11], 1, 1), sub(ARGV[11], 2), 1)
event(kind, id or message, ARGV[10])
commit()
return changed and 'c' or 'n'

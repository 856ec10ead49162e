#!lua flags=allow-oom
-- split: replace a held leg by legs to other destinations.
-- KEYS[1] prefix. Reads and writes leg:<b> leases:<c> ready:<c>:<queue> ring:<c> open events
--   counters inflight shaping gcra used:<window>:<key> tickets:<c> dramatiq:<class>[.msgs]
-- ARGV[4] leg id, [5] fence, [6] how many limits, for each of these: the field of `shaping`, its text,
--   empty where there is none; then for each new leg: hop, statuses, packed indices.
-- Returns 1, or 0 when the lease is lost.

-- include limits
-- include windows
-- include permits
-- include configure
local id, fence = ARGV[4], tonumber(ARGV[5])
local l = load_leg(id)
if not l or l.state ~= LEASED or l.fence ~= fence then return 0 end
local m = sub(id, 1, 16)
local zero = m .. '\0\0'
local first = id == zero and l or load_leg(zero)
local total = first.legs
local legs_at = 7 + 2 * tonumber(ARGV[6])
local added = (#ARGV - legs_at + 1) / 3 - 1
withdraw(id, l)
if call('EXISTS', P .. 'shaping') > 0 then give_back_all(l) end  -- Nothing was sent.
l.fence = l.fence + 1
l.flags = has(l.flags, HOLD) and HOLD or 0
l.state, l.due = READY, 0
if added > 0 then
  -- The count of open legs exists only while a message has several.
  if total == 1 then call('HSET', P .. 'open', m, 1) end
  call('HINCRBY', P .. 'open', m, added)
  first.legs = total + added
  l.legs = first.legs
  if id ~= zero then save_leg(zero, first) end
end
for at = 7, legs_at - 1, 2 do configure(ARGV[at], ARGV[at + 1]) end
-- A bounce that came back meanwhile counts, not what the worker knew.
local known = {}
for k = 1, #l.statuses do
  local index = #l.indices > 2 and sub(l.indices, 2 * k + 1, 2 * k + 2) or struct.pack('>H', k - 1)
  known[index] = sub(l.statuses, k, k)
end
local function statuses_of(indices, given)
  local found = {}
  for k = 1, #given do
    found[k] = known[sub(indices, 2 * k + 1, 2 * k + 2)] or sub(given, k, k)
  end
  return table.concat(found)
end

local app = l.app
for i = 0, added do
  local at = legs_at + 3 * i
  l.hop, l.indices = queue_of(ARGV[at]), ARGV[at + 2]
  l.statuses = statuses_of(ARGV[at + 2], ARGV[at + 1])
  l.app = sub(app, 1, math.max(0, 254 - #l.hop))  -- The record has 255 bytes for both.
  local target = i == 0 and id or m .. struct.pack('>H', total + i - 1)
  save_leg(target, l)
  push_ready(target, l)
end
event('rerouted', id, '')
commit()
return 1

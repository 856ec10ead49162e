#!lua flags=allow-oom
-- start: commit, before it happens, that deliveries start, and tell who is suppressed by now.
-- What was claimed before its hop was suspended, or got into trouble, does not start any more.
-- KEYS[1] prefix. Reads and writes leg:<b>; reads suspended trouble suppressed suppressed:<n>
-- ARGV[4]... leg id, fence, what the suppression list is asked (`pack_check`; '' for nothing), ...
-- Returns for each 0, which means that it must not be sent (now), 1, or {index of a recipient, an
--   entry that stands in its way, index, entry, ...}: to the others it may be sent.

-- include suppressions
local anyone = some_listed()
local pauses = call('HLEN', P .. 'suspended') + call('HLEN', P .. 'trouble') > 0
local function may_start(id, rec)
  local whole = sub(rec, 31, 30 + byte(rec, 30))
  whole = hop_and_app(whole)
  local hop, queue = member_of(whole), queue_of(whole)
  local t = trouble_of(hop)
  if t and t.probe ~= id then return false end
  if hop ~= queue and suspended_till(call('HGET', P .. 'suspended', queue)) then return false end
  return not suspended_till(call('HGET', P .. 'suspended', hop))
end

local function suppressed_now(check)
  local found, flat = standing(check, true), {}
  if not found then return 1 end
  for index, entries in pairs(found) do
    for _, entry in ipairs(entries) do
      flat[#flat + 1] = index
      flat[#flat + 1] = entry
    end
  end
  return flat
end

local answers = {}
for i = 4, #ARGV, 3 do
  local id, fence = ARGV[i], tonumber(ARGV[i + 1])
  local rec = call('HGET', leg_key(id), id)
  local held = 0
  if rec and byte(rec, 1) == 1 and byte(rec, 2) == LEASED then
    local _, state, class, crashes, flags, current, attempts, legs, due, give_up =
      struct.unpack(FIXED, rec)
    if current == fence and not has(flags, LATE) and (not pauses or may_start(id, rec)) then
      held = 1
      flags = with(flags, STARTED)
      call('HSET', leg_key(id), id, struct.pack(FIXED, 1, state, class, crashes, flags, current,
        attempts, legs, due, give_up) .. sub(rec, 30))
      if anyone and ARGV[i + 2] ~= '' then held = suppressed_now(ARGV[i + 2]) end
    end
  end
  answers[#answers + 1] = held
end
return answers

-- News of a bounce that came while somebody held the leg, or may still settle it: early:<hour> HASH
-- leg id -> for each fence, place in the statuses, length, packed attempt. Whoever has that fence does
-- not know of it: his history lacks the attempt, and when he reports the mail as delivered, it
-- has come back since. Kept for an hour or two; a fence that has risen makes it void.
local HOUR_MS = 3600000
local this_hour = math.floor(now / HOUR_MS)
local some_early = call('EXISTS', P .. 'early:' .. this_hour, P .. 'early:' .. this_hour - 1) > 0
local HAD_ITS_COPY = { d = true, u = true }

-- Delivered or uncertain becomes bounced; whether it did.
local function to_bounced(l, at)
  local before = l.statuses
  restate(l, sub(before, 1, at - 1) .. 'b' .. sub(before, at + 1), HAD_ITS_COPY)
  return l.statuses ~= before
end

-- What came early for a leg: for each fence, place and packed attempt.
local function each_early(id, use)
  if not some_early then return end
  for hour = this_hour - 1, this_hour do
    local packed, i = call('HGET', P .. 'early:' .. hour, id) or '', 1
    while i <= #packed do
      local fence, at, length = struct.unpack('>I4HI4', packed, i)
      i = i + 10 + length
      use(fence, at, sub(packed, i - length, i - 1))
    end
  end
end

local function keep_early(id, fence, at, attempt)
  local key = P .. 'early:' .. this_hour
  local packed = struct.pack('>I4HI4', fence, at, #attempt) .. attempt
  call('HSET', key, id, (call('HGET', key, id) or '') .. packed)
  call('PEXPIRE', key, 2 * HOUR_MS)
end

-- What came early for a leg whose statuses have just been told. `forgotten`: its history was, too.
-- `since`: by whom, where that was an older claim: what came after it began is about its copy.
local function catch_up(id, l, forgotten, since)
  each_early(id, function(fence, at, attempt)
    if fence < (since or l.fence) then return end
    to_bounced(l, at)
    if forgotten and attempt ~= '' then remember(l, attempt) end
  end)
end

#!lua flags=allow-oom
-- start: commit, before it happens, that a delivery starts or that its final dot is imminent.
-- KEYS[1] prefix. Reads and writes leg:<b>
-- ARGV[4] '1' for the final dot, then leg id, fence, ...
-- Returns one 0 or 1 each: 0 means that the lease is lost.

local flag = ARGV[4] == '1' and DOT or STARTED
local answers = {}
for i = 5, #ARGV, 2 do
  local id, fence = ARGV[i], tonumber(ARGV[i + 1])
  local rec = call('HGET', leg_key(id), id)
  local held = 0
  if rec and byte(rec, 1) == 1 and byte(rec, 2) == LEASED then
    local _, state, class, crashes, flags, current, attempts, legs, due, give_up =
      struct.unpack(FIXED, rec)
    if current == fence and not has(flags, LATE) then
      held = 1
      flags = with(with(flags, STARTED), flag)
      call('HSET', leg_key(id), id, struct.pack(FIXED, 1, state, class, crashes, flags, current,
        attempts, legs, due, give_up) .. sub(rec, 30))
    end
  end
  answers[#answers + 1] = held
end
return answers

#!lua flags=allow-oom
-- redrive: what an operator decides about legs that are dead letters or held as uncertain.
-- KEYS[1] prefix. Reads and writes dead held leg:<b> head:<b> ready:<c>:<queue> ring:<c> open body:<b>
--   finished events expiry counters tickets:<c> dramatiq:<class>[.msgs]
-- ARGV[4] 'q' to queue them again or 'c' to drop them, then leg id, give-up ms, ...
-- Returns one 0 or 1 each: 0 means that the leg is neither, or not any more.

local SET_ASIDE = { u = true, l = true }
local letter = ARGV[4]
local answers = {}
for i = 5, #ARGV, 2 do
  local id = ARGV[i]
  local rec = call('HGET', leg_key(id), id)
  if rec and not decode(rec) and not is_newer(rec) then  -- It is to be decided about all the same.
    if call('ZSCORE', P .. 'dead', id) then bury(id, nil, nil, 'l') end
    if call('ZREM', P .. 'held', id) == 1 then bury(id, nil, nil, 'u') end
  end
  local l = load_leg(id)
  local done = 0
  if l and (l.state == DEAD or l.state == HELD) then
    done = 1
    withdraw(id, l)
    restate(l, (string.gsub(l.statuses, '[ul]', letter)), SET_ASIDE)
    l.crashes, l.fence = 0, l.fence + 1
    if letter == 'q' then
      l.give_up = math.max(l.give_up, tonumber(ARGV[i + 1]))
      l.state, l.due = READY, 0
      l.attempts = 0  -- The schedule begins anew; the history keeps every attempt.
      -- What has its end before it can go has it on a hop that stands still too.
      if l.give_up > 0 then call('ZADD', P .. 'expiry', l.give_up, id) end
      save_leg(id, l)
      push_ready(id, l)
      event('requeued', id, '')
    else
      place(id, l, 0)
      save_leg(id, l)
      event('dropped', id, '')
    end
  end
  answers[#answers + 1] = done
end
commit()
return answers

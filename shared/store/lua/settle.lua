#!lua flags=allow-oom
-- settle: apply outcomes of claims, and releases. The same settlement twice changes nothing.
-- KEYS[1] prefix. Reads and writes leg:<b> leases:<c> deferred:<c> ready:<c>:<queue> ring:<c>
--   waiting[:<c>:<hop>] wake:<c> held dead open body:<b> finished events counters inflight gcra
--   used:<window>:<key> trouble recovering rate:<minute> refusals:<day> outcomes[:<day>]
--   early:<hour> tickets:<c> dramatiq:<class>[.msgs]; reads shaping pools suspended live
-- ARGV[4]... for each: leg id, fence, 's' or 'r', statuses, attempts, history, event, wait ms,
--   counters to raise, separated by spaces ('o|APPLICATION|SITE|WHAT': an outcome), letters: 'a' the
--   next hop has answered MAIL, 'p' the leg stays with the pool's member that had it; what the hop has refused something with, or ''.
-- Returns a letter each: d done, l late but counted, r refused.

local UNDECIDED = { q = true, s = true, f = true, u = true }
local ANY = { q = true, s = true, f = true, u = true, l = true }
local troubles = call('HLEN', P .. 'trouble') > 0
local limited = call('EXISTS', P .. 'shaping') > 0
-- include limits
-- include windows
-- include permits
-- include early

-- The next hop has answered a transaction: it is counted, and its trouble is over.
local function answered(l)
  local hop = l.via or l.hop
  rates[l.c .. hop] = (rates[l.c .. hop] or 0) + 1
  local trouble = troubles and trouble_of(hop)
  if not trouble then return end
  -- Where it is slowed down, what was under way is no sign that it takes mail again: its probe is.
  if trouble.till > now and is_slowed(shared_part(hop)) then return end
  call('HDEL', P .. 'trouble', hop)
  call('HSET', P .. 'recovering', hop, string.format('%d|%d', now, trouble.strikes))
  if still_until(hop) == 0 then stir(hop) end
end

-- What the next hop has refused something with, or has stopped for, is kept as its last words.
local function refused(l, said)
  if said == '' then return end
  local day = P .. 'refusals:' .. math.floor(now / 86400000)
  local text = string.format('%d|', now) .. said
  if call('HSET', day, l.via or l.hop, text) == 1 then call('PEXPIRE', day, 172800000) end
end

local function settled(id, l, i)
  withdraw(id, l)
  restate(l, ARGV[i + 3], l.state == HELD and UNDECIDED or OPEN)
  heed(l)
  l.tail = ARGV[i + 5]
  catch_up(id, l, true)
  l.fence = l.fence + 1
  l.crashes = 0
  l.flags = has(l.flags, HOLD) and HOLD or 0
  l.attempts = tonumber(ARGV[i + 4])
  if l.via and string.find(ARGV[i + 9], 'p', 1, true) then l.hop = l.via end
  place(id, l, tonumber(ARGV[i + 7]))
  save_leg(id, l)
  if ARGV[i + 6] ~= '' then event('attempt', id, ARGV[i + 6]) end
  for name in string.gmatch(ARGV[i + 8], '%S+') do
    if sub(name, 1, 2) == 'o|' then score(l.c, sub(name, 2), 1) else bump(name, 1) end
  end
  if string.find(ARGV[i + 9], 'a', 1, true) then answered(l) end
  refused(l, ARGV[i + 10])
end

local function released(id, l, wait, tail, said)
  withdraw(id, l)
  refused(l, said)
  if tail ~= '' then l.tail = tail end
  if limited then give_back_all(l) end
  heed(l)
  catch_up(id, l, tail ~= '')
  l.fence = l.fence + 1
  l.flags = has(l.flags, HOLD) and HOLD or 0
  if not has_open(l) then
    place(id, l, 0)
  elseif wait > 0 then
    l.due = now + wait
    if l.give_up > now and l.due > l.give_up then l.due = l.give_up end
    defer(id, l)
  else
    l.state, l.due = READY, 0
    push_ready(id, l, true)
  end
  save_leg(id, l)
end

-- Statuses with those replaced that `given` has as one of `letters`.
local function merged(statuses, given, letters)
  local parts = {}
  for k = 1, #statuses do
    local letter = sub(given, k, k)
    parts[k] = string.find(letters, letter, 1, true) and letter or sub(statuses, k, k)
  end
  return table.concat(parts)
end

-- What came early about the copy of an older claim, whose word will count when the holder is done.
local function pass_on(id, l, since)
  local places = {}
  each_early(id, function(fence, at) if fence >= since then places[at] = fence < l.fence end end)
  for at, older in pairs(places) do
    if older then keep_early(id, l.fence, at, '') end
  end
end

-- An older claim reports a delivery, and somebody else holds the leg, or it is final.
local function evidence(id, l, i)
  if l.state == LEASED and not has_open(l) then return end
  local after = merged(l.statuses, ARGV[i + 3], 'd')
  if l.state == FINAL and after == l.statuses then return end
  -- When it settles every open recipient, nothing is left for the holder to do.
  if l.state == LEASED and not has_open({ statuses = after }) then
    l.flags = with(l.flags, LATE)
    save_leg(id, l)
    pass_on(id, l, tonumber(ARGV[i + 1]))
  end
  bump('late_refused', 1)
  event('late', id, ARGV[i + 6])
end

-- An outcome of a claim that is over, on a leg that is not simply READY again. It is the server's
-- answer, and counts unless somebody has claimed the leg or decided about it since (`own`: nobody):
--   HELD      own: all of it, a 4xx and a 5xx too: what became of the dot is known after all. (Done
--             by `settled`. A release tells nothing about the dot: the leg stays held.)
--   DEAD      own: a 250 and a 5xx; a deferral would send out poison once more.
--   READY WAITING HELD DEAD   a 250, also after an operator's requeue; a 5xx not, because whoever
--             came after it has tried again or wants to.
--   LEASED    evidence for the holder, who stops if he can.
--   FINAL     stays what it is; that dropped or cancelled mail did arrive is kept as an event.
local function overtaken(id, l, i, own)
  local letters = own and l.state == DEAD and 'db' or 'd'
  if ARGV[i + 2] ~= 's' or not string.find(ARGV[i + 3], '[' .. letters .. ']') then return 'r' end
  if l.state == LEASED or l.state == FINAL then
    evidence(id, l, i)
    return 'r'
  end
  local before = l.statuses
  restate(l, merged(before, ARGV[i + 3], letters), ANY)
  if l.statuses == before then return 'r' end
  catch_up(id, l, false, tonumber(ARGV[i + 1]))
  local aside = l.state == HELD and 'u' or l.state == DEAD and 'l' or '[qsf]'
  if not string.find(l.statuses, aside) then
    withdraw(id, l)
    place(id, l, 0)
  end
  if ARGV[i + 6] ~= '' then
    remember(l, ARGV[i + 6])
    event('attempt', id, ARGV[i + 6])
  end
  save_leg(id, l)
  if string.find(ARGV[i + 3], 'd', 1, true) then bump('late_delivered', 1) end
  return 'l'
end

local answers = {}
for i = 4, #ARGV, 11 do
  local id, fence = ARGV[i], tonumber(ARGV[i + 1])
  local l = load_leg(id)
  local answer = 'r'
  if l and (ARGV[i + 2] ~= 's' or #ARGV[i + 3] == #l.statuses) then
    local own = l.fence == fence
    local held = l.state == HELD and ARGV[i + 2] == 's'
    if own and (l.state == LEASED or l.state == READY or held) then
      answer = l.state == LEASED and 'd' or 'l'
      if ARGV[i + 2] == 's' then
        if answer == 'l' and string.find(ARGV[i + 3], 'd', 1, true) then
          bump('late_delivered', 1)
        end
        settled(id, l, i)
      else
        released(id, l, tonumber(ARGV[i + 7]), ARGV[i + 5], ARGV[i + 10])
      end
    else
      answer = overtaken(id, l, i, own)
    end
  end
  answers[#answers + 1] = answer
end
commit()
return table.concat(answers)

#!lua flags=allow-oom
-- settle: apply outcomes of claims, and releases. The same settlement twice changes nothing.
-- KEYS[1] prefix. Reads and writes leg:<b> leases:<c> deferred:<c> ready:<c>:<hop> ring:<c>
--   waiting[:<c>:<hop>] wake:<c> held dead open body:<b> finished events counters inflight gcra
--   trouble proved rate:<minute> tickets:<c> dramatiq:<class>[.msgs]; reads limits suspended live
-- ARGV[4]... for each: leg id, fence, 's' or 'r', statuses, attempts, history, event, wait ms,
--   counters to raise, separated by spaces, '1' when the next hop has answered MAIL.
-- Returns a letter each: d done, l late but counted, r refused.

local proved = {}
local troubles = call('HLEN', P .. 'trouble') > 0

-- The next hop has answered a transaction: it is counted, and its trouble is over.
local function answered(l)
  rates[l.c .. l.hop] = (rates[l.c .. l.hop] or 0) + 1
  if troubles and call('HDEL', P .. 'trouble', l.hop) == 1 and still_until(l.hop) == 0 then
    to_ring(l.hop)
  end
end

local function settled(id, l, i)
  withdraw(id, l)
  restate(l, ARGV[i + 3], OPEN)
  heed(l)
  l.fence = l.fence + 1
  l.crashes = 0
  l.flags = has(l.flags, HOLD) and HOLD or 0
  l.attempts = tonumber(ARGV[i + 4])
  l.tail = ARGV[i + 5]
  place(id, l, tonumber(ARGV[i + 7]))
  save_leg(id, l)
  if ARGV[i + 6] ~= '' then event('attempt', id, ARGV[i + 6]) end
  for name in string.gmatch(ARGV[i + 8], '%S+') do bump(name, 1) end
  if ARGV[i + 9] == '1' then answered(l) end
  if string.find(ARGV[i + 3], 'd', 1, true) then proved[l.hop] = true end
end

local function released(id, l, wait, tail)
  withdraw(id, l)
  if tail ~= '' then l.tail = tail end
  local interval = limit_of(l.hop)
  if interval and interval > 0 then
    local tat = call('HGET', P .. 'gcra', l.hop)
    if tat then
      call('HSET', P .. 'gcra', l.hop, string.format('%.17g', tonumber(tat) - interval))
    end
  end
  heed(l)
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

-- Statuses with those put to 'd' that `delivered` has so.
local function merged(statuses, delivered)
  local parts = {}
  for k = 1, #statuses do
    parts[k] = sub(delivered, k, k) == 'd' and 'd' or sub(statuses, k, k)
  end
  return table.concat(parts)
end

-- A delivery that an older claim reports: it counts unless somebody holds the leg now.
local function overtaken(id, l, i)
  local delivered = string.gsub(ARGV[i + 3], '[^d]', '-')
  if ARGV[i + 2] ~= 's' or not string.find(delivered, 'd', 1, true) then return 'r' end
  if l.state == LEASED then
    if has_open(l) then
      -- When it settles every open recipient, nothing is left for the holder to do.
      if not has_open({ statuses = merged(l.statuses, delivered) }) then
        l.flags = with(l.flags, LATE)
        save_leg(id, l)
      end
      bump('late_refused', 1)
      event('late', id, ARGV[i + 6])
    end
    return 'r'
  end
  if l.state ~= READY and l.state ~= WAITING and l.state ~= DEAD then return 'r' end
  local before = l.statuses
  restate(l, merged(before, delivered), { q = true, s = true, f = true, l = true })
  if l.statuses == before then return 'r' end
  if not has_open(l) then
    withdraw(id, l)
    place(id, l, 0)
  end
  save_leg(id, l)
  bump('late_delivered', 1)
  if ARGV[i + 6] ~= '' then event('attempt', id, ARGV[i + 6]) end
  return 'l'
end

local answers = {}
for i = 4, #ARGV, 10 do
  local id, fence = ARGV[i], tonumber(ARGV[i + 1])
  local l = load_leg(id)
  local answer = 'r'
  if l then
    if l.fence == fence and (l.state == LEASED or l.state == READY) then
      answer = l.state == LEASED and 'd' or 'l'
      if ARGV[i + 2] == 's' then
        if answer == 'l' and string.find(ARGV[i + 3], 'd', 1, true) then
          bump('late_delivered', 1)
        end
        settled(id, l, i)
      else
        released(id, l, tonumber(ARGV[i + 7]), ARGV[i + 5])
      end
    else
      answer = overtaken(id, l, i)
    end
  end
  answers[#answers + 1] = answer
end
for hop in pairs(proved) do call('HSET', P .. 'proved', hop, now) end
commit()
return table.concat(answers)

-- Destinations (relays, sites, pools) share what is scarce by weight, however many applications have mail
-- for them. The ring goes round all queues, so a turn is what a destination has of a round, by its queues.
-- shares:<c> HASH, by parts/count.lua: '' -> when the ring was counted, how many queues it had, the
--   destinations' weights together, the largest, that of sites; a time alone when all are alike. A destination
--   that has several queues or a weight of its own -> its queues, its weight, turns that they have had. '<' ->
--   the queue at the ring's head whose turn goes on, and the legs that are left of it.
local GOLDEN = 0.6180339887498949
counted = tonumber(noted)
local queues, weights, most, of_sites
if not counted then counted, queues, weights, most, of_sites = struct.unpack('>ddddd', noted) end
if weights and now >= counted and now - counted <= math.max(1000, 2 * turns) then
  -- Legs of a round for a weight of 1: in all as many as if all were alike, and no turn over a quantum.
  local each = math.min(math.ceil(turn * queues / weights), math.max(1, math.floor(quantum / most)))
  local begun, floor = call('HGET', shares, '<'), math.floor
  local left, whose = string.match(begun or '', '^(%d+)|(.*)$')
  local of, at_hop = {}, {}

  local function load_one(key)
    local text = call('HGET', shares, key)
    local n, weight, had = 1, is_site(key) and key ~= 'mx:?' and of_sites or 1, 0
    if text then n, weight, had = struct.unpack('>ddd', text) end
    of[key] = { n = n, weight = weight, had = had, share = each * weight / n }
    return of[key]
  end

  -- How many legs the turn of the visited queue is in this round, maybe none. A destination gets what is its
  -- own to the leg, round by round; which of its queues get one leg more is another matter each time.
  function turn_of()
    if visited == whose then
      whose = nil
      return tonumber(left)
    end
    local one = at_hop[home]
    if not one then
      local key = shared_part(home)
      one = of[key] or load_one(key)
      at_hop[home] = one
    end
    local share, n, had = one.share, one.n, one.had
    if n == 1 then return share end
    one.had, one.changed = had + 1, true
    local to = share * (had % n) + GOLDEN * (floor(had / n) + 1) % 1
    return floor(to) - floor(to - share)
  end

  -- Write what has changed. `rest` are the legs left of the turn of the queue at the ring's head.
  function keep_turns(rest)
    local changes = {}
    for key, one in pairs(of) do
      if one.changed then
        changes[#changes + 1], changes[#changes + 2] = key,
          struct.pack('>ddd', one.n, one.weight, one.had)
      end
    end
    if rest > 0 then
      changes[#changes + 1], changes[#changes + 2] = '<', rest .. '|' .. visited
    elseif begun and not whose then
      call('HDEL', shares, '<')
    end
    if #changes > 0 then call('HSET', shares, unpack(changes)) end
  end
end

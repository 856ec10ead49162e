-- The suppression list. `suppressed` HASH: entries -> how many there are, expiring -> how many of them
-- end by themselves, swept -> how far the sweep has come. The entries are in suppressed:<n> HASH,
-- <n> and the field being the three bytes of an address's place: see
-- `shared/store/suppression_records.py`, which has the layout of what stands there, too.
-- What a newer release has written there, or is damaged, is left alone, and so is each entry of
-- another form.
local LISTED = P .. 'suppressed'
-- Bytes at one place: about 1,000 entries of an address. Each copy to it costs 0.07 ms more then. A
-- script asks about a thousand addresses, so this bounds how long somebody hostile holds everybody up.
local MOST_LISTED = 65536
local MUCH, A_SHARE = MOST_LISTED / 2, MOST_LISTED / 16  -- See `has_its_share`.
local EXPIRING, OTHER_FORM = 16, 32

local function listed(place) return P .. 'suppressed:' .. byte(place) end

local function moment(text, at)
  local high, low = struct.unpack('>HI4', text, at)
  return high * 4294967296 + low
end

-- Of the entry at `at`: where the next one begins, its first byte, and where its identity (address,
-- application and list) begins; nil when it is damaged.
local function entry_at(text, at)
  local high, low, kind = byte(text, at, at + 2)
  local after = kind and at + 2 + high * 256 + low
  if not kind or after > #text + 1 then return nil end
  return after, kind, at + (has(kind, EXPIRING) and 15 or 9)
end

local function has_ended(text, at, kind, after)
  local can = kind < OTHER_FORM and has(kind, EXPIRING) and after >= at + 15  -- Else it is damaged.
  return can and moment(text, at + 9) <= now
end

-- Where an identity ends that begins at `at`; nil when it is damaged.
local function identity_end(text, at)
  local high, low = byte(text, at, at + 1)
  local app = low and byte(text, at + 2 + high * 256 + low)
  local list = app and byte(text, at + 3 + high * 256 + low + app)
  return list and at + 3 + high * 256 + low + app + list
end

-- Where an identity, or its beginning, stands in a text from `at` on. Its first byte, the high one of a
-- length, is zero and stands everywhere: to look for what is behind it takes an eighth of the time.
local function find_identity(text, identity, at)
  local rest = sub(identity, 2)
  local found = string.find(text, rest, at + 1, true)
  while found and byte(text, found - 1) ~= byte(identity) do
    found = string.find(text, rest, found + 1, true)
  end
  return found and found - 1
end

-- The entry with this identity at a place, unless it has ended; its reason, too.
local function entry_of(text, identity)
  local found = find_identity(text, identity, 2)
  if not found then return nil end
  local at = 2
  local after, kind, begins = entry_at(text, at)
  while found do  -- It may be part of what another entry says.
    while after and after <= found do
      at = after
      after, kind, begins = entry_at(text, at)
    end
    if not after then return nil end
    if begins == found and kind < OTHER_FORM then
      if has_ended(text, at, kind, after) then return nil end
      return sub(text, at, after - 1), kind % EXPIRING
    end
    found = find_identity(text, identity, found + 1)
  end
end

-- What `pack_check` has packed: index of a recipient -> the entries that stand in its way, all of
-- them or the first one that is found; nil when there are none.
local function standing(check, all)
  local critical, app, list, at = struct.unpack('>BHc0Hc0', check)
  local tails = { '\0\0' }
  if #app < 256 and app ~= '' then tails[2] = string.char(#app) .. app .. '\0' end
  if #list < 256 and list ~= '' then
    for i = 1, #tails do
      tails[#tails + 1] = sub(tails[i], 1, -2) .. string.char(#list) .. list
    end
  end
  local result
  while at <= #check do
    local index, bucket, field, address, after = struct.unpack('>HBc2Hc0', check, at)
    local text = call('HGET', P .. 'suppressed:' .. bucket, field)
    local whose = sub(check, at + 5, after - 1)
    if text and byte(text) == 1 and find_identity(text, whose, 2) then
      for i = 1, #tails do
        local entry, reason = entry_of(text, whose .. tails[i])
        if entry and (critical == 0 or (reason ~= 1 and reason ~= 2)) then
          result = result or {}
          result[index] = result[index] or {}
          table.insert(result[index], entry)
          if not all then break end
        end
      end
    end
    at = after
  end
  return result
end

-- Whether there is anything on the list.
local function some_listed()
  return tonumber(call('HGET', LISTED, 'entries') or '0') > 0
end

-- Changes are made to places in memory, each read once a script, and written at its end.
local places, more_listed, more_expiring, bytes_read = {}, 0, 0, 0
local quietly = 0  -- Changes that no event of their own tells.

local function tell_listed(payload)
  if payload == '' then
    quietly = quietly + 1
  else
    event('suppressed', '', payload)
  end
end

local function text_at(place)
  local text = call('HGET', listed(place), sub(place, 2)) or '\1'
  bytes_read = bytes_read + #text
  return text
end

-- Whether an entry can be put behind a text as it is: nothing there ends, or has the same identity.
local function can_follow(text, identity)
  if byte(text) ~= 1 or find_identity(text, identity, 2) then return false end
  local at, last = 2, #text
  while at <= last do
    local high, low, kind = byte(text, at, at + 2)
    if not kind or kind >= EXPIRING then return false end
    at = at + 2 + high * 256 + low
  end
  return at == last + 1
end

-- The entries at a place, without those that have ended; nil: they cannot be read.
local function entries_at(place)
  local there = places[place]
  if there and there.of then return there end
  local text = there and there.text or text_at(place)
  local changed = there ~= nil
  if byte(text) ~= 1 then return nil end
  there = { n = 0, size = 1, of = {} }
  local at, gone, gone_expiring = 2, 0, 0
  while at <= #text do
    local after, kind, begins = entry_at(text, at)
    if not after then return nil end
    local ends = kind < OTHER_FORM and identity_end(text, begins)
    if has_ended(text, at, kind, after) then
      gone, gone_expiring = gone + 1, gone_expiring + 1
    else
      there.n = there.n + 1
      there[there.n] = sub(text, at, after - 1)
      if ends and ends < after then there.of[sub(text, begins, ends)] = there.n end
      there.size = there.size + after - at
    end
    at = after
  end
  more_listed, more_expiring = more_listed - gone, more_expiring - gone_expiring
  there.changed = changed or gone > 0
  places[place] = there
  return there
end

-- Most entries are the only new one at their place: it is not taken apart. 'n', or nil: it has to be.
local function follow(place, entry, identity)
  if places[place] then return nil end
  local text = text_at(place)
  if #text + #entry > MUCH or not can_follow(text, identity) then return nil end
  places[place] = { text = text .. entry, size = #text + #entry, changed = true }
  more_listed = more_listed + 1
  return 'n'
end

-- Whether `old` gives way to `new`, which has the same identity: `gives_way` in
-- `shared/store/suppressions.py`.
local function gives_way(old, new)
  local _, was = entry_at(old, 1)
  local _, is = entry_at(new, 1)
  if was % EXPIRING == 2 or was % EXPIRING == is % EXPIRING or not has(is, EXPIRING) then
    return true
  end
  return has(was, EXPIRING) and moment(new, 10) >= moment(old, 10)
end

-- The application of an entry whose identity begins at `at`; nil when it is damaged.
local function owner_at(text, at)
  local high, low = byte(text, at, at + 1)
  local name_at = low and at + 2 + high * 256 + low
  local length = name_at and byte(text, name_at)
  return length and sub(text, name_at + 1, name_at + length)
end

-- Whether an application has so much at a place that another entry of it would keep others from
-- theirs: once there is much, each has a share. What is for everybody has the rest.
local function has_its_share(there, entry, begins)
  local owner = owner_at(entry, begins)
  if not there.sums then
    there.sums = {}
    for i = 1, there.n do
      local _, kind, at = entry_at(there[i], 1)
      local whose = kind and kind < OTHER_FORM and owner_at(there[i], at)
      if whose then there.sums[whose] = (there.sums[whose] or 0) + #there[i] end
    end
  end
  local sum = (there.sums[owner] or 0) + #entry
  if owner ~= '' and sum > A_SHARE then return true end
  there.sums[owner] = sum
end

-- Put an entry on the list: 'n' it is new, 'o' it is not, 'f' there are too many at its place, 'x' that
-- place cannot be read. `payload` is the event's; '': it has none.
local function put_listed(place, entry, payload)
  local _, kind, begins = entry_at(entry, 1)
  local identity = sub(entry, begins, identity_end(entry, begins))
  if follow(place, entry, identity) then
    if has(kind, EXPIRING) then more_expiring = more_expiring + 1 end
    tell_listed(payload)
    return 'n'
  end
  local there = entries_at(place)
  if not there then return 'x' end
  local old = there.of[identity]
  local _, was = entry_at(old and there[old] or '', 1)
  local is_new = not old or has_ended(there[old], 1, was, #there[old] + 1)
  if not is_new and (there[old] == entry or not gives_way(there[old], entry)) then return 'o' end
  local size = there.size + #entry - (old and #there[old] or 0)
  if size > MOST_LISTED then return 'f' end
  if size > MUCH and not old and has_its_share(there, entry, begins) then return 'f' end
  if old then
    if has(was, EXPIRING) then more_expiring = more_expiring - 1 end
    there[old] = entry
  else
    there.n = there.n + 1
    there[there.n] = entry
    there.of[identity] = there.n
    more_listed = more_listed + 1
  end
  if has(kind, EXPIRING) then more_expiring = more_expiring + 1 end
  there.size, there.changed = size, true
  tell_listed(payload)
  return is_new and 'n' or 'o'
end

-- Take an entry off the list; whether it was there.
local function drop_listed(place, identity, payload)
  local there = entries_at(place)
  local at = there and there.of[identity]
  if not at then return false end
  local _, kind = entry_at(there[at], 1)
  more_listed = more_listed - 1
  if has(kind, EXPIRING) then more_expiring = more_expiring - 1 end
  there.of[identity] = nil
  there.size = there.size - #there[at]
  there[at] = ''
  there.changed = true
  event('unsuppressed', '', payload)
  return true
end

local function write_listed()
  for place, there in pairs(places) do
    if there.changed then
      if there.size > 1 then
        local text = there.text or '\1' .. table.concat(there)
        call('HSET', listed(place), sub(place, 2), text)
      else
        call('HDEL', listed(place), sub(place, 2))
      end
    end
  end
  if more_listed ~= 0 then call('HINCRBY', LISTED, 'entries', more_listed) end
  if more_expiring ~= 0 then call('HINCRBY', LISTED, 'expiring', more_expiring) end
  places, more_listed, more_expiring = {}, 0, 0
end

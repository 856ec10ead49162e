-- Entries of the suppression list that have ended go: each run of the pump looks at some places, one
-- hash after the other.
local LOOKED_AT, MOST_ASKED, HASHES = 20, 64, 256

local function some_ended(text)
  local at = 2
  while byte(text) == 1 and at <= #text do
    local after, kind = entry_at(text, at)
    if not after then return false end
    if has_ended(text, at, kind) then return true end
    at = after
  end
  return false
end

local function sweep_suppressed()
  if tonumber(call('HGET', LISTED, 'expiring') or '0') <= 0 then return end
  local n, cursor = string.match(call('HGET', LISTED, 'swept') or '', '^(%d+) (%d+)$')
  n, cursor = tonumber(n or '0'), cursor or '0'
  local looked, asked = 0, 0
  while looked < LOOKED_AT and asked < MOST_ASKED do
    local found = call('HSCAN', P .. 'suppressed:' .. n, cursor, 'COUNT', LOOKED_AT)
    cursor, asked = found[1], asked + 1
    for i = 1, #found[2], 2 do
      looked = looked + 1
      if some_ended(found[2][i + 1]) then entries_at(string.char(n) .. found[2][i]) end
    end
    if cursor == '0' then n = (n + 1) % HASHES end
  end
  write_listed()
  call('HSET', LISTED, 'swept', n .. ' ' .. cursor)
end

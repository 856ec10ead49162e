-- The oldest recent messages go once their heads have: as many as this run has forgotten, and 100; and
-- what is too many. Each keeps its position, because what is gone is counted.
-- recent LIST of ids; recent:trimmed STRING
local function trim_recent(most_gone, kept)
  local list, heads = P .. 'recent', P .. 'head:'
  local oldest_id = call('LINDEX', list, 0)
  if not oldest_id then return end
  local gone = 0
  if call('HEXISTS', heads .. byte(oldest_id, 16), oldest_id) == 0 then
    local ids = call('LRANGE', list, 0, most_gone - 1)
    gone = #ids
    for i = 2, #ids do
      if call('HEXISTS', heads .. byte(ids[i], 16), ids[i]) == 1 then
        gone = i - 1
        break
      end
    end
  end
  gone = math.max(gone, call('LLEN', list) - kept)
  if gone <= 0 then return end
  call('LTRIM', list, gone, -1)
  call('INCRBY', P .. 'recent:trimmed', gone)
end

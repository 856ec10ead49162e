-- Write down what is configured for a key, nothing where `text` is empty; whether that is news. Of a site
-- the day is kept behind it (parts/sweep.lua).
local function configure(field, text)
  local before = call('HGET', P .. 'shaping', field) or ''
  local dated = text
  if text ~= '' and is_site(field) and field ~= 'mx:*' then
    dated = text .. '|d' .. math.floor(now / 86400000)
  end
  if dated == before then return false end
  if dated == '' then
    call('HDEL', P .. 'shaping', field)
  else
    call('HSET', P .. 'shaping', field, dated)
  end
  return (string.gsub(before, '|d%d+$', '')) ~= text
end

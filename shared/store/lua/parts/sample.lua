-- Once a minute, whichever worker is first in it: the figures of now, for charts
-- (shared/store/samples.py). After `commit`, because it reads what that has written.
-- samples LIST of a format byte and msgpack: the time, then for each class what `Figures` lists.
-- Whoever includes this includes `oldest`.
local MOST_SAMPLES = 1440

local function take_sample()
  local flat, counted, deferrals = call('HGETALL', P .. 'counters'), {}, {}
  for i = 1, #flat, 2 do
    counted[flat[i]] = tonumber(flat[i + 1])
    local c = string.match(flat[i], '^t:(%d):f:')
    if c then deferrals[c] = (deferrals[c] or 0) + tonumber(flat[i + 1]) end
  end
  local classes = {}
  for i, c in ipairs({ '0', '1', '2' }) do
    local function status(letter) return counted['s:' .. c .. ':' .. letter] or 0 end
    classes[i] = {
      counted['a:' .. c] or 0, status('d'), status('b'), deferrals[c] or 0, status('x'), status('p'),
      status('c'), status('u'), status('l'), counted['r:' .. c] or 0,
      call('ZCARD', P .. 'deferred:' .. c), call('ZCARD', P .. 'leases:' .. c), oldest(c),
    }
  end
  call('RPUSH', P .. 'samples', '\1' .. cmsgpack.pack({ now, classes }))
  call('LTRIM', P .. 'samples', -MOST_SAMPLES, -1)
end

#!lua flags=no-writes,allow-oom
-- quota: what an application has used of its quotas.
-- KEYS[1] prefix. Reads quota:<window>:<start>
-- ARGV[4] the application, then the windows.
-- Returns for each window: recipients used, when it ends, and how long that is from now, in ms.

local answer = {}
for i = 5, #ARGV do
  local key, ends = quota_now(ARGV[i])
  answer[#answer + 1] = tonumber(call('HGET', key, ARGV[4]) or '0')
  answer[#answer + 1] = ends
  answer[#answer + 1] = ends - now
end
return answer

-- One decision of GCRA on the moment at which KEYS[1] is back at a full burst, in microseconds of Redis' own clock.
-- ARGV: what one weighs, what the rest of the burst weighs, how far ahead the moment may lie, and take | look | charge.
-- Gives how long to wait, 0 = go on, and how far ahead the moment lies then.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local weight, rest, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local wait = math.max(full - rest - now, 0)
if ARGV[4] == 'charge' or (ARGV[4] == 'take' and wait == 0) then
  full = math.min(full + weight, now + most)
  redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
end
return { wait, math.max(full - now, 0) }

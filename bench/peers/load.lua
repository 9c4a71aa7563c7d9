-- What wrk can't do by options: say its figures as JSON, and send a token of its own with each request. For that, the argument
-- after `--` is a file of tokens, one a line; each is sent once, and it is an error to run out of them.
local the_thread

function setup(thread)
  the_thread = thread
end

function init(arguments)
  if not arguments[1] then return end
  local requests, count, sent = {}, 0, 0
  for token in io.lines(arguments[1]) do
    count = count + 1
    requests[count] = wrk.format("GET", nil, { Host = wrk.headers["Host"], Authorization = "Bearer " .. token })
  end
  exhausted = 0
  function request()
    sent = sent + 1
    if sent > count then
      exhausted = 1
      sent = 1
    end
    return requests[sent]
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nJSON {"requests": %d, "microseconds": %d, "bytes": %d, "above_399": %d, "failed": %d, "p50": %d, "p99": %d, "exhausted": %d}\n',
    summary.requests, summary.duration, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), the_thread:get("exhausted") or 0))
end

-- What wrk can't do by options: say its figures as JSON, and send a request of another kind each time. For that, the argument
-- after `--` is a file: of tokens, one a line, each of which is sent once, and it is an error to run out of them; or of a path, a
-- host and a header field a line, with tabs between, `-` for none, which are sent in turn for as long as it takes.
local the_thread

function setup(thread)
  the_thread = thread
end

function init(arguments)
  if not arguments[1] then return end
  local requests, count, sent, again = {}, 0, 0, false
  for line in io.lines(arguments[1]) do
    count = count + 1
    local path, host, name, value = line:match("^(%S+)\t(%S+)\t([^:]+):? ?(.*)$")
    local fields = { Host = host or wrk.headers["Host"] }
    if not path then
      fields["Authorization"] = "Bearer " .. line
    elseif name ~= "-" then
      fields[name] = value
    end
    again = path ~= nil
    requests[count] = wrk.format("GET", path, fields)
  end
  exhausted = 0
  function request()
    sent = sent + 1
    if sent > count then
      exhausted = again and 0 or 1
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

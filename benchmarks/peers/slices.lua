-- What wrk sends: the requests of the job's slices, over and over. Each line of the file is a user's credential and a path.
local requests, n = {}, 0

function init(args)
  for line in io.lines(args[1]) do
    local authorization, path = line:match("^(%S+) (%S+)$")
    requests[#requests + 1] = wrk.format("GET", path, { Authorization = "Basic " .. authorization, Host = wrk.headers["Host"] })
  end
end

function request()
  n = n % #requests + 1
  return requests[n]
end

function done(summary)
  local errors = summary.errors
  if errors.connect + errors.read + errors.write + errors.status + errors.timeout > 0 then
    io.stderr:write("wrk had errors\n")
    os.exit(1)
  end
end

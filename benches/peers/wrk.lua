-- wrk's summary in one line that the driver reads.
function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  io.write(string.format("wrk requests=%d microseconds=%d failed=%d\n", summary.requests, summary.duration, failed))
end

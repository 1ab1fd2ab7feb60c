"""What Envoy asks before it lets a request through to any service behind it: parse, call, render. Nobody imports it."""

#!/bin/sh
# A simulator as duet's estimator `command` runs it: one design as JSON on standard input, its metrics as JSON on
# standard output. It walks the addresses of C += A·B (24×24 words of 8 bytes, loops blocked and ordered as the design
# says) through a set-associative cache with LRU replacement, and counts the misses. Times, energies and areas per
# access are round numbers for the sake of the example.
exec awk '
function parameter(name,    at, rest) {  # the value behind "name": text without quotes, or a number
  at = index($0, "\"" name "\":")
  if (at == 0) return ""
  rest = substr($0, at + length(name) + 3)
  sub(/^ *"?/, "", rest)
  sub(/[",}].*/, "", rest)
  return rest
}

function access_word(address,    tag, set, way, oldest) {
  ++accesses
  tag = int(address / line)
  set = tag % sets
  oldest = 0
  for (way = 0; way < ways; ++way) {
    if (tags[set, way] == tag + 1) {  # 0 is an empty way
      used[set, way] = accesses
      return
    }
    if (used[set, way] < used[set, oldest]) oldest = way
  }
  ++misses
  tags[set, oldest] = tag + 1
  used[set, oldest] = accesses
}

{
  size = parameter("cache.size")
  line = parameter("cache.line")
  ways = parameter("cache.ways")
  clock = parameter("cache.clock")
  order = parameter("loop.order")
  block = parameter("loop.blocking.square.block")
  n = 24
  if (block == "") block = n
  sets = int(size / (line * ways))

  access_ns = 0.2 + 0.05 * log(size) / log(2) + 0.03 * ways
  if (access_ns * clock > 1e9) {  # not every design can be built: an answer, not a crash
    printf "{\"error\": \"an access takes %.2f ns, a cycle only %.2f ns\"}\n", access_ns, 1e9 / clock
    exit
  }

  for (o = 0; o < n; o += block) for (p = 0; p < n; p += block) for (q = 0; q < n; q += block)
    for (x = o; x < o + block; ++x) for (y = p; y < p + block; ++y) for (z = q; z < q + block; ++z) {
      if (order == "ijk") { i = x; j = y; k = z }
      else if (order == "ikj") { i = x; k = y; j = z }
      else { j = x; k = y; i = z }
      access_word(8 * (i * n + k))              # A
      access_word(8 * (n * n + k * n + j))      # B
      access_word(8 * (2 * n * n + i * n + j))  # C
    }

  fetch_ns = 40 + line / 4  # of a line, from memory
  latency_us = 1e-3 * (accesses * 1e9 / clock + misses * fetch_ns)
  energy_nj = 1e-3 * (accesses * (1 + 0.1 * sqrt(size * ways)) + misses * (50 + 5 * line))
  area_mm2 = 1e-6 * size * (2 + 0.1 * ways) + 1e-3 * ways
  printf "{\"metrics\": {\"latency_s\": %.6g, \"energy_j\": %.6g, \"area_mm2\": %.6g, \"miss_rate\": %.6g}}\n",
         latency_us, energy_nj, area_mm2, misses / accesses
}'

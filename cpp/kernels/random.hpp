// Random numbers that are a function of what they are for, not of who asks first.
//
// A stream is named by a key (the seed and the purpose) and an item (a node, a walk); number j of a stream is SplitMix64
// of the stream's start plus j + 1 golden steps: Steele, Lea and Flood, "Fast splittable pseudorandom number
// generators", OOPSLA 2014, with the mixer of Stafford's variant 13. So any thread may draw for any item, and the result
// is the same for every number of threads.
#pragma once

#include <cstdint>

#define GOSSAMER_ALWAYS inline __attribute__((always_inline))  // sources for several instruction sets share these

namespace gossamer {

inline constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15u;

GOSSAMER_ALWAYS std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// The numbers of one item. A copy goes on where the original stands.
struct Stream {
  std::uint64_t state;

  GOSSAMER_ALWAYS Stream() : state(0) {}
  GOSSAMER_ALWAYS Stream(std::uint64_t key, std::int64_t item)
      : state(mix(key + kGolden * (static_cast<std::uint64_t>(item) + 1))) {}

  GOSSAMER_ALWAYS std::uint64_t next() { return mix(state += kGolden); }

  // Passes over `count` numbers.
  GOSSAMER_ALWAYS void skip(std::int64_t count) { state += kGolden * static_cast<std::uint64_t>(count); }

  // Returns a multiple of 2^-53 in [0, 1).
  GOSSAMER_ALWAYS double uniform() { return static_cast<double>(static_cast<std::int64_t>(next() >> 11)) * 0x1p-53; }

  // Returns a whole number in [0, bound), 0 < bound < 2^53, each to within a relative 2^-53 bound equally likely.
  // The product never rounds up to `bound`.
  GOSSAMER_ALWAYS std::int64_t below(std::int64_t bound) {
    return static_cast<std::int64_t>(uniform() * static_cast<double>(bound));
  }
};

}  // namespace gossamer

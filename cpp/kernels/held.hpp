// One block of R rows on the way back: vectors stay in registers while the stored columns of the block stream by.
//
// A stored column comes with a line of numbers and a vector of sums. Each number is spread over all lanes,
// multiplied with the vector that is held for it, and added to the sums.
//
//               input's gradient                       weights' gradient
//   held        R rows of the flow, W examples each    16 examples of the flow, the block's R rows each
//   line        the column's R weights                 the column's input for 16 examples
//   sums        the column's input gradient            the column's R weight gradients
#pragma once

#include "vector.hpp"

namespace gossamer::GOSSAMER_ISA {

inline constexpr int kHeldMost = kRegisters == 32 ? 16 : 8;  // at a time

// Streams the stored columns [begin, end) past `count` vectors of W lanes, `stride` numbers apart; `line(k)` and
// `sums(k)` are addresses.
template <int W, int count, class Line, class Sums>
GOSSAMER_INLINE void stream(const float* vectors, std::int64_t stride, std::int64_t begin, std::int64_t end, Line line,
                            Sums sums) {
  constexpr int kHeld = smaller(count, kHeldMost);
  for (int first = 0; first < count; first += kHeld) {
    vec<W> held[kHeld];
    GOSSAMER_UNROLL
    for (int i = 0; i < kHeld; ++i) held[i] = load<W>(vectors + (first + i) * stride);
    for (std::int64_t k = begin; k < end; ++k) {
      const float* numbers = line(k) + first;
      float* place = sums(k);
      vec<W> even = load<W>(place), odd = numbers[1] * held[1];  // two chains: an addition takes several cycles
      even += numbers[0] * held[0];
      GOSSAMER_UNROLL
      for (int i = 2; i < kHeld; i += 2) {
        even += numbers[i] * held[i];
        odd += numbers[i + 1] * held[i + 1];
      }
      store<W>(place, even + odd);
    }
  }
}

// Streams past 16 vectors of R numbers each, in as many parts as a register makes of them.
template <int R, class Line, class Sums>
GOSSAMER_INLINE void stream_rows(const float* vectors, std::int64_t stride, std::int64_t begin, std::int64_t end,
                                 Line line, Sums sums) {
  constexpr int W = smaller(R, kLanes);
  for (int part = 0; part < R; part += W)
    stream<W, 16>(vectors + part, stride, begin, end, line, [&](std::int64_t k) { return sums(k) + part; });
}

}  // namespace gossamer::GOSSAMER_ISA

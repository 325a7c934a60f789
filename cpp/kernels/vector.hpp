// Vectors of floats in the width of the instruction set at hand, through the vector extensions of GCC and Clang.
//
// Every kernel source is compiled once per instruction set, with GOSSAMER_ISA naming the namespace. All that a
// kernel uses is defined in that namespace or inlined: a function template shared between instruction sets
// could be kept by the linker in the version that this processor cannot run.
#pragma once

#include <cstdint>
#include <type_traits>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace gossamer::GOSSAMER_ISA {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
inline constexpr int kRegisters = 32;
#elif defined(__AVX2__)
inline constexpr int kLanes = 8;
inline constexpr int kRegisters = 16;
#elif defined(__aarch64__)
inline constexpr int kLanes = 4;
inline constexpr int kRegisters = 32;
#else
inline constexpr int kLanes = 4;
inline constexpr int kRegisters = 16;
#endif

template <int W>
struct vector_of {
  typedef float type __attribute__((vector_size(W * sizeof(float))));
  typedef std::int32_t mask __attribute__((vector_size(W * sizeof(float))));
};
template <>
struct vector_of<1> {
  typedef float type;
  typedef std::int32_t mask;
};
template <int W>
using vec = typename vector_of<W>::type;

// Unrolls the next loop, whose count is known, so that the vectors it runs over stay in registers.
#if defined(__clang__)
#define GOSSAMER_UNROLL _Pragma("clang loop unroll(full)")
#else
#define GOSSAMER_UNROLL _Pragma("GCC unroll 64")
#endif
#define GOSSAMER_INLINE inline __attribute__((always_inline))
#define GOSSAMER_LAMBDA __attribute__((always_inline))

template <int W>
GOSSAMER_INLINE vec<W> load(const float* from) {
  vec<W> v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

template <int W>
GOSSAMER_INLINE void store(float* to, vec<W> v) {
  __builtin_memcpy(to, &v, sizeof v);
}

template <class T>
GOSSAMER_INLINE constexpr T smaller(T a, T b) {
  return a < b ? a : b;
}

template <class T>
GOSSAMER_INLINE constexpr T larger(T a, T b) {
  return a < b ? b : a;
}

GOSSAMER_INLINE constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Adds the lanes of a vector, halves first.
template <int W>
GOSSAMER_INLINE float lane_sum(vec<W> v) {
  if constexpr (W == 1) {
    return v;
  } else {
    float lanes[W];
    __builtin_memcpy(lanes, &v, sizeof v);
    vec<W / 2> half = load<W / 2>(lanes) + load<W / 2>(lanes + W / 2);
    return lane_sum<W / 2>(half);
  }
}

// max(v, 0) that leaves NaN as it is.
template <int W>
GOSSAMER_INLINE vec<W> rectified(vec<W> v) {
  if constexpr (W == 1) {
    return v < 0.0f ? 0.0f : v;
  } else {
    const vec<W> zero = {};
    return v < zero ? zero : v;
  }
}

// Treats subnormal numbers as zero, in this thread, while it lives.
class FlushSubnormals {
 public:
#if defined(__SSE__)
  FlushSubnormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040u); }  // FTZ | DAZ
  ~FlushSubnormals() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#elif defined(__aarch64__)
  FlushSubnormals() {
    asm volatile("mrs %0, fpcr" : "=r"(before_));
    asm volatile("msr fpcr, %0" : : "r"(before_ | (std::uint64_t{1} << 24)));
  }
  ~FlushSubnormals() { asm volatile("msr fpcr, %0" : : "r"(before_)); }

 private:
  std::uint64_t before_;
#else
  FlushSubnormals() {}
#endif
 public:
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;
};

// Says whether all indices lie in [0, bound). Asked once for many entries: a handful of vector instructions.
template <class Index>
GOSSAMER_INLINE bool all_inside(const Index* indices, std::int64_t count, std::int64_t bound) {
  using Unsigned = std::conditional_t<sizeof(Index) == 4, std::uint32_t, std::uint64_t>;
  constexpr std::int64_t most = sizeof(Index) == 4 ? std::int64_t{1} << 31 : INT64_MAX;
  const auto limit = static_cast<Unsigned>(smaller(bound, most));
  Unsigned outside = 0;  // a negative index is a large unsigned one
  for (std::int64_t i = 0; i < count; ++i) outside |= static_cast<Unsigned>(static_cast<Unsigned>(indices[i]) >= limit);
  return outside == 0;
}

}  // namespace gossamer::GOSSAMER_ISA

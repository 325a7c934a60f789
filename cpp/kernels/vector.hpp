// Vectors of floats in the width of the instruction set at hand, through the vector extensions of GCC and Clang.
//
// Every kernel source is compiled once per instruction set, with GOSSAMER_ISA naming the namespace. All that a
// kernel uses is defined in that namespace or inlined: a function template shared between instruction sets
// could be kept by the linker in the version that this processor cannot run.
#pragma once

#include <cstdint>

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
GOSSAMER_INLINE T smaller(T a, T b) {
  return a < b ? a : b;
}

template <class T>
GOSSAMER_INLINE T larger(T a, T b) {
  return a < b ? b : a;
}

GOSSAMER_INLINE std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

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

// Returns an index that is safe to read at, and notes in `bad` whether it had to be replaced. Without a branch: the
// empty statement keeps the compiler from turning one into two copies of the loop around it.
template <class Index>
GOSSAMER_INLINE std::int64_t watched(Index index, std::int64_t bound, int& bad) {
  const std::int64_t wide = index;
  const bool inside = static_cast<std::uint64_t>(wide) < static_cast<std::uint64_t>(bound);
  std::int64_t keep = -static_cast<std::int64_t>(inside);
  asm("" : "+r"(keep));
  bad |= static_cast<int>(~keep);
  return wide & keep;
}

}  // namespace gossamer::GOSSAMER_ISA

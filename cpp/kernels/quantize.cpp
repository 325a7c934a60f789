// Rows of floats as words of signs, of ternary pairs or of bytes, with a scale each.
//
// A row with a NaN gets a NaN for its scale, and so does one of bytes without given scales that holds an infinity: what
// the words cannot say, the products that they are scaled with do.
#include "lanes.hpp"
#include "low_bits.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr float kNaN = __builtin_nanf("");
constexpr std::int32_t kInfinity = 0x7f800000;  // the bits of it; those of NaN are larger
constexpr float kLeast = 1e-35f;                // rows of smaller numbers are zero: their scale would be subnormal

// One bit a lane, for lanes that are all ones.
GOSSAMER_INLINE std::uint32_t lane_bits(ints_t mask) {
#if defined(__AVX512DQ__)
  return _mm512_movepi32_mask((__m512i)mask);
#elif defined(__AVX2__)
  return static_cast<std::uint32_t>(_mm256_movemask_ps((__m256)mask));
#elif defined(__SSE__)
  return static_cast<std::uint32_t>(_mm_movemask_ps((__m128)mask));
#else
  std::uint32_t bits = 0;
  GOSSAMER_UNROLL
  for (int i = 0; i < kLanes; ++i) bits |= (static_cast<std::uint32_t>(mask[i]) & 1u) << i;
  return bits;
#endif
}

GOSSAMER_INLINE vec<kLanes> magnitude(vec<kLanes> v) { return (vec<kLanes>)((ints_t)v & 0x7fffffff); }

// Calls `each(word, numbers)` for every 32 numbers of a row; the last ones are padded with zeros.
template <class Each>
GOSSAMER_INLINE void by_word(const float* row, std::int64_t columns, Each each) {
  std::int64_t w = 0;
  for (; (w + 1) * 32 <= columns; ++w) each(w, row + w * 32);
  if (w * 32 < columns) {
    alignas(64) float rest[32] = {};
    __builtin_memcpy(rest, row + w * 32, static_cast<std::size_t>(columns - w * 32) * sizeof(float));
    each(w, rest);
  }
}

// The bits of the largest magnitude of a row: they are in the order of the magnitudes, with NaN on top.
inline std::int32_t largest(const float* row, std::int64_t columns) {
  ints_t most = {};
  const auto take = [&](const float* from) __attribute__((always_inline)) {
    const ints_t bits = (ints_t)magnitude(load<kLanes>(from));
    most = bits > most ? bits : most;
  };
  std::int64_t k = 0;
  for (; k + kLanes <= columns; k += kLanes) take(row + k);
  if (k < columns) {
    float rest[kLanes] = {};
    __builtin_memcpy(rest, row + k, static_cast<std::size_t>(columns - k) * sizeof(float));
    take(rest);
  }
  std::int32_t top = 0;
  for (int i = 0; i < kLanes; ++i) top = larger<std::int32_t>(top, most[i]);
  return top;
}

void signs(const Quantize& q, std::int64_t i) {
  const float* row = q.x + i * q.columns;
  std::uint32_t* words = q.words + i * ceil_div(q.columns, 32);
  vec<kLanes> sum = {};
  by_word(row, q.columns, [&](std::int64_t w, const float* x) {
    std::uint32_t word = 0;
    GOSSAMER_UNROLL
    for (int k = 0; k < 32; k += kLanes) {
      const vec<kLanes> v = load<kLanes>(x + k);
      word |= lane_bits(v < 0.0f) << k;
      sum += magnitude(v);
    }
    words[w] = word;
  });
  const float total = lane_sum<kLanes>(sum);
  if (q.mean) {
    q.scale[i] = q.columns == 0 ? 0.0f : total / static_cast<float>(q.columns);
  } else {
    q.scale[i] = total == total ? 1.0f : kNaN;
  }
}

void ternary_pairs(const Quantize& q, std::int64_t i) {
  const float* row = q.x + i * q.columns;
  std::uint32_t* words = q.words + i * ceil_div(q.columns, 32) * 2;
  ints_t unordered = {};
  by_word(row, q.columns, [&](std::int64_t w, const float* x) {
    std::uint32_t nonzero = 0, sign = 0;
    GOSSAMER_UNROLL
    for (int k = 0; k < 32; k += kLanes) {
      const vec<kLanes> v = load<kLanes>(x + k);
      nonzero |= lane_bits(magnitude(v) > q.threshold) << k;
      sign |= lane_bits(v < 0.0f) << k;
      unordered |= v != v;
    }
    words[2 * w] = nonzero;
    words[2 * w + 1] = sign & nonzero;
  });
  q.scale[i] = lane_bits(unordered) == 0 ? 1.0f : kNaN;
}

void bytes(const Quantize& q, std::int64_t i) {
  const float* row = q.x + i * q.columns;
  auto* to = reinterpret_cast<std::int8_t*>(q.words + i * ceil_div(q.columns, 4));
  const std::int32_t most = largest(row, q.columns);
  float peak;
  __builtin_memcpy(&peak, &most, sizeof peak);
  float inverse;
  if (q.given != nullptr) {
    q.scale[i] = most > kInfinity ? kNaN : q.given[i];
    inverse = 1.0f / q.given[i];
  } else if (most >= kInfinity) {
    q.scale[i] = kNaN;
    inverse = 0.0f;
  } else {
    q.scale[i] = peak < kLeast ? 0.0f : peak / 127.0f;
    inverse = peak < kLeast ? 0.0f : 127.0f / peak;
  }
  constexpr float round = 12582912.0f;  // 1.5 * 2^23: adding it leaves no room for a fraction
  const std::int64_t columns = q.columns;
  for (std::int64_t k = 0; k < columns; ++k) {
    float v = row[k] * inverse;
    v = v < 127.0f ? v : 127.0f;  // NaN too
    v = v > -127.0f ? v : -127.0f;
    to[k] = static_cast<std::int8_t>(static_cast<std::int32_t>((v + round) - round));
  }
  for (std::int64_t k = columns; k < ceil_div(columns, 4) * 4; ++k) to[k] = 0;
}

template <class Row>
void each_row(const Quantize& q, Row row) {
  [[maybe_unused]] const bool many = q.threads > 1 && q.rows * q.columns > 65536;
#pragma omp parallel num_threads(q.threads) if (many)
  {
    const FlushSubnormals flush;
#pragma omp for schedule(static)
    for (std::int64_t i = 0; i < q.rows; ++i) row(q, i);
  }
}

}  // namespace

void pack_signs(const Quantize& q) { each_row(q, signs); }

void pack_ternary(const Quantize& q) { each_row(q, ternary_pairs); }

void pack_bytes(const Quantize& q) { each_row(q, bytes); }

}  // namespace gossamer::GOSSAMER_ISA

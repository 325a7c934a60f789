// A program of elementwise operations in one pass: each tile of the output goes through all of them while it is in cache.
//
// Axes that are contiguous for every input are joined first, so most programs are one long row. An input whose last
// stride is zero is spread over a tile once a row.
#include "dense.hpp"
#include "softmax.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr std::int64_t kTile = 256;
constexpr std::int64_t kWorthThreads = 32768;  // numbers from which on other threads are woken

// Applies f to vectors, the last of which may reach beyond the count: tiles are padded.
template <class F>
GOSSAMER_INLINE void each(std::int64_t count, const float* a, float* out, F f) {
  for (std::int64_t i = 0; i < count; i += kLanes) store<kLanes>(out + i, f(load<kLanes>(a + i)));
}

template <class F>
GOSSAMER_INLINE void each_two(std::int64_t count, const float* a, const float* b, float* out, F f) {
  for (std::int64_t i = 0; i < count; i += kLanes)
    store<kLanes>(out + i, f(load<kLanes>(a + i), load<kLanes>(b + i)));
}

using V = vec<kLanes>;

GOSSAMER_INLINE V spread(float value) { return V{} + value; }

GOSSAMER_INLINE V magnitude(V x) { return x < 0.0f ? -x : x; }

GOSSAMER_INLINE V logistic(V x) { return 1.0f / (1.0f + exponential<kLanes>(-x)); }

// Abramowitz and Stegun, 7.1.26: off by at most 1.5e-7.
GOSSAMER_INLINE V error_function(V x) {
  const V size = magnitude(x), t = 1.0f / (1.0f + 0.3275911f * size);
  V p = t * 1.061405429f - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const V found = 1.0f - p * t * exponential<kLanes>(-size * size);
  return x < 0.0f ? -found : found;
}

GOSSAMER_INLINE V hyperbolic(V x) {
  // near zero the difference below would lose what matters
  const V square = x * x, series = x * (1.0f + square * (-0.333333333f + square * 0.133333333f));
  const V found = 1.0f - 2.0f / (1.0f + exponential<kLanes>(2.0f * x));
  return magnitude(x) < 0.02f ? series : found;
}

GOSSAMER_INLINE V clamped(V x, float low, float high) {
  x = x < spread(low) ? spread(low) : x;
  return x > spread(high) ? spread(high) : x;
}

// 1 where a condition holds, else 0.
template <class Condition>
GOSSAMER_INLINE void truths(std::int64_t count, const float* a, const float* b, float* out, Condition holds) {
  each_two(count, a, b, out, [=](V x, V y) { return holds(x, y) ? spread(1.0f) : V{}; });
}

// What the vector unit has no instruction for, number by number.
template <class F>
GOSSAMER_INLINE void one_by_one(std::int64_t count, const float* a, float* out, F f) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = f(a[i]);
}

float remainder(float a, float b) {
  const float rest = __builtin_fmodf(a, b);
  return rest != 0.0f && (rest < 0.0f) != (b < 0.0f) ? rest + b : rest;
}

void roots(std::int64_t count, const float* a, float* out, bool inverse) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = __builtin_sqrtf(a[i]);
  if (inverse) each(count, out, out, [](V x) { return 1.0f / x; });
}

void apply(const Operation& o, std::int64_t count, const float* a, const float* b, float* out) {
  const float p = o.p, q = o.q;
  switch (o.what) {
    case Operator::add: return each_two(count, a, b, out, [](V x, V y) { return x + y; });
    case Operator::subtract: return each_two(count, a, b, out, [](V x, V y) { return x - y; });
    case Operator::multiply: return each_two(count, a, b, out, [](V x, V y) { return x * y; });
    case Operator::divide: return each_two(count, a, b, out, [](V x, V y) { return x / y; });
    case Operator::maximum:
      return each_two(count, a, b, out, [](V x, V y) { return ((x > y) | (x != x)) ? x : y; });
    case Operator::minimum:
      return each_two(count, a, b, out, [](V x, V y) { return ((x < y) | (x != x)) ? x : y; });
    case Operator::affine: return each(count, a, out, [=](V x) { return x * p + q; });
    case Operator::clamp: return each(count, a, out, [=](V x) { return clamped(x, p, q); });
    case Operator::relu: return each(count, a, out, [](V x) { return rectified<kLanes>(x); });
    case Operator::leaky: return each(count, a, out, [=](V x) { return x < 0.0f ? x * p : x; });
    case Operator::elu:
      return each(count, a, out, [=](V x) { return x < 0.0f ? (exponential<kLanes>(x) - 1.0f) * p : x; });
    case Operator::gelu:
      return each(count, a, out, [](V x) { return 0.5f * x * (1.0f + error_function(x * 0.70710678f)); });
    case Operator::gelu_tanh:
      return each(count, a, out, [](V x) {
        return 0.5f * x * (1.0f + hyperbolic(0.79788456f * (x + 0.044715f * x * x * x)));
      });
    case Operator::silu: return each(count, a, out, [](V x) { return x * logistic(x); });
    case Operator::sigmoid: return each(count, a, out, [](V x) { return logistic(x); });
    case Operator::tanh: return each(count, a, out, [](V x) { return hyperbolic(x); });
    case Operator::exp: return each(count, a, out, [](V x) { return exponential<kLanes>(x); });
    case Operator::sqrt: return roots(count, a, out, false);
    case Operator::rsqrt: return roots(count, a, out, true);
    case Operator::absolute: return each(count, a, out, [](V x) { return magnitude(x); });
    case Operator::reciprocal: return each(count, a, out, [](V x) { return 1.0f / x; });
    case Operator::erf: return each(count, a, out, [](V x) { return error_function(x); });
    case Operator::hard_sigmoid: return each(count, a, out, [](V x) { return clamped(x / 6.0f + 0.5f, 0.0f, 1.0f); });
    case Operator::hard_swish:
      return each(count, a, out, [](V x) { return x * clamped(x / 6.0f + 0.5f, 0.0f, 1.0f); });
    case Operator::square: return each(count, a, out, [](V x) { return x * x; });
    case Operator::equal: return truths(count, a, b, out, [](V x, V y) { return x == y; });
    case Operator::not_equal: return truths(count, a, b, out, [](V x, V y) { return x != y; });
    case Operator::less: return truths(count, a, b, out, [](V x, V y) { return x < y; });
    case Operator::less_equal: return truths(count, a, b, out, [](V x, V y) { return x <= y; });
    case Operator::greater: return truths(count, a, b, out, [](V x, V y) { return x > y; });
    case Operator::greater_equal: return truths(count, a, b, out, [](V x, V y) { return x >= y; });
    case Operator::keep: return each_two(count, a, b, out, [](V x, V y) { return x != 0.0f ? y : V{}; });
    case Operator::log: return one_by_one(count, a, out, [](float x) { return __builtin_logf(x); });
    case Operator::sin: return one_by_one(count, a, out, [](float x) { return __builtin_sinf(x); });
    case Operator::cos: return one_by_one(count, a, out, [](float x) { return __builtin_cosf(x); });
    case Operator::floor: return one_by_one(count, a, out, [](float x) { return __builtin_floorf(x); });
    case Operator::round: return one_by_one(count, a, out, [](float x) { return __builtin_rintf(x); });
    case Operator::power:
      for (std::int64_t i = 0; i < count; ++i) out[i] = __builtin_powf(a[i], b[i]);
      return;
    case Operator::remainder:
      for (std::int64_t i = 0; i < count; ++i) out[i] = remainder(a[i], b[i]);
      return;
    case Operator::softplus:
      return one_by_one(count, a, out, [=](float x) { return p * x > q ? x : __builtin_log1pf(__builtin_expf(p * x)) / p; });
  }
}

// The program with axes joined where every input allows it.
Pointwise joined(const Pointwise& p) {
  Pointwise j = p;
  j.axes = 0;
  for (int axis = 0; axis < p.axes; ++axis) {
    if (p.size[axis] == 1) continue;
    bool join = j.axes > 0;
    for (int i = 0; i < p.inputs && join; ++i) join = j.stride[i][j.axes - 1] == p.stride[i][axis] * p.size[axis];
    const int at = join ? j.axes - 1 : j.axes++;
    j.size[at] = join ? j.size[at] * p.size[axis] : p.size[axis];
    for (int i = 0; i < p.inputs; ++i) j.stride[i][at] = p.stride[i][axis];
  }
  if (j.axes == 0) {
    j.axes = 1;
    j.size[0] = 1;
    for (int i = 0; i < p.inputs; ++i) j.stride[i][0] = 0;
  }
  return j;
}

// Runs the program on `count` numbers, at most a tile, that follow place `from` of a row; `at` is where each input's row
// begins.
void run_tile(const Pointwise& p, const float* const* at, std::int64_t from, std::int64_t count, float* out) {
  alignas(64) float tiles[kMostInputs + kMostOperations][kTile];
  const float* registers[kMostInputs + kMostOperations];
  const bool whole = count % kLanes == 0;
  for (int i = 0; i < p.inputs; ++i) {
    const std::int64_t stride = p.stride[i][p.axes - 1];
    const float* source = at[i] + from * stride;
    registers[i] = stride == 1 && whole ? source : tiles[i];
    if (registers[i] == source) continue;
    const std::int64_t padded = ceil_div(count, kLanes) * kLanes;
    if (stride == 1) {
      __builtin_memcpy(tiles[i], source, count * sizeof(float));
    } else if (stride == 0) {
      for (std::int64_t k = 0; k < count; ++k) tiles[i][k] = *source;
    } else {
      for (std::int64_t k = 0; k < count; ++k) tiles[i][k] = source[k * stride];
    }
    for (std::int64_t k = count; k < padded; ++k) tiles[i][k] = 1.0f;
  }
  for (int k = 0; k < p.length; ++k) {
    const Operation& o = p.program[k];
    float* to = k + 1 == p.length && whole ? out : tiles[p.inputs + k];
    apply(o, count, registers[o.a], registers[o.b], to);
    registers[p.inputs + k] = to;
  }
  if (!whole || p.length == 0) __builtin_memcpy(out, registers[p.inputs + p.length - 1], count * sizeof(float));
}

}  // namespace

void pointwise(const Pointwise& given) {
  const Pointwise p = joined(given);
  const std::int64_t width = p.size[p.axes - 1], tiles = ceil_div(width, kTile);
  std::int64_t rows = 1;
  for (int axis = 0; axis + 1 < p.axes; ++axis) rows *= p.size[axis];
  if (rows * width == 0) return;
#pragma omp parallel num_threads(p.threads) if (p.threads > 1 && rows * width >= kWorthThreads)
  {
    const FlushSubnormals flush;
#pragma omp for schedule(static)
    for (std::int64_t item = 0; item < rows * tiles; ++item) {
      const std::int64_t row = item / tiles, from = item % tiles * kTile;
      const float* at[kMostInputs];
      for (int i = 0; i < p.inputs; ++i) {
        at[i] = p.input[i];
        std::int64_t rest = row;
        for (int axis = p.axes - 2; axis >= 0; --axis) {
          at[i] += rest % p.size[axis] * p.stride[i][axis];
          rest /= p.size[axis];
        }
      }
      run_tile(p, at, from, smaller(kTile, width - from), p.out + row * width + from);
    }
  }
}

}  // namespace gossamer::GOSSAMER_ISA

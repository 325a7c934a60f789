// Numbers of any kind: elementwise programs on masks, positions and indices, running sums, places of extremes, and numbers
// taken from or added to places that other numbers name. Such values are small beside activations, so this is plain code
// that computes in double: integers beyond 2^53 are rounded.
#include <algorithm>
#include <cmath>

#include "steps.hpp"

namespace gossamer::engine {
namespace {

constexpr std::int64_t kTile = 64;

Number number_of(const Frame& frame, int value) { return frame.plan.values[static_cast<std::size_t>(value)].number; }

std::int64_t clamped(double x) {  // what lies beyond the integers, or is none, has no meaning in PyTorch either
  return std::isnan(x) ? 0 : static_cast<std::int64_t>(std::clamp(x, -9.2e18, 9.2e18));
}

// Numbers somewhere in memory, of a kind that is known when they are read.
struct Numbers {
  Number kind;
  void* data;

  double get(std::int64_t i) const {
    switch (kind) {
      case Number::float32: return static_cast<const float*>(data)[i];
      case Number::int32: return static_cast<const std::int32_t*>(data)[i];
      case Number::int64: return static_cast<double>(static_cast<const std::int64_t*>(data)[i]);
      default: return static_cast<const std::uint8_t*>(data)[i];
    }
  }
  std::int64_t index(std::int64_t i) const {
    return kind == Number::int64 ? static_cast<const std::int64_t*>(data)[i] : static_cast<const std::int32_t*>(data)[i];
  }
  void put(std::int64_t i, double x) const {
    switch (kind) {
      case Number::float32: static_cast<float*>(data)[i] = static_cast<float>(x); break;
      case Number::int32: static_cast<std::int32_t*>(data)[i] = static_cast<std::int32_t>(clamped(x)); break;
      case Number::int64: static_cast<std::int64_t*>(data)[i] = clamped(x); break;
      default: static_cast<std::uint8_t*>(data)[i] = x != 0.0; break;
    }
  }
};

Numbers from(const Step& step, const Frame& frame, std::size_t i) {
  return {number_of(frame, step.inputs[i]), frame.from<void>(step, i)};
}

Numbers to(const Step& step, const Frame& frame) { return {number_of(frame, step.outputs[0]), frame.to<void>(step)}; }

// Calls f(first) with the place of the first number of each row along the last axis, in order, for strides of a shape.
template <std::size_t count, class F>
void each_row(const Tensor& shape, const std::int64_t (&strides)[count][kMostAxes], F f) {
  std::int64_t rows = 1;
  for (int axis = 0; axis + 1 < shape.rank; ++axis) rows *= shape.size[axis];
  for (std::int64_t row = 0; row < rows; ++row) {
    std::int64_t at[count] = {}, rest = row;
    for (int axis = shape.rank - 2; axis >= 0; --axis) {
      const std::int64_t place = rest % shape.size[axis];
      rest /= shape.size[axis];
      for (std::size_t i = 0; i < count; ++i) at[i] += place * strides[i][axis];
    }
    f(row, at);
  }
}

double applied(const Operation& o, double a, double b) {
  const double p = o.p, q = o.q;
  const auto logistic = [](double x) { return 1.0 / (1.0 + std::exp(-x)); };
  switch (o.what) {
    case Operator::add: return a + b;
    case Operator::subtract: return a - b;
    case Operator::multiply: return a * b;
    case Operator::divide: return a / b;
    case Operator::maximum: return a > b || std::isnan(a) ? a : b;
    case Operator::minimum: return a < b || std::isnan(a) ? a : b;
    case Operator::affine: return p * a + q;
    case Operator::clamp: return a < p ? p : a > q ? q : a;
    case Operator::relu: return a < 0.0 ? 0.0 : a;
    case Operator::leaky: return a < 0.0 ? p * a : a;
    case Operator::elu: return a < 0.0 ? p * std::expm1(a) : a;
    case Operator::gelu: return 0.5 * a * (1.0 + std::erf(a * 0.70710678118654752));
    case Operator::gelu_tanh: return 0.5 * a * (1.0 + std::tanh(0.79788456080286536 * (a + 0.044715 * a * a * a)));
    case Operator::silu: return a * logistic(a);
    case Operator::sigmoid: return logistic(a);
    case Operator::tanh: return std::tanh(a);
    case Operator::exp: return std::exp(a);
    case Operator::sqrt: return std::sqrt(a);
    case Operator::rsqrt: return 1.0 / std::sqrt(a);
    case Operator::absolute: return std::fabs(a);
    case Operator::reciprocal: return 1.0 / a;
    case Operator::erf: return std::erf(a);
    case Operator::hard_sigmoid: return std::clamp(a / 6.0 + 0.5, 0.0, 1.0);
    case Operator::hard_swish: return a * std::clamp(a / 6.0 + 0.5, 0.0, 1.0);
    case Operator::square: return a * a;
    case Operator::equal: return a == b;
    case Operator::not_equal: return a != b;
    case Operator::less: return a < b;
    case Operator::less_equal: return a <= b;
    case Operator::greater: return a > b;
    case Operator::greater_equal: return a >= b;
    case Operator::keep: return a != 0.0 ? b : 0.0;
    case Operator::log: return std::log(a);
    case Operator::sin: return std::sin(a);
    case Operator::cos: return std::cos(a);
    case Operator::floor: return std::floor(a);
    case Operator::round: return std::nearbyint(a);
    case Operator::power: return std::pow(a, b);
    case Operator::remainder: {
      const double rest = std::fmod(a, b);
      return rest != 0.0 && (rest < 0.0) != (b < 0.0) ? rest + b : rest;
    }
    case Operator::softplus: return p * a > q ? a : std::log1p(std::exp(p * a)) / p;
  }
  return 0.0;
}

std::string arithmetic_complaint(const Step& step, const Frame& frame) {
  if (step.inputs.empty() || step.inputs.size() > kMostInputs || step.program.empty()) return "the program has no inputs or steps";
  const Tensor& out = frame.output(step);
  if (!out.contiguous()) return "the output is not contiguous";
  for (std::size_t i = 0; i < step.inputs.size(); ++i) {
    if (!step.has(i)) return "an input is missing";
    const Tensor& x = frame.input(step, i);
    if (x.rank > out.rank) return "an input has more axes than the output";
    for (int axis = 1; axis <= x.rank; ++axis)
      if (x.size[x.rank - axis] != 1 && x.size[x.rank - axis] != out.size[out.rank - axis]) return "an input cannot be broadcast";
  }
  return "";
}

bool arithmetic_run(const Step& step, const Frame& frame) {
  const Tensor& out = frame.output(step);
  const std::size_t inputs = step.inputs.size();
  const std::int64_t width = out.rank == 0 ? 1 : out.size[out.rank - 1];
  std::int64_t strides[kMostInputs][kMostAxes] = {};
  Numbers numbers[kMostInputs]{};
  for (std::size_t i = 0; i < inputs; ++i) {
    const Tensor& x = frame.input(step, i);
    numbers[i] = from(step, frame, i);
    for (int axis = out.rank - x.rank; axis < out.rank; ++axis) {
      const int own = axis - (out.rank - x.rank);
      strides[i][axis] = x.size[own] == 1 ? 0 : x.stride[own];
    }
  }
  const Numbers result = to(step, frame);
  if (out.count() == 0) return true;
  each_row(out, strides, [&](std::int64_t row, const std::int64_t(&at)[kMostInputs]) {
    for (std::int64_t first = 0; first < width; first += kTile) {
      const std::int64_t count = std::min(kTile, width - first);
      double registers[kMostInputs + kMostOperations][kTile];
      for (std::size_t i = 0; i < inputs; ++i) {
        const std::int64_t stride = out.rank == 0 ? 0 : strides[i][out.rank - 1];
        for (std::int64_t k = 0; k < count; ++k) registers[i][k] = numbers[i].get(at[i] + (first + k) * stride);
      }
      std::size_t next = inputs;
      for (const Operation& o : step.program) {
        const double *a = registers[o.a], *b = registers[o.b];
        for (std::int64_t k = 0; k < count; ++k) registers[next][k] = applied(o, a[k], b[k]);
        ++next;
      }
      for (std::int64_t k = 0; k < count; ++k) result.put(row * width + first + k, registers[next - 1][k]);
    }
  });
  return true;
}

// Whether the first size names an axis of `x`.
bool names_axis(const Step& step, const Frame& frame, const Tensor& x) {
  const std::int64_t axis = frame.size(step, 0);
  return axis >= 0 && axis < x.rank;
}

// The product of the sizes before and behind an axis.
struct Around {
  std::int64_t outer = 1, inner = 1;
};

Around around(const Tensor& x, std::int64_t axis) {
  Around found;
  for (int i = 0; i < x.rank; ++i)
    if (i != axis) (i < axis ? found.outer : found.inner) *= x.size[i];
  return found;
}

// Where the number (outer, 0, inner) of a value with any strides lies.
std::int64_t start_of(const Tensor& x, std::int64_t axis, std::int64_t outer, std::int64_t inner) {
  std::int64_t at = 0;
  for (int i = x.rank - 1; i >= 0; --i) {
    if (i == axis) continue;
    std::int64_t& rest = i < axis ? outer : inner;
    at += rest % x.size[i] * x.stride[i];
    rest /= x.size[i];
  }
  return at;
}

// Running sums along an axis, the one size.
std::string scan_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, 1, 1, 1, 0); !found.empty()) return found;
  const Tensor &x = frame.input(step, 0), &out = frame.output(step);
  if (!names_axis(step, frame, x) || !out.contiguous() || out.rank != x.rank || !std::equal(x.size, x.size + x.rank, out.size))
    return "sizes do not fit";
  return "";
}

bool scan_run(const Step& step, const Frame& frame) {
  const Tensor& x = frame.input(step, 0);
  const std::int64_t axis = frame.size(step, 0), length = x.size[axis];
  const Around a = around(x, axis);
  const Numbers in = from(step, frame, 0), out = to(step, frame);
  for (std::int64_t outer = 0; outer < a.outer; ++outer)
    for (std::int64_t inner = 0; inner < a.inner; ++inner) {
      const std::int64_t first = start_of(x, axis, outer, inner);
      double sum = 0.0;
      for (std::int64_t k = 0; k < length; ++k) {
        sum += in.get(first + k * x.stride[axis]);
        out.put((outer * length + k) * a.inner + inner, sum);
      }
    }
  return true;
}

// The place of the largest number along an axis, or of the smallest; the first of equals; NaN is more than anything.
// Sizes: the axis, whether the smallest is wanted.
std::string argmax_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, 1, 1, 2, 0); !found.empty()) return found;
  const Tensor &x = frame.input(step, 0), &out = frame.output(step);
  if (!names_axis(step, frame, x) || !out.contiguous() || !holds_indices(frame, step.outputs[0])) return "sizes do not fit";
  const std::int64_t length = x.size[frame.size(step, 0)];
  return length >= 1 && out.count() * length == x.count() ? "" : "sizes do not fit";
}

bool argmax_run(const Step& step, const Frame& frame) {
  const Tensor& x = frame.input(step, 0);
  const std::int64_t axis = frame.size(step, 0), length = x.size[axis];
  const bool least = frame.size(step, 1) != 0;
  const Around a = around(x, axis);
  const Numbers in = from(step, frame, 0), out = to(step, frame);
  for (std::int64_t outer = 0; outer < a.outer; ++outer)
    for (std::int64_t inner = 0; inner < a.inner; ++inner) {
      const std::int64_t first = start_of(x, axis, outer, inner);
      std::int64_t best = 0;
      double most = in.get(first);
      for (std::int64_t k = 1; k < length && !std::isnan(most); ++k) {
        const double each = in.get(first + k * x.stride[axis]);
        if (std::isnan(each) || (least ? each < most : each > most)) best = k, most = each;
      }
      out.put(outer * a.inner + inner, static_cast<double>(best));
    }
  return true;
}

// out[.., i, ..] = x[.., index[.., i, ..], ..] along an axis, the one size. Inputs: x, index of the shape of the output.
std::string take_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, 2, 2, 1, 0); !found.empty()) return found;
  const Tensor &x = frame.input(step, 0), &index = frame.input(step, 1), &out = frame.output(step);
  if (!names_axis(step, frame, x) || index.rank != x.rank || out.rank != x.rank || !out.contiguous() ||
      !holds_indices(frame, step.inputs[1]) || !std::equal(out.size, out.size + out.rank, index.size))
    return "sizes do not fit";
  for (int axis = 0; axis < x.rank; ++axis)
    if (axis != frame.size(step, 0) && index.size[axis] > x.size[axis]) return "there are more indices than numbers";
  return "";
}

bool take_run(const Step& step, const Frame& frame) {
  const Tensor &x = frame.input(step, 0), &index = frame.input(step, 1), &out = frame.output(step);
  const std::int64_t axis = frame.size(step, 0), width = out.size[out.rank - 1], last = out.rank - 1;
  const Numbers in = from(step, frame, 0), places = from(step, frame, 1), result = to(step, frame);
  std::int64_t strides[2][kMostAxes] = {};
  for (int i = 0; i < out.rank; ++i) {
    strides[0][i] = i == axis ? 0 : x.stride[i];
    strides[1][i] = index.stride[i];
  }
  bool sound = true;
  if (out.count() == 0) return true;
  each_row(out, strides, [&](std::int64_t row, const std::int64_t(&at)[2]) {
    for (std::int64_t k = 0; k < width; ++k) {
      const std::int64_t place = places.index(at[1] + k * strides[1][last]);
      if (place < 0 || place >= x.size[axis]) {
        sound = false;
        continue;
      }
      result.put(row * width + k, in.get(at[0] + k * strides[0][last] + place * x.stride[axis]));
    }
  });
  return sound;
}

// out = base; out[index[e]] += x[e], row by row. Inputs: base (rows, width) or none for zeros, index (count), x (count,
// width), which may be any view. All but the index are floats.
std::string scatter_complaint(const Step& step, const Frame& frame) {
  if (step.inputs.size() != 3 || !step.has(1) || !step.has(2) || !step.sizes.empty() || !step.numbers.empty())
    return "the attributes are not those of this step";
  const Tensor &index = frame.input(step, 1), &x = frame.input(step, 2), &out = frame.output(step);
  if (index.rank != 1 || !index.contiguous() || !holds_indices(frame, step.inputs[1])) return "the index is none";
  if (x.rank != 2 || out.rank != 2 || x.size[0] != index.size[0] || x.size[1] != out.size[1]) return "sizes do not fit";
  if (!plain(frame, step.outputs[0], {out.size[0], out.size[1]}) || !holds(frame, step.inputs[2], Number::float32))
    return "the numbers are no floats";
  if (step.has(0) && !plain(frame, step.inputs[0], {out.size[0], out.size[1]})) return "the base has other sizes";
  return "";
}

bool scatter_run(const Step& step, const Frame& frame) {
  const Tensor &index = frame.input(step, 1), &x = frame.input(step, 2), &out = frame.output(step);
  const Numbers places = from(step, frame, 1);
  float* result = frame.to(step);
  for (std::int64_t e = 0; e < index.size[0]; ++e)
    if (places.index(e) < 0 || places.index(e) >= out.size[0]) return false;
  if (step.has(0)) {
    std::copy_n(frame.from(step, 0), out.count(), result);
  } else {
    std::fill_n(result, out.count(), 0.0f);
  }
  for (std::int64_t e = 0; e < index.size[0]; ++e) {
    const float* row = frame.from(step, 2) + e * x.stride[0];
    float* sum = result + places.index(e) * out.size[1];
    for (std::int64_t k = 0; k < out.size[1]; ++k) sum[k] += row[k * x.stride[1]];
  }
  return true;
}

}  // namespace

const Behaviour kArithmetic{arithmetic_complaint, no_scratch, arithmetic_run};
const Behaviour kScan{scan_complaint, no_scratch, scan_run};
const Behaviour kArgMax{argmax_complaint, no_scratch, argmax_run};
const Behaviour kTake{take_complaint, no_scratch, take_run};
const Behaviour kScatter{scatter_complaint, no_scratch, scatter_run};

}  // namespace gossamer::engine

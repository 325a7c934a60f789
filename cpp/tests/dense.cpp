// Elementwise programs, products of activations, attention between tokens, rows, pooling and copies, against their
// definitions.
#include "../kernels/dense.hpp"

#include <algorithm>
#include <limits>

#include "check.hpp"
#include "levels.hpp"

GOSSAMER_TABLES(DenseKernels, dense_table)

namespace gossamer::tests {
namespace {

using Dense = Level<DenseKernels>;
constexpr float kInf = std::numeric_limits<float>::infinity();

std::string named(const Dense& level, const char* what) { return std::string(level.name) + " " + what; }

double defined(const Operation& o, double a, double b) {
  const double phi = 0.5 * (1 + std::erf(a / std::sqrt(2.0)));
  switch (o.what) {
    case Operator::add: return a + b;
    case Operator::subtract: return a - b;
    case Operator::multiply: return a * b;
    case Operator::divide: return a / b;
    case Operator::maximum: return std::max(a, b);
    case Operator::minimum: return std::min(a, b);
    case Operator::affine: return o.p * a + o.q;
    case Operator::clamp: return std::min<double>(std::max<double>(a, o.p), o.q);
    case Operator::relu: return std::max(a, 0.0);
    case Operator::leaky: return a < 0 ? o.p * a : a;
    case Operator::elu: return a < 0 ? o.p * (std::exp(a) - 1) : a;
    case Operator::gelu: return a * phi;
    case Operator::gelu_tanh:
      return 0.5 * a * (1 + std::tanh(std::sqrt(2 / M_PI) * (a + 0.044715 * a * a * a)));
    case Operator::silu: return a / (1 + std::exp(-a));
    case Operator::sigmoid: return 1 / (1 + std::exp(-a));
    case Operator::tanh: return std::tanh(a);
    case Operator::exp: return std::exp(a);
    case Operator::sqrt: return std::sqrt(a);
    case Operator::rsqrt: return 1 / std::sqrt(a);
    case Operator::absolute: return std::fabs(a);
    case Operator::reciprocal: return 1 / a;
    case Operator::erf: return std::erf(a);
    case Operator::hard_sigmoid: return std::min(std::max(a / 6 + 0.5, 0.0), 1.0);
    case Operator::hard_swish: return a * std::min(std::max(a / 6 + 0.5, 0.0), 1.0);
    case Operator::square: return a * a;
  }
  return 0.0;
}

// Every operator on rows of (2, width): a matrix whose columns are `step` apart, and a row that is repeated; the result is
// added to the first.
void pointwise(const Dense& level, std::int64_t width, std::int64_t step, Random& random) {
  auto a = random.numbers(2 * width * step), b = random.numbers(width);
  for (float& value : b) value = std::fabs(value) + 0.1f;
  for (int i = 0; i < kOperators; ++i) {
    const auto what = static_cast<Operator>(i);
    const bool positive = what == Operator::sqrt || what == Operator::rsqrt;
    const Operation program[] = {{what, positive ? 1 : 0, 1, 0.25f, 0.75f}, {Operator::add, 2, 0, 0.0f, 0.0f}};
    std::vector<float> wanted(static_cast<std::size_t>(2 * width));
    for (std::int64_t at = 0; at < 2 * width; ++at) {
      const float x = a[at * step], y = b[at % width];
      wanted[at] = static_cast<float>(defined(program[0], positive ? y : x, y) + x);
    }
    const std::string name = named(level, "operator ") + std::to_string(i) + ", width " + std::to_string(width);
    const auto found = same_for_all_threads<float>(wanted.size(), name, [&](std::vector<float>& out, int threads) {
      Pointwise p{};
      p.axes = 2;
      p.size[0] = 2;
      p.size[1] = width;
      p.inputs = 2;
      p.input[0] = a.data();
      p.stride[0][0] = width * step;
      p.stride[0][1] = step;
      p.input[1] = b.data();
      p.stride[1][1] = 1;
      p.program = program;
      p.length = 2;
      p.out = out.data();
      p.threads = threads;
      level.table->pointwise(p);
      return true;
    });
    expect_close(found, wanted, name);
  }
}

// A batch of (rows, columns) matrices, stored by rows or by columns; one for all of the outer ones if `shared`.
struct Batch {
  std::int64_t rows, columns;
  std::vector<float> data;
  Matrices view;

  Batch(std::int64_t outer, std::int64_t inner, std::int64_t rows, std::int64_t columns, bool turned, bool shared,
        Random& random)
      : rows(rows), columns(columns), data(random.numbers((shared ? 1 : outer) * inner * rows * columns)) {
    view = {data.data(), shared ? 0 : inner * rows * columns, rows * columns, turned ? 1 : columns, turned ? rows : 1};
  }
  float at(std::int64_t o, std::int64_t i, std::int64_t row, std::int64_t column) const {
    return view.data[o * view.outer_stride + i * view.inner_stride + row * view.row + column * view.column];
  }
};

void matmul(const Dense& level, std::int64_t m, std::int64_t k, std::int64_t n, bool turned, Random& random) {
  const std::int64_t outer = 2, inner = 3;
  const Batch a(outer, inner, m, k, turned, false, random), b(outer, inner, k, n, !turned, true, random);
  std::vector<float> wanted;
  for (std::int64_t which = 0; which < outer * inner; ++which)
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        double sum = 0.0;
        for (std::int64_t l = 0; l < k; ++l)
          sum += double{a.at(which / inner, which % inner, i, l)} * b.at(which / inner, which % inner, l, j);
        wanted.push_back(static_cast<float>(0.5 * sum));
      }
  const std::string name = named(level, "matmul ") + std::to_string(m) + ", " + std::to_string(k) + ", " + std::to_string(n);
  const auto found = same_for_all_threads<float>(wanted.size(), name, [&](std::vector<float>& out, int threads) {
    const MatMul p{outer, inner, m, k, n, a.view, b.view, 0.5f, out.data(), threads};
    const Lent lent(level.table->matmul_scratch(p));
    level.table->matmul(p, lent.get());
    return true;
  });
  expect_close(found, wanted, name);
}

void attention(const Dense& level, std::int64_t m, std::int64_t n, bool masked, bool causal, Random& random) {
  const std::int64_t outer = 2, inner = 2, depth = 5, width = 19;
  const Batch q(outer, inner, m, depth, false, false, random), k(outer, inner, n, depth, true, false, random),
      v(outer, inner, n, width, false, true, random);
  Batch mask(outer, inner, m, n, false, true, random);
  if (n > 1)
    for (std::size_t i = 1; i < mask.data.size(); i += static_cast<std::size_t>(n)) mask.data[i] = -kInf;
  std::vector<float> wanted;
  for (std::int64_t which = 0; which < outer * inner; ++which) {
    const std::int64_t o = which / inner, h = which % inner;
    for (std::int64_t i = 0; i < m; ++i) {
      std::vector<double> weight(static_cast<std::size_t>(n));
      double total = 0.0;
      for (std::int64_t j = 0; j < n; ++j) {
        double score = 0.0;
        for (std::int64_t d = 0; d < depth; ++d) score += double{q.at(o, h, i, d)} * k.at(o, h, j, d);
        weight[j] = causal && j > i ? 0.0 : std::exp(0.3 * score + (masked ? mask.at(o, h, i, j) : 0.0));
        total += weight[j];
      }
      for (std::int64_t c = 0; c < width; ++c) {
        double sum = 0.0;
        for (std::int64_t j = 0; j < n; ++j) sum += weight[j] / total * v.at(o, h, j, c);
        wanted.push_back(static_cast<float>(sum));
      }
    }
  }
  const std::string name = named(level, "attention of tokens ") + std::to_string(m) + ", " + std::to_string(n);
  const auto found = same_for_all_threads<float>(wanted.size(), name, [&](std::vector<float>& out, int threads) {
    const TokenAttention p{outer,  inner,  m,     n,     depth,      width, q.view, k.view,
                           v.view, masked ? mask.view : Matrices{}, causal, 0.3f,  out.data(), threads};
    const Lent lent(level.table->token_attention_scratch(p));
    level.table->token_attention(p, lent.get());
    return true;
  });
  expect_close(found, wanted, name);
}

void rows(const Dense& level, std::int64_t width, Random& random) {
  const std::int64_t count = 7;
  const auto x = random.numbers(count * width), weight = random.numbers(width), bias = random.numbers(width);
  for (int kind = 0; kind < 3; ++kind) {  // softmax, a norm with everything, a norm with nothing
    std::vector<float> wanted;
    for (std::int64_t row = 0; row < count; ++row) {
      const float* line = x.data() + row * width;
      double mean = 0.0, square = 0.0, total = 0.0;
      for (std::int64_t i = 0; i < width; ++i) mean += kind == 1 ? double{line[i]} / width : 0.0;
      for (std::int64_t i = 0; i < width; ++i) {
        square += (line[i] - mean) * (line[i] - mean) / width;
        total += std::exp(double{line[i]});
      }
      for (std::int64_t i = 0; i < width; ++i) {
        const double normed = (line[i] - mean) / std::sqrt(square + 1e-5);
        wanted.push_back(static_cast<float>(kind == 0   ? std::exp(double{line[i]}) / total
                                            : kind == 1 ? normed * weight[i] + bias[i]
                                                        : normed));
      }
    }
    const std::string name = named(level, kind == 0 ? "softmax " : "norm ") + std::to_string(width);
    const auto found = same_for_all_threads<float>(wanted.size(), name, [&](std::vector<float>& out, int threads) {
      const Rows p{count,           width, x.data(), kind == 1 ? weight.data() : nullptr, kind == 1 ? bias.data() : nullptr,
                   1e-5f, kind == 1, out.data(), threads};
      kind == 0 ? level.table->softmax(p) : level.table->normalize(p);
      return true;
    });
    expect_close(found, wanted, name);
  }
}

void reduce(const Dense& level, std::int64_t length, std::int64_t inner, Random& random) {
  const std::int64_t outer = 5;
  const auto x = random.numbers(outer * length * inner);
  for (Reduction kind : {Reduction::sum, Reduction::mean, Reduction::largest}) {
    std::vector<float> wanted;
    for (std::int64_t i = 0; i < outer; ++i)
      for (std::int64_t k = 0; k < inner; ++k) {
        double sum = 0.0, most = -kInf;
        for (std::int64_t j = 0; j < length; ++j) {
          const double value = x[(i * length + j) * inner + k];
          sum += value;
          most = std::max(most, value);
        }
        const double mean = sum / static_cast<double>(length);
        wanted.push_back(static_cast<float>(kind == Reduction::sum ? sum : kind == Reduction::mean ? mean : most));
      }
    const std::string name = named(level, "reduction of ") + std::to_string(length) + " x " + std::to_string(inner);
    const auto found = same_for_all_threads<float>(wanted.size(), name, [&](std::vector<float>& out, int threads) {
      level.table->reduce({outer, length, inner, kind, x.data(), out.data(), threads});
      return true;
    });
    expect_close(found, wanted, name);
  }
}

void pool(const Dense& level, bool mean, bool padded, Random& random) {
  Pool p{};
  p.planes = 3;
  const std::int64_t size[2] = {9, 21}, kernel[2] = {3, 2}, stride[2] = {2, 1}, padding[2] = {1, 1};
  for (int axis = 0; axis < 2; ++axis) {
    p.size[axis] = size[axis];
    p.kernel[axis] = kernel[axis];
    p.stride[axis] = stride[axis];
    p.padding[axis] = padding[axis];
    p.out_size[axis] = (size[axis] + 2 * padding[axis] - kernel[axis]) / stride[axis] + 1;
  }
  p.mean = mean;
  p.padded = padded;
  const auto x = random.numbers(p.planes * size[0] * size[1]);
  p.x = x.data();
  std::vector<float> wanted;
  for (std::int64_t plane = 0; plane < p.planes; ++plane)
    for (std::int64_t row = 0; row < p.out_size[0]; ++row)
      for (std::int64_t column = 0; column < p.out_size[1]; ++column) {
        double sum = 0.0, most = -kInf;
        std::int64_t inside = 0;
        for (std::int64_t tap = 0; tap < kernel[0] * kernel[1]; ++tap) {
          const std::int64_t r = row * stride[0] - padding[0] + tap / kernel[1];
          const std::int64_t c = column * stride[1] - padding[1] + tap % kernel[1];
          if (r < 0 || c < 0 || r >= size[0] || c >= size[1]) continue;
          const double value = x[(plane * size[0] + r) * size[1] + c];
          sum += value;
          most = std::max(most, value);
          ++inside;
        }
        const std::int64_t count = padded ? kernel[0] * kernel[1] : inside;
        wanted.push_back(static_cast<float>(mean ? sum / static_cast<double>(count) : most));
      }
  const std::string name = named(level, mean ? "mean of a window" : "largest of a window");
  const auto found = same_for_all_threads<float>(wanted.size(), name, [&](std::vector<float>& out, int threads) {
    p.out = out.data();
    p.threads = threads;
    level.table->pool(p);
    return true;
  });
  expect_close(found, wanted, name);
}

// Turns (2, 19, 5) into (5, 19, 2), whose last axis has a gap in memory.
template <class Number>
void copy(const Dense& level, int width) {
  const std::int64_t size[3] = {5, 19, 2}, from_stride[3] = {1, 5, 95}, to_stride[3] = {57, 3, 1};
  std::vector<Number> from(190);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<Number>(i + 1);
  std::vector<Number> wanted(285, 0);
  for (std::int64_t i = 0; i < 5; ++i)
    for (std::int64_t j = 0; j < 19; ++j)
      for (std::int64_t k = 0; k < 2; ++k) wanted[i * 57 + j * 3 + k] = from[i + j * 5 + k * 95];
  const std::string name = named(level, "copy of numbers of ") + std::to_string(width) + " bytes";
  const auto found = same_for_all_threads<Number>(wanted.size(), name, [&](std::vector<Number>& out, int threads) {
    Copy p{};
    p.axes = 3;
    std::copy(size, size + 3, p.size);
    std::copy(from_stride, from_stride + 3, p.from_stride);
    std::copy(to_stride, to_stride + 3, p.to_stride);
    p.width = width;
    p.from = from.data();
    p.to = out.data();
    p.threads = threads;
    level.table->copy(p);
    return true;
  });
  expect(found == wanted, name);
}

}  // namespace

void test_dense() {
  Random random(6);
  for (const Dense& level : levels_of_dense_table()) {
    for (std::int64_t width : {1, 16, 37, 700}) pointwise(level, width, 1, random);
    pointwise(level, 37, 3, random);
    pointwise(level, 20000, 1, random);  // worth several threads
    for (bool turned : {false, true}) {
      matmul(level, 1, 7, 1, turned, random);
      matmul(level, 13, 5, 33, turned, random);
      matmul(level, 40, 67, 48, turned, random);
      matmul(level, 3, 0, 5, turned, random);
    }
    for (bool masked : {false, true}) {
      attention(level, 1, 1, masked, false, random);
      attention(level, 21, 34, masked, false, random);
      attention(level, 40, 40, masked, true, random);
    }
    for (std::int64_t width : {1, 16, 45, 5000}) rows(level, width, random);
    for (std::int64_t length : {1, 18, 4000})
      for (std::int64_t inner : {1, 21}) reduce(level, length, inner, random);
    pool(level, false, false, random);
    pool(level, true, false, random);
    pool(level, true, true, random);
    copy<std::int32_t>(level, 4);
    copy<std::int64_t>(level, 8);
  }
}

}  // namespace gossamer::tests

// Softmax and norms of rows, reductions of an axis, pooling, and copies with strides.
#include "row_softmax.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr std::int64_t kWorthThreads = 16384;  // numbers from which on other threads are woken

// Runs `body(i)` for all items, on several threads where there is enough to do.
template <class Body>
void share(std::int64_t items, std::int64_t each, int threads, Body body) {
#pragma omp parallel num_threads(threads) if (threads > 1 && items * each >= kWorthThreads)
  {
    const FlushSubnormals flush;
#pragma omp for schedule(static)
    for (std::int64_t i = 0; i < items; ++i) body(i);
  }
}

float sum_of(const float* x, std::int64_t count) {
  vec<kLanes> sum = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) sum += load<kLanes>(x + i);
  float total = lane_sum<kLanes>(sum);
  for (; i < count; ++i) total += x[i];
  return total;
}

float squares_of(const float* x, std::int64_t count, float mean) {
  vec<kLanes> sum = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const vec<kLanes> away = load<kLanes>(x + i) - mean;
    sum += away * away;
  }
  float total = lane_sum<kLanes>(sum);
  for (; i < count; ++i) total += (x[i] - mean) * (x[i] - mean);
  return total;
}

void normalize_row(const Rows& p, const float* x, float* out) {
  const float width = static_cast<float>(p.width), mean = p.centred ? sum_of(x, p.width) / width : 0.0f;
  const float scale = 1.0f / __builtin_sqrtf(squares_of(x, p.width, mean) / width + p.epsilon);
  for (std::int64_t i = 0; i < p.width; ++i) {
    const float value = (x[i] - mean) * scale;
    const float weighed = p.weight == nullptr ? value : value * p.weight[i];
    out[i] = p.bias == nullptr ? weighed : weighed + p.bias[i];
  }
}

float larger_of(float a, float b) { return a > b || a != a ? a : b; }

template <class Step>
void reduce_inner(const Reduce& p, const float* x, float* out, Step step) {
  for (std::int64_t k = 0; k < p.inner; ++k) out[k] = x[k];
  for (std::int64_t j = 1; j < p.length; ++j)
    for (std::int64_t k = 0; k < p.inner; ++k) out[k] = step(out[k], x[j * p.inner + k]);
}

void reduce_row(const Reduce& p, const float* x, float* out) {
  const float factor = p.kind == Reduction::mean ? 1.0f / static_cast<float>(p.length) : 1.0f;
  if (p.kind == Reduction::largest) return reduce_inner(p, x, out, larger_of);
  if (p.inner == 1) {
    *out = sum_of(x, p.length) * factor;
    return;
  }
  reduce_inner(p, x, out, [](float a, float b) { return a + b; });
  for (std::int64_t k = 0; k < p.inner && factor != 1.0f; ++k) out[k] *= factor;
}

// acc[c] joins x[c * stride] for `count` results.
template <class Join>
GOSSAMER_INLINE void join_tap(const float* x, std::int64_t stride, float* acc, std::int64_t count, Join join) {
  if (stride == 1) {
    for (std::int64_t c = 0; c < count; ++c) acc[c] = join(acc[c], x[c]);
  } else if (stride == 2) {
    for (std::int64_t c = 0; c < count; ++c) acc[c] = join(acc[c], x[2 * c]);
  } else {
    for (std::int64_t c = 0; c < count; ++c) acc[c] = join(acc[c], x[c * stride]);
  }
}

// One row of results, tap by tap, so that nothing branches on the numbers or tests for the border.
template <class Join>
GOSSAMER_INLINE void pool_row(const Pool& p, const float* x, std::int64_t y, float* out, Join join) {
  const std::int64_t top = y * p.stride[0] - p.padding[0], stride = p.stride[1], width = p.size[1];
  const std::int64_t from = larger<std::int64_t>(top, 0), until = smaller(top + p.kernel[0], p.size[0]);
  for (std::int64_t i = from; i < until; ++i)
    for (std::int64_t j = 0; j < p.kernel[1]; ++j) {
      const std::int64_t shift = j - p.padding[1];  // of the column that the first result reads
      const std::int64_t first = shift >= 0 ? 0 : ceil_div(-shift, stride);
      const std::int64_t last = shift >= width ? 0 : smaller((width - 1 - shift) / stride + 1, p.out_size[1]);
      if (first < last) join_tap(x + i * width + shift + first * stride, stride, out + first, last - first, join);
    }
}

void pool_plane(const Pool& p, const float* x, float* out) {
  for (std::int64_t y = 0; y < p.out_size[0]; ++y, out += p.out_size[1]) {
    for (std::int64_t c = 0; c < p.out_size[1]; ++c) out[c] = p.mean ? 0.0f : -__builtin_inff();
    if (!p.mean) {
      pool_row(p, x, y, out, [](float found, float value) { return larger_of(value, found); });
      continue;
    }
    pool_row(p, x, y, out, [](float found, float value) { return found + value; });
    // a window may reach beyond the padding where sizes are rounded up; what lies there never counts
    const auto reach = [&](int axis, std::int64_t place) {
      const std::int64_t start = place * p.stride[axis] - p.padding[axis], end = start + p.kernel[axis];
      if (p.padded) return smaller(end, p.size[axis] + p.padding[axis]) - start;
      return smaller(end, p.size[axis]) - larger<std::int64_t>(start, 0);
    };
    const std::int64_t high = reach(0, y);
    for (std::int64_t c = 0; c < p.out_size[1]; ++c) out[c] /= static_cast<float>(high * reach(1, c));
  }
}

template <class Number>
void copy_row(const Number* from, std::int64_t from_stride, Number* to, std::int64_t to_stride, std::int64_t count) {
  if (from_stride == 1 && to_stride == 1) {
    __builtin_memcpy(to, from, count * sizeof(Number));
  } else {
    for (std::int64_t i = 0; i < count; ++i) to[i * to_stride] = from[i * from_stride];
  }
}

template <class Number>
void copy_all(const Copy& p) {
  const auto along = [&](const std::int64_t* some, int from_end, std::int64_t none) {
    return p.axes < from_end ? none : some[p.axes - from_end];
  };
  const std::int64_t width = along(p.size, 1, 1), from_step = along(p.from_stride, 1, 1), to_step = along(p.to_stride, 1, 1);
  const std::int64_t rows = along(p.size, 2, 1), from_row = along(p.from_stride, 2, 0), to_row = along(p.to_stride, 2, 0);
  std::int64_t items = 1;
  for (int axis = 0; axis + 2 < p.axes; ++axis) items *= p.size[axis];
  share(items, rows * width, p.threads, [&](std::int64_t item) {
    const auto* from = static_cast<const Number*>(p.from);
    auto* to = static_cast<Number*>(p.to);
    for (int axis = p.axes - 3; axis >= 0; --axis) {
      from += item % p.size[axis] * p.from_stride[axis];
      to += item % p.size[axis] * p.to_stride[axis];
      item /= p.size[axis];
    }
    for (std::int64_t row = 0; row < rows; ++row) copy_row(from + row * from_row, from_step, to + row * to_row, to_step, width);
  });
}

// The copy with axes joined where both sides allow it.
Copy joined(const Copy& p) {
  Copy j = p;
  j.axes = 0;
  for (int axis = 0; axis < p.axes; ++axis) {
    if (p.size[axis] == 1) continue;
    const bool join = j.axes > 0 && j.from_stride[j.axes - 1] == p.from_stride[axis] * p.size[axis] &&
                      j.to_stride[j.axes - 1] == p.to_stride[axis] * p.size[axis];
    const int at = join ? j.axes - 1 : j.axes++;
    j.size[at] = join ? j.size[at] * p.size[axis] : p.size[axis];
    j.from_stride[at] = p.from_stride[axis];
    j.to_stride[at] = p.to_stride[axis];
  }
  return j;
}

}  // namespace

void softmax(const Rows& p) {
  share(p.rows, p.width, p.threads, [&](std::int64_t i) { softmax_row(p.x + i * p.width, p.width, p.out + i * p.width); });
}

void normalize(const Rows& p) {
  share(p.rows, p.width, p.threads,
        [&](std::int64_t i) { normalize_row(p, p.x + i * p.width, p.out + i * p.width); });
}

void reduce(const Reduce& p) {
  share(p.outer, p.length * p.inner, p.threads,
        [&](std::int64_t i) { reduce_row(p, p.x + i * p.length * p.inner, p.out + i * p.inner); });
}

void pool(const Pool& p) {
  const std::int64_t area = p.size[0] * p.size[1], out_area = p.out_size[0] * p.out_size[1];
  share(p.planes, area, p.threads, [&](std::int64_t i) { pool_plane(p, p.x + i * area, p.out + i * out_area); });
}

void copy(const Copy& given) {
  for (int axis = 0; axis < given.axes; ++axis)
    if (given.size[axis] == 0) return;
  const Copy p = joined(given);
  if (p.width == 1) return copy_all<std::uint8_t>(p);
  p.width == 4 ? copy_all<std::uint32_t>(p) : copy_all<std::uint64_t>(p);
}

}  // namespace gossamer::GOSSAMER_ISA

// Dot products of each node's heads with a few vectors that all nodes share, and their gradients: the scores of additive
// attention, a pass over the nodes that ends in a handful of numbers each.
//
// The vectors' gradient is a sum over all nodes. Pieces of nodes, whose size does not depend on the number of threads, sum
// into scratch of their own; the sums are added in the order of the pieces.
#include "heads.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr std::int64_t kNodes = 2048;  // a piece

// Adds what node `n` gives to the sums of its piece, and makes its own gradient, `W` columns of one head at a time.
template <int W>
GOSSAMER_INLINE void back_columns(const HeadDotsBack& a, std::int64_t n, std::int64_t head, std::int64_t from,
                                  std::int64_t to, float* sums) {
  const std::int64_t width = a.heads * a.features;
  for (std::int64_t f = from; f + W <= to; f += W) {
    const std::int64_t place = head * a.features + f;
    const vec<W> x = load<W>(a.x + n * width + place);
    vec<W> x_grad{};
    for (std::int64_t k = 0; k < a.count; ++k) {
      const float grad = a.grad[(k * a.nodes + n) * a.heads + head];
      x_grad += grad * load<W>(a.vectors + k * width + place);
      store<W>(sums + k * width + place, load<W>(sums + k * width + place) + grad * x);
    }
    store<W>(a.x_grad + n * width + place, x_grad);
  }
}

}  // namespace

void head_dots(const HeadDots& a) {
  const std::int64_t width = a.heads * a.features;
#pragma omp parallel num_threads(a.threads) if (a.threads > 1 && a.nodes > kNodes)
  {
    const FlushSubnormals flush;
#pragma omp for schedule(static, kNodes)
    for (std::int64_t n = 0; n < a.nodes; ++n)
      for (std::int64_t k = 0; k < a.count; ++k)
        for (std::int64_t h = 0; h < a.heads; ++h)
          a.out[(k * a.nodes + n) * a.heads + h] =
              dot(a.x + n * width + h * a.features, a.vectors + k * width + h * a.features, a.features);
  }
}

std::size_t head_dots_back_scratch(const HeadDotsBack& a) {
  return static_cast<std::size_t>(ceil_div(a.nodes, kNodes) * a.count * a.heads * a.features);
}

void head_dots_back(const HeadDotsBack& a, float* scratch) {
  const std::int64_t size = a.count * a.heads * a.features, pieces = ceil_div(a.nodes, kNodes);
  const std::int64_t whole = a.features / kLanes * kLanes;
#pragma omp parallel num_threads(a.threads) if (a.threads > 1 && pieces > 1)
  {
    const FlushSubnormals flush;
#pragma omp for schedule(static)
    for (std::int64_t i = 0; i < pieces; ++i) {
      float* sums = scratch + i * size;
      for (std::int64_t k = 0; k < size; ++k) sums[k] = 0.0f;
      for (std::int64_t n = i * kNodes; n < smaller((i + 1) * kNodes, a.nodes); ++n)
        for (std::int64_t h = 0; h < a.heads; ++h) {
          back_columns<kLanes>(a, n, h, 0, whole, sums);
          back_columns<1>(a, n, h, whole, a.features, sums);
        }
    }
  }
  const FlushSubnormals flush;
  for (std::int64_t k = 0; k < size; ++k) a.vectors_grad[k] = 0.0f;
  for (std::int64_t i = 0; i < pieces; ++i)
    for (std::int64_t k = 0; k < size; ++k) a.vectors_grad[k] += scratch[i * size + k];
}

}  // namespace gossamer::GOSSAMER_ISA

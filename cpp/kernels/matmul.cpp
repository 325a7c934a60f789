// Products of two batches of matrices, both activations. Each panel of the right one is laid out once and meets all rows
// of the left one; panels are dealt out to threads.
#include "matrix_tile.hpp"

namespace gossamer::GOSSAMER_ISA {

std::size_t matmul_scratch(const MatMul& p) { return static_cast<std::size_t>(p.threads * p.k * kPanel); }

void matmul(const MatMul& p, float* scratch) {
  const std::int64_t panels = ceil_div(p.n, kPanel), items = p.outer * p.inner * panels;
  const int threads = static_cast<int>(larger<std::int64_t>(smaller<std::int64_t>(p.threads, items), 1));
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && items * p.m * p.k * kPanel > 131072)
  for (int t = 0; t < threads; ++t) {
    const FlushSubnormals flush;
    float* panel = scratch + t * p.k * kPanel;
    for (std::int64_t item = t * items / threads; item < (t + 1) * items / threads; ++item) {
      const std::int64_t which = item / panels, from = item % panels * kPanel;
      const float* a = matrix(p.a, which, p.inner);
      lay_out_panel(matrix(p.b, which, p.inner), p.b.row, p.b.column, p.k, p.n, from, panel);
      for (std::int64_t i = 0; i < p.m; i += kTileRows)
        tile_rows<kTileRows>(p.m - i, a + i * p.a.row, p.a.row, p.a.column, panel, p.k, p.scale,
                             p.out + (which * p.m + i) * p.n + from, p.n, smaller(kPanel, p.n - from));
    }
  }
}

}  // namespace gossamer::GOSSAMER_ISA

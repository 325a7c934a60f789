// out = x y for small dense matrices, by the order in which a product runs over them: Gurevin et al., "Towards real-time
// temporal graph learning", ICCD 2022.
//
//   inner     out[i, j] = x[i, :] . y[:, j]            vectors lie along k; every result costs a sum of lanes
//   outer     out += x[:, k] y[k, :]                   vectors lie along j; k is cut into pieces with sums of their own
//   row       out[i, :] += x[i, k] y[k, :]             vectors lie along j, results stay in registers
//   column    out[:, j] += x[:, k] y[k, j]             vectors lie along i, results stay in registers
//
// Threads share blocks of rows (of columns' vectors, for `column`); `outer` shares the pieces of k, whose size does not
// depend on the number of threads, and adds their sums in order. What a flow reads along its vectors is copied side by
// side first where it lies otherwise, so that transposed operands are as good as others. Every result is
// the sum over k in ascending order within a lane, a piece or an accumulator.
#include "flows.hpp"

#include "transpose_tile.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

using std::int64_t;

constexpr int64_t kWork = 1 << 17;    // multiply-adds from which on threads pay
constexpr int64_t kPiece = 256;       // of k, in the outer flow
constexpr int kRank = 8;              // columns of x that are added at a time there
constexpr int kDots = 4;              // rows, and columns, of a tile of dot products
constexpr int64_t kTurn = 256;        // rows that are turned at a time, so that they stay in cache

bool many(const FlowProduct& p) { return p.threads > 1 && p.rows * p.inner * p.columns > kWork; }

// Calls body(n) for each n below `count`, on threads where they pay. Apart from those there is no parallel region at all:
// entering one takes longer than a small product.
template <class Body>
GOSSAMER_INLINE void each(const FlowProduct& p, int64_t count, const Body& body) {
  if (!many(p)) {
    const FlushSubnormals flush;
    for (int64_t n = 0; n < count; ++n) body(n);
    return;
  }
#pragma omp parallel num_threads(p.threads)
  {
    const FlushSubnormals flush;
#pragma omp for schedule(static)
    for (int64_t n = 0; n < count; ++n) body(n);
  }
}

int64_t padded(int64_t count) { return ceil_div(count, kLanes) * kLanes; }

// to[r, c] = from[r * row + c * column], `rows` x `columns`, zeros up to `stride`.
void copy(float* to, int64_t stride, const float* from, int64_t row, int64_t column, int64_t rows, int64_t columns) {
  if (row == 1 && column != 1) {
    for (int64_t c = 0; c < columns; c += kTurn)
      transpose(to + c, stride, from + c * column, column, smaller(kTurn, columns - c), rows);
  } else {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c) to[r * stride + c] = from[r * row + c * column];
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = columns; c < stride; ++c) to[r * stride + c] = 0.0f;
}

// What becomes of a sum at (i, j), `W` columns of it.
template <int W>
GOSSAMER_INLINE void finish(const FlowProduct& p, int64_t i, int64_t j, vec<W> sum) {
  if (p.bias) sum += load<W>(p.bias + j);
  if (p.relu) sum = rectified<W>(sum);
  if (p.gate) {
    const vec<W> zero{}, gate = load<W>(p.gate + i * p.columns + j);
    sum = gate > zero ? sum : zero;
  }
  store<W>(p.out + i * p.columns + j, sum);
}

// The same for `count` columns, at most kLanes, that lie at `sums`.
GOSSAMER_INLINE void finish_some(const FlowProduct& p, int64_t i, int64_t j, const float* sums, int64_t count) {
  if (count >= kLanes) return finish<kLanes>(p, i, j, load<kLanes>(sums));
  for (int64_t c = 0; c < count; ++c) finish<1>(p, i, j + c, sums[c]);
}

// ---- row: tiles of R rows and P vectors of columns.

constexpr int kPanel = 2;  // vectors of columns of a panel of y
constexpr int kRows = kRegisters == 32 ? 12 : 4;

template <int R, int P>
void row_tile(const FlowProduct& p, const float* panel, int64_t i, int64_t j) {
  const float* x = p.x + i * p.x_row;
  vec<kLanes> sums[R][P] = {};
  for (int64_t k = 0; k < p.inner; ++k) {
    vec<kLanes> y[P];
    GOSSAMER_UNROLL
    for (int v = 0; v < P; ++v) y[v] = load<kLanes>(panel + (k * P + v) * kLanes);
    GOSSAMER_UNROLL
    for (int r = 0; r < R; ++r) {
      const float value = x[r * p.x_row + k * p.x_column];
      GOSSAMER_UNROLL
      for (int v = 0; v < P; ++v) sums[r][v] += value * y[v];
    }
  }
  GOSSAMER_UNROLL
  for (int r = 0; r < R; ++r)
    GOSSAMER_UNROLL
    for (int v = 0; v < P; ++v) {
      const int64_t from = j + v * kLanes;
      if (from + kLanes <= p.columns) {
        finish<kLanes>(p, i + r, from, sums[r][v]);
      } else if (from < p.columns) {
        float some[kLanes];
        store<kLanes>(some, sums[r][v]);
        finish_some(p, i + r, from, some, p.columns - from);
      }
    }
}

template <int R, int P>
void row_tiles(int64_t count, const FlowProduct& p, const float* panel, int64_t i, int64_t j) {
  if (count >= R) return row_tile<R, P>(p, panel, i, j);
  if constexpr (R > 1) {
    constexpr int less = R == 12 ? 8 : R / 2;
    row_tiles<less, P>(count, p, panel, i, j);
    if (count > less) row_tiles<less, P>(count - less, p, panel, i + less, j);
  }
}

std::size_t row_scratch(const FlowProduct& p) {
  return static_cast<std::size_t>(padded(p.columns) * larger<int64_t>(p.inner, 1));
}

void row(const FlowProduct& p, float* scratch) {
  // The last panel holds one vector where one is left.
  const int64_t wide = kPanel * kLanes, panels = ceil_div(p.columns, wide), blocks = ceil_div(p.rows, kRows);
  each(p, panels, [&](int64_t n) {
    const int64_t left = p.columns - n * wide;
    copy(scratch + n * wide * p.inner, left > kLanes ? wide : kLanes, p.y + n * wide * p.y_column, p.y_row, p.y_column,
         p.inner, smaller(left, wide));
  });
  each(p, blocks, [&](int64_t b) {
    const int64_t i = b * kRows, count = smaller<int64_t>(kRows, p.rows - i);
    for (int64_t n = 0; n < panels; ++n) {
      const float* panel = scratch + n * wide * p.inner;
      if (p.columns - n * wide > kLanes)
        row_tiles<kRows, 2>(count, p, panel, i, n * wide);
      else
        row_tiles<kRows, 1>(count, p, panel, i, n * wide);
    }
  });
}

// ---- column: tiles of V vectors of rows and C columns. Rows are copied side by side, a block at a time.

constexpr int kTall = 2;  // vectors of rows of a block
constexpr int kWide = kRegisters == 32 ? 12 : 4;

// Writes a tile of C columns, each kTall vectors tall. Apart from the sums, so that those stay in registers.
template <int C>
__attribute__((noinline)) void write_columns(const FlowProduct& p, const float* by_column, int64_t i, int64_t rows,
                                             int64_t j) {
  constexpr int W = C % 4 == 0 ? 4 : 1;
  alignas(64) float by_row[kTall * kLanes * C];
  transpose(by_row, C, by_column, kTall * kLanes, C, kTall * kLanes);
  for (int64_t r = 0; r < rows; ++r)
    for (int c = 0; c < C; c += W) finish<W>(p, i + r, j + c, load<W>(by_row + r * C + c));
}

template <int V, int C>
void column_tile(const FlowProduct& p, const float* x, int64_t stride, int64_t i, int64_t rows, int64_t j) {
  const float* y = p.y + j * p.y_column;
  vec<kLanes> sums[C][V] = {};
  for (int64_t k = 0; k < p.inner; ++k) {
    vec<kLanes> values[V];
    GOSSAMER_UNROLL
    for (int v = 0; v < V; ++v) values[v] = load<kLanes>(x + k * stride + v * kLanes);
    GOSSAMER_UNROLL
    for (int c = 0; c < C; ++c) {
      const float value = y[k * p.y_row + c * p.y_column];
      GOSSAMER_UNROLL
      for (int v = 0; v < V; ++v) sums[c][v] += value * values[v];
    }
  }
  alignas(64) float by_column[C * V * kLanes];
  GOSSAMER_UNROLL
  for (int c = 0; c < C; ++c)
    GOSSAMER_UNROLL
    for (int v = 0; v < V; ++v) store<kLanes>(by_column + (c * V + v) * kLanes, sums[c][v]);
  write_columns<C>(p, by_column, i, rows, j);
}

template <int V, int C>
void column_tiles(const FlowProduct& p, const float* x, int64_t stride, int64_t i, int64_t rows, int64_t j) {
  for (; j + C <= p.columns; j += C) column_tile<V, C>(p, x, stride, i, rows, j);
  if constexpr (C > 1) {
    if (j < p.columns) column_tiles<V, C == 12 ? 4 : 1>(p, x, stride, i, rows, j);
  }
}

std::size_t column_scratch(const FlowProduct& p) {
  return static_cast<std::size_t>(ceil_div(p.rows, kTall * kLanes) * kTall * kLanes * larger<int64_t>(p.inner, 1));
}

void column(const FlowProduct& p, float* scratch) {
  const int64_t tall = kTall * kLanes, blocks = ceil_div(p.rows, tall);
  each(p, blocks, [&](int64_t b) {
    const int64_t i = b * tall, rows = smaller(tall, p.rows - i);
    const float* x = p.x + i * p.x_row;
    int64_t stride = p.x_column;
    if (p.x_row != 1 || rows < tall) {
      float* own = scratch + i * p.inner;
      copy(own, tall, x, p.x_column, p.x_row, p.inner, rows);
      x = own;
      stride = tall;
    }
    column_tiles<kTall, kWide>(p, x, stride, i, rows, 0);
  });
}

// ---- inner: tiles of dot products.

// The sum of the lanes of each of N vectors: as many at once as there are lanes, by a transposition.
template <int N>
GOSSAMER_INLINE void sum_lanes(const vec<kLanes>* sums, float* out) {
  if constexpr (N % kLanes == 0) {
    for (int n = 0; n < N; n += kLanes) {
      alignas(64) float square[kLanes * kLanes];
      GOSSAMER_UNROLL
      for (int i = 0; i < kLanes; ++i) store<kLanes>(square + i * kLanes, sums[n + i]);
      transpose_square<kLanes>(square, kLanes, square, kLanes);
      vec<kLanes> total{};
      GOSSAMER_UNROLL
      for (int i = 0; i < kLanes; ++i) total += load<kLanes>(square + i * kLanes);
      store<kLanes>(out + n, total);
    }
  } else {
    for (int n = 0; n < N; ++n) out[n] = lane_sum<kLanes>(sums[n]);
  }
}

template <int R, int C>
void inner_tile(const FlowProduct& p, const float* x, int64_t x_row, const float* y, int64_t y_row, int64_t i,
                int64_t j) {
  vec<kLanes> sums[R][C] = {};
  const int64_t whole = p.inner / kLanes * kLanes;
  for (int64_t k = 0; k < whole; k += kLanes) {
    vec<kLanes> right[C];
    GOSSAMER_UNROLL
    for (int c = 0; c < C; ++c) right[c] = load<kLanes>(y + c * y_row + k);
    GOSSAMER_UNROLL
    for (int r = 0; r < R; ++r) {
      const vec<kLanes> left = load<kLanes>(x + r * x_row + k);
      GOSSAMER_UNROLL
      for (int c = 0; c < C; ++c) sums[r][c] += left * right[c];
    }
  }
  float dots[R * C];
  sum_lanes<R * C>(&sums[0][0], dots);
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) {
      float sum = dots[r * C + c];
      for (int64_t k = whole; k < p.inner; ++k) sum += x[r * x_row + k] * y[c * y_row + k];
      finish<1>(p, i + r, j + c, sum);
    }
}

template <int R>
void inner_row(const FlowProduct& p, const float* x, int64_t x_row, const float* y, int64_t y_row, int64_t i) {
  int64_t j = 0;
  for (; j + kDots <= p.columns; j += kDots) inner_tile<R, kDots>(p, x, x_row, y + j * y_row, y_row, i, j);
  for (; j < p.columns; ++j) inner_tile<R, 1>(p, x, x_row, y + j * y_row, y_row, i, j);
}

std::size_t inner_scratch(const FlowProduct& p) {
  return static_cast<std::size_t>((p.x_column == 1 ? 0 : p.rows * p.inner) +
                                  (p.y_row == 1 ? 0 : p.columns * p.inner));
}

void inner(const FlowProduct& p, float* scratch) {
  const float* x = p.x;
  const float* y = p.y;
  int64_t x_row = p.x_row, y_row = p.y_column;
  const bool turn_x = p.x_column != 1, turn_y = p.y_row != 1;
  if (turn_x) x = scratch, x_row = p.inner;
  if (turn_y) y = scratch + (turn_x ? p.rows * p.inner : 0), y_row = p.inner;
  const int64_t blocks = ceil_div(p.rows, kDots), turned = turn_y ? ceil_div(p.columns, kDots) : 0;
  each(p, turned, [&](int64_t b) {
    const int64_t j = b * kDots;
    copy(const_cast<float*>(y) + j * p.inner, p.inner, p.y + j * p.y_column, p.y_column, p.y_row,
         smaller<int64_t>(kDots, p.columns - j), p.inner);
  });
  each(p, blocks, [&](int64_t b) {
    const int64_t i = b * kDots, count = smaller<int64_t>(kDots, p.rows - i);
    if (turn_x)
      copy(const_cast<float*>(x) + i * p.inner, p.inner, p.x + i * p.x_row, p.x_row, p.x_column, count, p.inner);
    if (count == kDots) {
      inner_row<kDots>(p, x + i * x_row, x_row, y, y_row, i);
    } else {
      for (int64_t r = i; r < i + count; ++r) inner_row<1>(p, x + r * x_row, x_row, y, y_row, r);
    }
  });
}

// ---- outer: sums of rank `kRank`, in memory, one set a piece of k.

// sums[0:rows, 0:stride] += x[:, 0:N] y[0:N, :] for a row-major y.
template <int N, int P>
GOSSAMER_INLINE void add_rank(const FlowProduct& p, const float* x, const float* y, int64_t stride, int64_t j,
                              float* sums) {
  vec<kLanes> values[N][P];
  GOSSAMER_UNROLL
  for (int n = 0; n < N; ++n)
    GOSSAMER_UNROLL
    for (int v = 0; v < P; ++v) values[n][v] = load<kLanes>(y + n * stride + j + v * kLanes);
  for (int64_t i = 0; i < p.rows; ++i) {
    float* to = sums + i * stride + j;
    vec<kLanes> sum[P];
    GOSSAMER_UNROLL
    for (int v = 0; v < P; ++v) sum[v] = load<kLanes>(to + v * kLanes);
    GOSSAMER_UNROLL
    for (int n = 0; n < N; ++n) {
      const float value = x[i * p.x_row + n * p.x_column];
      GOSSAMER_UNROLL
      for (int v = 0; v < P; ++v) sum[v] += value * values[n][v];
    }
    GOSSAMER_UNROLL
    for (int v = 0; v < P; ++v) store<kLanes>(to + v * kLanes, sum[v]);
  }
}

template <int N>
void add_ranks(const FlowProduct& p, const float* x, const float* y, int64_t stride, float* sums) {
  int64_t j = 0;
  for (; j + 2 * kLanes <= stride; j += 2 * kLanes) add_rank<N, 2>(p, x, y, stride, j, sums);
  if (j < stride) add_rank<N, 1>(p, x, y, stride, j, sums);
}

int64_t outer_pieces(const FlowProduct& p) { return larger<int64_t>(ceil_div(p.inner, kPiece), 1); }

std::size_t outer_scratch(const FlowProduct& p) {
  const int64_t stride = padded(p.columns), pieces = outer_pieces(p);
  return static_cast<std::size_t>(pieces * (p.rows + kPiece) * stride);
}

void outer(const FlowProduct& p, float* scratch) {
  const int64_t stride = padded(p.columns), pieces = outer_pieces(p);
  each(p, pieces, [&](int64_t piece) {
    float* sums = scratch + piece * (p.rows + kPiece) * stride;
    float* own = sums + p.rows * stride;
    const int64_t first = piece * kPiece, last = smaller(first + kPiece, p.inner);
    for (int64_t n = 0; n < p.rows * stride; ++n) sums[n] = 0.0f;
    const float* y = p.y + first * p.y_row;
    int64_t y_row = p.y_row;
    if (p.y_column != 1 || p.columns < stride || p.y_row != stride) {
      copy(own, stride, y, p.y_row, p.y_column, last - first, p.columns);
      y = own;
      y_row = stride;
    }
    const float* x = p.x + first * p.x_column;
    int64_t k = first;
    for (; k + kRank <= last; k += kRank, x += kRank * p.x_column, y += kRank * y_row)
      add_ranks<kRank>(p, x, y, stride, sums);
    for (; k < last; ++k, x += p.x_column, y += y_row) add_ranks<1>(p, x, y, stride, sums);
  });
  each(p, p.rows, [&](int64_t i) {
    for (int64_t j = 0; j < p.columns; j += kLanes) {
      float* sums = scratch + i * stride + j;
      for (int64_t piece = 1; piece < pieces; ++piece)
        store<kLanes>(sums, load<kLanes>(sums) + load<kLanes>(sums + piece * (p.rows + kPiece) * stride));
      finish_some(p, i, j, sums, p.columns - j);
    }
  });
}

}  // namespace

std::size_t chain_scratch(const LogisticChain&);
void chain(const LogisticChain&, float*);

extern const FlowKernels flow_table;
const FlowKernels flow_table{{inner_scratch, inner},   {outer_scratch, outer}, {row_scratch, row},
                             {column_scratch, column}, chain_scratch,          chain};

}  // namespace gossamer::GOSSAMER_ISA

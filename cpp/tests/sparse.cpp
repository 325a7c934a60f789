// Products with sparse weights, their gradients, and sparse convolutions, against loops over the entries.
#include "../kernels/sparse_layer.hpp"
#include <array>

#include "check.hpp"
#include "levels.hpp"

GOSSAMER_TABLES(SparseLayerKernels, sparse_layer_table)

namespace gossamer::tests {
namespace {

// A weight in blocks of 16 or 8 rows, whose rows beyond the outputs are zero, or of single entries.
struct Weight {
  int height;
  std::int64_t outputs;
  Sparse pattern;
  std::vector<float> values;

  Weight(int height, std::int64_t outputs, std::int64_t columns, Random& random)
      : height(height),
        outputs(outputs),
        pattern((outputs + height - 1) / height, columns, random),
        values(random.numbers(pattern.entries() * height)) {
    each([&](std::int64_t output, std::int64_t, std::size_t place) {
      if (output >= this->outputs) values[place] = 0.0f;
    });
  }

  // Calls `visit(output, column, place of the value)` for every stored value.
  void each(const std::function<void(std::int64_t, std::int64_t, std::size_t)>& visit) const {
    for (std::int64_t e = 0; e < pattern.entries(); ++e)
      for (std::int64_t lane = 0; lane < height; ++lane)
        visit(pattern.row_of[e] * height + lane, pattern.indices[e], static_cast<std::size_t>(e * height + lane));
  }

  bool blocks() const { return height > 1; }
  std::string name() const { return blocks() ? "blocks of " + std::to_string(height) : "csr"; }
};

// The place of (feature, example) in a matrix of so many features and examples.
std::size_t place(std::int64_t feature, std::int64_t example, std::int64_t features, std::int64_t batch, bool by_example) {
  return static_cast<std::size_t>(by_example ? example * features + feature : feature * batch + example);
}

void product(const Level<SparseLayerKernels>& level, const Weight& w, std::int64_t batch, bool by_example, Random& random) {
  const std::int64_t columns = w.pattern.columns;
  const std::string what = std::string(level.name) + " product, " + w.name() + ", batch " + std::to_string(batch);
  const auto x = random.numbers(columns * batch), bias = random.numbers(w.outputs);
  std::vector<float> wanted(static_cast<std::size_t>(w.outputs * batch));
  for (std::int64_t o = 0; o < w.outputs; ++o)
    for (std::int64_t b = 0; b < batch; ++b) wanted[place(o, b, w.outputs, batch, by_example)] = bias[o];
  w.each([&](std::int64_t o, std::int64_t c, std::size_t value) {
    for (std::int64_t b = 0; b < batch && o < w.outputs; ++b)
      wanted[place(o, b, w.outputs, batch, by_example)] += w.values[value] * x[place(c, b, columns, batch, by_example)];
  });
  for (float& value : wanted) value = value < 0.0f ? 0.0f : value;
  const auto found = same_for_all_threads<float>(wanted.size(), what, [&](std::vector<float>& out, int threads) {
    Product p{};
    p.pattern = w.pattern.pattern();
    p.outputs = w.outputs;
    p.batch = batch;
    p.height = w.height;
    p.values = w.values.data();
    p.x = x.data();
    p.bias = bias.data();
    p.out = out.data();
    p.threads = threads;
    p.relu = true;
    const Lent lent(w.blocks() ? level.table->block_scratch(p, by_example) : level.table->csr_scratch(p, by_example));
    return w.blocks() ? level.table->block(p, by_example, lent.get()) : level.table->csr(p, by_example, lent.get());
  });
  expect_close(found, wanted, what);
}

void gradients(const Level<SparseLayerKernels>& level, const Weight& w, std::int64_t batch, bool by_example,
               Random& random) {
  const std::int64_t columns = w.pattern.columns;
  const std::string what = std::string(level.name) + " gradients, " + w.name() + ", batch " + std::to_string(batch);
  const auto x = random.numbers(columns * batch), flow = random.numbers(w.outputs * batch);
  std::vector<float> input(x.size()), values(w.values.size());
  w.each([&](std::int64_t o, std::int64_t c, std::size_t value) {
    for (std::int64_t b = 0; b < batch && o < w.outputs; ++b) {
      const float push = flow[place(o, b, w.outputs, batch, by_example)];
      input[place(c, b, columns, batch, by_example)] += w.values[value] * push;
      values[value] += push * x[place(c, b, columns, batch, by_example)];
    }
  });
  const auto ready = [&](std::vector<float>& out, int threads) {
    ProductGradient p{};
    p.pattern = w.pattern.pattern();
    p.outputs = w.outputs;
    p.batch = batch;
    p.height = w.height;
    p.values = w.values.data();
    p.x = x.data();
    p.flow = flow.data();
    p.out = out.data();
    p.threads = threads;
    return p;
  };
  const SparseLayerKernels& table = *level.table;
  if (w.blocks())
    expect_close(same_for_all_threads<float>(input.size(), what,
                                             [&](std::vector<float>& out, int threads) {
                                               auto p = ready(out, threads);
                                               p.x = nullptr;
                                               const Lent lent(table.block_input_scratch(p));
                                               return table.block_input(p, by_example, lent.get());
                                             }),
                 input, what + ", of the input");
  expect_close(same_for_all_threads<float>(values.size(), what,
                                           [&](std::vector<float>& out, int threads) {
                                             auto p = ready(out, threads);
                                             p.values = nullptr;
                                             const Lent lent(w.blocks() ? table.block_values_scratch(p)
                                                                      : table.csr_values_scratch(p));
                                             return w.blocks() ? table.block_values(p, by_example, lent.get())
                                                             : table.csr_values(p, by_example, lent.get());
                                           }),
               values, what + ", of the values");
}

// Visits every product of a convolution: (output place, column of the weight, input place).
void each_tap(const Geometry& g, std::int64_t image, std::int64_t channel, std::int64_t row, std::int64_t column,
              const std::function<void(std::int64_t, std::int64_t)>& visit) {
  for (std::int64_t y = 0; y < g.out_size[0]; ++y)
    for (std::int64_t x = 0; x < g.out_size[1]; ++x) {
      const std::int64_t from_y = y * g.stride[0] - g.padding[0] + row * g.dilation[0];
      const std::int64_t from_x = x * g.stride[1] - g.padding[1] + column * g.dilation[1];
      if (from_y < 0 || from_x < 0 || from_y >= g.size[0] || from_x >= g.size[1]) continue;
      visit(y * g.out_size[1] + x, ((image * g.channels + channel) * g.size[0] + from_y) * g.size[1] + from_x);
    }
}

void convolution(const Level<SparseLayerKernels>& level, const Geometry& g, int height, Random& random) {
  const std::int64_t taps = g.kernel[0] * g.kernel[1], outputs = 21, pixels = g.out_size[0] * g.out_size[1];
  const Weight w(height, outputs, g.channels * taps, random);
  const std::string what = std::string(level.name) + " convolution, " + w.name();
  const auto x = random.numbers(g.images * g.channels * g.size[0] * g.size[1]);
  const auto bias = random.numbers(outputs), flow = random.numbers(g.images * outputs * pixels);
  std::vector<float> result(flow.size()), input(x.size()), values(w.values.size());
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = bias[i / pixels % outputs];
  w.each([&](std::int64_t o, std::int64_t c, std::size_t value) {
    for (std::int64_t image = 0; image < g.images && o < outputs; ++image)
      each_tap(g, image, c / taps, c % taps / g.kernel[1], c % g.kernel[1], [&](std::int64_t pixel, std::int64_t from) {
        const std::size_t to = static_cast<std::size_t>((image * outputs + o) * pixels + pixel);
        result[to] += w.values[value] * x[from];
        input[from] += w.values[value] * flow[to];
        values[value] += flow[to] * x[from];
      });
  });
  for (float& value : result) value = value < 0.0f ? 0.0f : value;
  const SparseLayerKernels& table = *level.table;
  const auto run = [&](const std::vector<float>& wanted, const std::string& part, auto kernel) {
    const auto found = same_for_all_threads<float>(wanted.size(), what, [&](std::vector<float>& out, int threads) {
      Convolution c{};
      c.pattern = w.pattern.pattern();
      c.outputs = outputs;
      c.height = height;
      c.shape = g;
      c.values = w.values.data();
      c.x = x.data();
      c.bias = bias.data();
      c.flow = flow.data();
      c.relu = true;
      c.out = out.data();
      c.threads = threads;
      const Lent lent(table.conv_scratch(c));
      return kernel(c, lent.get());
    });
    expect_close(found, wanted, what + ", " + part, 5e-4f);
  };
  run(result, "result", w.blocks() ? table.block_conv : table.csr_conv);
  run(input, "gradient of the input", w.blocks() ? table.block_conv_input : table.csr_conv_input);
  run(values, "gradient of the values", w.blocks() ? table.block_conv_values : table.csr_conv_values);
}

}  // namespace

void test_sparse() {
  Random random(1);
  for (const int height : {1, 8, 16})
    for (const auto& [outputs, columns, batch] :
         std::vector<std::array<std::int64_t, 3>>{{1, 1, 1}, {33, 40, 1}, {16, 7, 3}, {35, 60, 2}, {34, 50, 4}, {40, 70, 6}, {50, 64, 37}, {40, 130, 130}, {70, 900, 70}}) {
      const Weight w(height, outputs, columns, random);
      for (const bool by_example : {false, true}) {
        for (const auto& level : levels_of_sparse_layer_table()) {
          product(level, w, batch, by_example, random);
          gradients(level, w, batch, by_example, random);
        }
      }
    }
  const std::vector<Geometry> shapes{
      {2, 3, {9, 11}, {9, 11}, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
      {1, 2, {8, 7}, {4, 4}, {3, 3}, {2, 2}, {1, 1}, {1, 1}},
      {3, 4, {5, 5}, {5, 5}, {1, 1}, {1, 1}, {0, 0}, {1, 1}},
      {1, 1, {12, 10}, {8, 8}, {3, 2}, {1, 1}, {0, 0}, {2, 2}},
  };
  for (const auto& level : levels_of_sparse_layer_table())
    for (const Geometry& shape : shapes)
      for (const int height : {1, 8, 16}) convolution(level, shape, height, random);
}

}  // namespace gossamer::tests

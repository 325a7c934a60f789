// Products in four dataflows against sums in order, of every layout and of sizes around the widths of vectors; and the
// loss of a chain of layers against the same sums, its gradients against differences.
#include "../kernels/flows.hpp"

#include "check.hpp"
#include "levels.hpp"

GOSSAMER_TABLES(FlowKernels, flow_table)

namespace gossamer::tests {
namespace {

using Flow = FlowKernels::Flow;

const Flow& flow_of(const FlowKernels& table, int flow) {
  return flow == 0 ? table.inner : flow == 1 ? table.outer : flow == 2 ? table.row : table.column;
}

void multiplies(const Level<FlowKernels>& level, int flow, std::int64_t rows, std::int64_t inner, std::int64_t columns,
                int turned, bool finished) {
  Random random(static_cast<unsigned>(rows + 7 * inner + 31 * columns));
  const auto x = random.numbers(rows * inner), y = random.numbers(inner * columns);
  const auto bias = random.numbers(columns), gate = random.numbers(rows * columns);
  const bool turn_x = turned & 1, turn_y = turned & 2;
  FlowProduct p{rows,
                inner,
                columns,
                x.data(),
                turn_x ? 1 : inner,
                turn_x ? rows : 1,
                y.data(),
                turn_y ? 1 : columns,
                turn_y ? inner : 1,
                finished ? bias.data() : nullptr,
                finished,
                finished ? gate.data() : nullptr,
                nullptr,
                1};
  std::vector<float> wanted;
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j) {
      double sum = finished ? bias[j] : 0.0;
      for (std::int64_t k = 0; k < inner; ++k)
        sum += static_cast<double>(x[i * p.x_row + k * p.x_column]) * y[k * p.y_row + j * p.y_column];
      if (finished && (sum < 0.0 || gate[i * columns + j] <= 0.0f)) sum = 0.0;
      wanted.push_back(static_cast<float>(sum));
    }
  const std::string what = std::string(level.name) + " flow " + std::to_string(flow) + " " + std::to_string(rows) + "x" +
                           std::to_string(inner) + "x" + std::to_string(columns) + " turned " + std::to_string(turned);
  const auto found = same_for_all_threads<float>(wanted.size(), what, [&](std::vector<float>& out, int threads) {
    p.out = out.data();
    p.threads = threads;
    const Flow& kernel = flow_of(*level.table, flow);
    const Lent scratch(kernel.scratch(p));
    kernel.multiply(p, scratch.get());
    return true;
  });
  expect_close(found, wanted, what);
}

// The loss by sums in order, of layers 5 -> 20 -> 1 with biases.
double loss_of(const std::vector<std::vector<float>>& parts, const std::vector<float>& x, const std::vector<float>& y) {
  double loss = 0.0;
  for (std::size_t r = 0; r < y.size(); ++r) {
    double z = parts[3][0];
    for (int h = 0; h < 20; ++h) {
      double sum = parts[1][h];
      for (int f = 0; f < 5; ++f) sum += static_cast<double>(parts[0][h * 5 + f]) * x[r * 5 + f];
      z += parts[2][h] * std::fmax(sum, 0.0);
    }
    loss += std::fmax(z, 0.0) - z * y[r] + std::log1p(std::exp(-std::fabs(z)));
  }
  return loss / static_cast<double>(y.size());
}

void chains(const Level<FlowKernels>& level, std::int64_t rows) {
  Random random(11);
  const auto x = random.numbers(rows * 5);
  std::vector<float> y;
  for (std::int64_t r = 0; r < rows; ++r) y.push_back(static_cast<float>(random.below(2)));
  std::vector<std::vector<float>> parts{random.numbers(100), random.numbers(20), random.numbers(20), random.numbers(1)};
  const std::string what = std::string(level.name) + " chain of " + std::to_string(rows) + " rows";
  for (int flow = 0; flow < 4; ++flow) {
    const auto found = same_for_all_threads<float>(142, what, [&](std::vector<float>& out, int threads) {
      const ChainLayer layers[2] = {
          {5, 20, parts[0].data(), parts[1].data(), out.data() + 1, out.data() + 101, flow, flow, flow},
          {20, 1, parts[2].data(), parts[3].data(), out.data() + 121, out.data() + 141, flow, flow, flow}};
      const LogisticChain job{rows, 2, layers, x.data(), y.data(), out.data(), threads};
      const Lent scratch(level.table->chain_scratch(job));
      level.table->chain(job, scratch.get());
      return true;
    });
    expect_close({found[0]}, {static_cast<float>(loss_of(parts, x, y))}, what + ": loss", 1e-5f);
    std::size_t place = 1;
    for (auto& part : parts)
      for (float& value : part) {
        const float kept = value, step = 1e-3f;
        value = kept + step;
        const double above = loss_of(parts, x, y);
        value = kept - step;
        const double below = loss_of(parts, x, y);
        value = kept;
        const double slope = (above - below) / 2e-3;
        expect(std::fabs(found[place] - slope) < 4e-3, what + ": gradient " + std::to_string(place) + " is " +
                                                           std::to_string(found[place]) + ", expected about " +
                                                           std::to_string(slope));
        ++place;
      }
  }
}

}  // namespace

void test_flows() {
  const std::int64_t shapes[][3] = {{1, 1, 1},   {3, 0, 4},    {0, 3, 4},    {7, 5, 3},   {13, 33, 17}, {12, 16, 32},
                                    {33, 40, 1}, {1, 300, 40}, {50, 600, 9}, {70, 64, 65}, {90, 65, 40}};
  for (const auto& level : levels_of_flow_table()) {
    for (int flow = 0; flow < 4; ++flow)
      for (const auto& s : shapes)
        for (int turned = 0; turned < 4; ++turned)
          for (bool finished : {false, true}) multiplies(level, flow, s[0], s[1], s[2], turned, finished);
    for (std::int64_t rows : {1, 128, 300}) chains(level, rows);
  }
}

}  // namespace gossamer::tests

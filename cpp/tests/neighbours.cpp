// Sums, maxima and attention over neighbours, against loops over the edges.
#include "../kernels/neighbours.hpp"

#include <algorithm>
#include <array>

#include "check.hpp"
#include "levels.hpp"

GOSSAMER_TABLES(NeighbourKernels, neighbours)
GOSSAMER_TABLES(Kernels, table)

namespace gossamer::tests {
namespace {

void transpose(const Sparse& graph) {
  std::vector<std::int32_t> wanted;
  const Sparse there = graph.transposed(wanted);
  std::vector<std::int64_t> starts(static_cast<std::size_t>(graph.columns + 1));
  std::vector<std::int32_t> rows(graph.indices.size()), edge(graph.indices.size());
  expect(transpose_csr(graph.pattern(), starts.data(), rows.data(), edge.data()), "transpose: refused");
  expect(starts == there.indptr && rows == there.indices && edge == wanted, "transpose: differs");
}

void aggregate(const Level<Kernels>& level, const Sparse& graph, std::int64_t heads, std::int64_t features, Random& random) {
  const std::string what = std::string(level.name) + " aggregate, " + std::to_string(features) + " features";
  const auto x = random.numbers(graph.columns * heads * features), weights = random.numbers(graph.entries() * heads);
  const auto left = random.numbers(graph.rows * heads * features);
  std::vector<float> sums(left.size()), dots(weights.size());
  for (std::int64_t e = 0; e < graph.entries(); ++e)
    for (std::int64_t h = 0; h < heads; ++h)
      for (std::int64_t f = 0; f < features; ++f) {
        const float there = x[(graph.indices[e] * heads + h) * features + f];
        const std::int64_t here = (graph.row_of[e] * heads + h) * features + f;
        sums[here] += weights[e * heads + h] * there;
        dots[e * heads + h] += left[here] * there;
      }
  expect_close(same_for_all_threads<float>(sums.size(), what,
                                           [&](std::vector<float>& out, int threads) {
                                             const Aggregate a{graph.pattern(), heads,    features,   nullptr,
                                                               weights.data(),  x.data(), out.data(), threads};
                                             const Lent lent(level.table->aggregate_scratch(a));
                                             return level.table->aggregate(a, lent.get());
                                           }),
               sums, what);
  expect_close(same_for_all_threads<float>(dots.size(), what,
                                           [&](std::vector<float>& out, int threads) {
                                             return level.table->edge_dot({graph.pattern(), heads, features, left.data(),
                                                                           x.data(), out.data(), threads});
                                           }),
               dots, what + ", dot products of edges");
}

// Features as they are stored, and what they stand for.
struct Stored {
  Element element;
  std::vector<float> floats;
  std::vector<std::uint16_t> halves;
  std::vector<std::int8_t> bytes;

  Stored(Element element, std::int64_t count, Random& random) : element(element), floats(random.numbers(count)) {
    for (float& value : floats) {
      if (element == Element::bfloat16) {
        std::uint32_t bits;
        std::memcpy(&bits, &value, 4);
        halves.push_back(static_cast<std::uint16_t>(bits >> 16));
        bits &= 0xFFFF0000u;
        std::memcpy(&value, &bits, 4);
      } else if (element == Element::int8) {
        value = std::round(std::clamp(20.0f * value, -127.0f, 127.0f));
        bytes.push_back(static_cast<std::int8_t>(value));
      }
    }
  }

  const void* data() const {
    if (element == Element::bfloat16) return halves.data();
    if (element == Element::int8) return bytes.data();
    return floats.data();
  }
};

void propagate(const Level<NeighbourKernels>& level, const Sparse& graph, std::int64_t features, Element element,
               Random& random) {
  const std::string what = std::string(level.name) + " propagate, element " + std::to_string(static_cast<int>(element)) +
                           ", " + std::to_string(features) + " features";
  const Stored x(element, graph.columns * features, random);
  const auto source = random.numbers(graph.columns), target = random.numbers(graph.rows);
  const auto add = random.numbers(graph.rows * features), bias = random.numbers(features);
  std::vector<float> sums(add.size()), largest(add.size());
  std::vector<bool> seen(add.size());
  for (std::int64_t e = 0; e < graph.entries(); ++e)
    for (std::int64_t f = 0; f < features; ++f) {
      const std::int64_t here = graph.row_of[e] * features + f;
      const float value = source[graph.indices[e]] * x.floats[graph.indices[e] * features + f];
      sums[here] += value;
      largest[here] = seen[here] ? std::max(largest[here], value) : value;
      seen[here] = true;
    }
  for (std::size_t i = 0; i < sums.size(); ++i)
    sums[i] = std::max(0.0f, target[i / features] * sums[i] + 0.5f * add[i] + bias[i % features]);
  expect_close(same_for_all_threads<float>(sums.size(), what,
                                           [&](std::vector<float>& out, int threads) {
                                             Propagate a{};
                                             a.graph = graph.pattern();
                                             a.features = features;
                                             a.element = element;
                                             a.x = x.data();
                                             a.source = source.data();
                                             a.target = target.data();
                                             a.add = add.data();
                                             a.add_scale = 0.5f;
                                             a.bias = bias.data();
                                             a.relu = true;
                                             a.out = out.data();
                                             a.threads = threads;
                                             const Lent lent(level.table->propagate_scratch(a));
                                             return level.table->propagate(a, lent.get());
                                           }),
               sums, what, 2e-3f);
  expect_close(same_for_all_threads<float>(largest.size(), what,
                                           [&](std::vector<float>& out, int threads) {
                                             std::vector<float> ties(out.size());
                                             Maximum a{};
                                             a.graph = graph.pattern();
                                             a.features = features;
                                             a.element = element;
                                             a.x = x.data();
                                             a.source = source.data();
                                             a.out = out.data();
                                             a.ties = ties.data();
                                             a.threads = threads;
                                             const Lent lent(level.table->maximum_scratch(a));
                                             return level.table->maximum(a, lent.get());
                                           }),
               largest, what + ", maximum");
}

// The gradient of maxima: every tie gets an equal share, which `share` holds already.
void maximum_back(const Level<NeighbourKernels>& level, const Sparse& graph, std::int64_t features, Random& random) {
  const std::string what = std::string(level.name) + " gradient of maxima";
  std::vector<std::int32_t> edge;
  const Sparse there = graph.transposed(edge);
  const auto x = random.numbers(graph.columns * features), share = random.numbers(graph.rows * features);
  std::vector<float> largest(share.size(), -1e30f), wanted(x.size());
  for (std::int64_t e = 0; e < graph.entries(); ++e)
    for (std::int64_t f = 0; f < features; ++f) {
      float& top = largest[graph.row_of[e] * features + f];
      top = std::max(top, x[graph.indices[e] * features + f]);
    }
  for (std::int64_t e = 0; e < graph.entries(); ++e)
    for (std::int64_t f = 0; f < features; ++f) {
      const std::int64_t here = graph.row_of[e] * features + f, from = graph.indices[e] * features + f;
      if (x[from] == largest[here]) wanted[from] += share[here];
    }
  expect_close(same_for_all_threads<float>(wanted.size(), what,
                                           [&](std::vector<float>& out, int threads) {
                                             MaximumBack a{};
                                             a.graph = there.pattern();
                                             a.features = features;
                                             a.x = x.data();
                                             a.largest = largest.data();
                                             a.share = share.data();
                                             a.out = out.data();
                                             a.threads = threads;
                                             const Lent lent(level.table->maximum_back_scratch(a));
                                             return level.table->maximum_back(a, lent.get());
                                           }),
               wanted, what);
}

float leaky(float value, float slope) { return value < 0.0f ? slope * value : value; }

void attention(const Level<NeighbourKernels>& level, const Sparse& graph, Score form, std::int64_t heads,
               std::int64_t features, Random& random) {
  const std::string what = std::string(level.name) + " attention, form " + std::to_string(static_cast<int>(form));
  const std::int64_t each = form == Score::additive ? 1 : features;
  const auto near = random.numbers(graph.rows * heads * each), far = random.numbers(graph.columns * heads * each);
  const auto mix = random.numbers(heads * features), values = random.numbers(graph.columns * heads * features);
  const auto flow = random.numbers(graph.rows * heads * features);
  Scores scores{};
  scores.form = form;
  scores.heads = heads;
  scores.features = features;
  scores.near = near.data();
  scores.far = far.data();
  scores.mix = mix.data();
  scores.slope = 0.2f;
  scores.scale = 0.3f;
  scores.boost = 1.0f;

  const std::int64_t spots = graph.rows * heads;
  std::vector<float> weight(static_cast<std::size_t>(graph.entries() * heads)), tops(spots, -1e30f), totals(spots);
  for (std::int64_t e = 0; e < graph.entries(); ++e)
    for (std::int64_t h = 0; h < heads; ++h) {
      const float* here = near.data() + (graph.row_of[e] * heads + h) * each;
      const float* there = far.data() + (graph.indices[e] * heads + h) * each;
      float score = form == Score::additive ? leaky(here[0] + there[0], 0.2f) : 0.0f;
      for (std::int64_t f = 0; f < features && form != Score::additive; ++f)
        score += form == Score::dot ? 0.3f * here[f] * there[f]
                                    : mix[h * features + f] * leaky(here[f] + there[f], 0.2f);
      weight[e * heads + h] = score;
      tops[graph.row_of[e] * heads + h] = std::max(tops[graph.row_of[e] * heads + h], score);
    }
  for (std::int64_t e = 0; e < graph.entries(); ++e)
    for (std::int64_t h = 0; h < heads; ++h) {
      weight[e * heads + h] = std::exp(weight[e * heads + h] - tops[graph.row_of[e] * heads + h]);
      totals[graph.row_of[e] * heads + h] += weight[e * heads + h];
    }
  std::vector<float> wanted(flow.size()), back(values.size());
  for (std::int64_t e = 0; e < graph.entries(); ++e)
    for (std::int64_t h = 0; h < heads; ++h)
      for (std::int64_t f = 0; f < features; ++f) {
        const std::int64_t here = (graph.row_of[e] * heads + h) * features + f;
        const std::int64_t there = (graph.indices[e] * heads + h) * features + f;
        const float share = weight[e * heads + h] / totals[graph.row_of[e] * heads + h];
        wanted[here] += share * values[there];
        back[there] += share * flow[here];
      }
  const auto result = same_for_all_threads<float>(wanted.size(), what, [&](std::vector<float>& out, int threads) {
    std::vector<float> highest(spots), sums(spots);
    Attention a{};
    a.graph = graph.pattern();
    a.scores = scores;
    a.values = values.data();
    a.out = out.data();
    a.tops = highest.data();
    a.totals = sums.data();
    a.threads = threads;
    const Lent lent(level.table->attention_scratch(a));
    return level.table->attention(a, lent.get());
  });
  expect_close(result, wanted, what);

  std::vector<std::int32_t> edge;
  const Sparse there = graph.transposed(edge);
  std::vector<float> norms(spots);
  for (std::int64_t i = 0; i < spots; ++i) norms[i] = totals[i] > 0.0f ? tops[i] + std::log(totals[i]) : 0.0f;
  scores.near = far.data();
  scores.far = near.data();
  const auto found = same_for_all_threads<float>(back.size(), what, [&](std::vector<float>& out, int threads) {
    std::vector<float> near_grad(static_cast<std::size_t>(graph.columns * heads)), score_grad(weight.size());
    AttentionBack a{};
    a.graph = there.pattern();
    a.scores = scores;
    a.edge = edge.data();
    a.values = values.data();
    a.norms = norms.data();
    a.result = wanted.data();
    a.grad = flow.data();
    a.out = out.data();
    a.near_grad = form == Score::additive ? near_grad.data() : nullptr;
    a.score_grad = score_grad.data();
    a.threads = threads;
    const Lent lent(level.table->attention_back_scratch(a));
    return level.table->attention_back(a, lent.get());
  });
  expect_close(found, back, what + ", gradient of the values");
}

// Scores of heads from features, and both their gradients.
void head_dots(const Level<NeighbourKernels>& level, std::int64_t nodes, std::int64_t heads, std::int64_t features,
               Random& random) {
  const std::string what = std::string(level.name) + " dot products of heads, " + std::to_string(features) + " features";
  const std::int64_t count = 2;
  const auto x = random.numbers(nodes * heads * features), vectors = random.numbers(count * heads * features);
  const auto grad = random.numbers(count * nodes * heads);
  std::vector<float> dots(grad.size()), back(x.size() + vectors.size());
  for (std::int64_t k = 0; k < count; ++k)
    for (std::int64_t i = 0; i < nodes * heads; ++i)
      for (std::int64_t f = 0; f < features; ++f) {
        const std::int64_t vector = (k * heads + i % heads) * features + f, dot = k * nodes * heads + i;
        dots[dot] += x[i * features + f] * vectors[vector];
        back[i * features + f] += grad[dot] * vectors[vector];
        back[x.size() + vector] += grad[dot] * x[i * features + f];
      }
  expect_close(same_for_all_threads<float>(dots.size(), what,
                                           [&](std::vector<float>& out, int threads) {
                                             level.table->head_dots({nodes, heads, features, count, x.data(),
                                                                     vectors.data(), out.data(), threads});
                                             return true;
                                           }),
               dots, what);
  expect_close(same_for_all_threads<float>(back.size(), what,
                                           [&](std::vector<float>& out, int threads) {
                                             const HeadDotsBack job{nodes,      heads,    features,
                                                                    count,      x.data(), vectors.data(),
                                                                    grad.data(), out.data(), out.data() + x.size(),
                                                                    threads};
                                             const Lent lent(level.table->head_dots_back_scratch(job));
                                             level.table->head_dots_back(job, lent.get());
                                             return true;
                                           }),
               back, what + ", gradients", 1e-3f);
}

void leaky_sum(const Level<NeighbourKernels>& level, const Sparse& graph, std::int64_t heads, std::int64_t features,
               Random& random) {
  const std::string what = std::string(level.name) + " sums of leaky";
  const auto weights = random.numbers(graph.entries() * heads), near = random.numbers(graph.rows * heads * features);
  const auto far = random.numbers(graph.columns * heads * features);
  std::vector<float> wanted(near.size());
  for (std::int64_t e = 0; e < graph.entries(); ++e)
    for (std::int64_t h = 0; h < heads; ++h)
      for (std::int64_t f = 0; f < features; ++f) {
        const std::int64_t here = (graph.row_of[e] * heads + h) * features + f;
        wanted[here] +=
            weights[e * heads + h] * leaky(near[here] + far[(graph.indices[e] * heads + h) * features + f], 0.2f);
      }
  const auto found = same_for_all_threads<float>(wanted.size(), what, [&](std::vector<float>& out, int threads) {
    std::vector<float> slopes(out.size());
    LeakySum a{};
    a.graph = graph.pattern();
    a.heads = heads;
    a.features = features;
    a.weights = weights.data();
    a.near = near.data();
    a.far = far.data();
    a.slope = 0.2f;
    a.slopes = slopes.data();
    a.bent = out.data();
    a.threads = threads;
    const Lent lent(level.table->leaky_sum_scratch(a));
    return level.table->leaky_sum(a, lent.get());
  });
  expect_close(found, wanted, what);
}

}  // namespace

void test_neighbours() {
  Random random(2);
  for (const auto& [rows, columns] : std::vector<std::array<std::int64_t, 2>>{{1, 1}, {40, 23}, {300, 1200}}) {
    const Sparse graph(rows, columns, random, false);
    transpose(graph);
    for (const auto& level : levels_of_table())
      for (const auto& [heads, features] : std::vector<std::array<std::int64_t, 2>>{{1, 1}, {1, 19}, {3, 16}, {1, 130}})
        aggregate(level, graph, heads, features, random);
    for (const auto& level : levels_of_neighbours()) {
      for (const Element element : {Element::float32, Element::bfloat16, Element::int8})
        for (const std::int64_t features : {1, 16, 37}) propagate(level, graph, features, element, random);
      maximum_back(level, graph, 21, random);
      for (const Score form : {Score::additive, Score::dot, Score::mixed})
        for (const auto& [heads, features] : std::vector<std::array<std::int64_t, 2>>{{1, 5}, {4, 16}, {3, 33}})
          attention(level, graph, form, heads, features, random);
      leaky_sum(level, graph, 2, 19, random);
      for (const std::int64_t features : {1, 32, 37}) head_dots(level, rows, 4, features, random);
    }
  }
}

}  // namespace gossamer::tests

// Samplers: what they draw belongs to the graph and does not depend on the number of threads.
#include "../kernels/sampling.hpp"

#include <algorithm>

#include "../kernels/random.hpp"
#include "check.hpp"

namespace gossamer::tests {
namespace {

Edges edges_of(const Sparse& graph) { return {graph.rows, 1, graph.indptr.data(), graph.indices.data(), 4}; }

void draws(const Sparse& graph, std::int64_t fanout, bool replace, Random& random) {
  const std::string what = "draw of " + std::to_string(fanout) + (replace ? " with" : " without") + " replacement";
  std::vector<std::int64_t> frontier;
  for (std::int64_t row = 0; row < 200; ++row) frontier.push_back(random.below(graph.rows));
  std::sort(frontier.begin(), frontier.end());
  frontier.erase(std::unique(frontier.begin(), frontier.end()), frontier.end());
  Draw draw{};
  draw.edges = edges_of(graph);
  draw.frontier = frontier.data();
  draw.rows = static_cast<std::int64_t>(frontier.size());
  draw.fanouts = &fanout;
  draw.replace = replace;
  draw.key = 7;
  std::vector<std::int64_t> indptr(frontier.size() + 1);
  draw_counts(draw, indptr.data());
  const std::size_t total = static_cast<std::size_t>(indptr.back());
  const auto places = same_for_all_threads<std::int64_t>(total, what, [&](std::vector<std::int64_t>& out, int threads) {
    draw.threads = threads;
    std::vector<std::int32_t> values(static_cast<std::size_t>(graph.rows), -1), local(total);
    for (std::size_t i = 0; i < frontier.size(); ++i) values[frontier[i]] = static_cast<std::int32_t>(i);
    std::vector<std::int64_t> fresh(total);
    const Numbers numbers{values.data(), nullptr, graph.rows};
    return draw_edges(draw, indptr.data(), draw.rows, numbers, out.data(), local.data(), fresh.data(), nullptr) >= 0;
  });
  for (std::size_t row = 0; row < frontier.size(); ++row) {
    const std::int64_t node = frontier[row];
    std::vector<std::int64_t> mine(places.begin() + indptr[row], places.begin() + indptr[row + 1]);
    const std::int64_t degree = graph.indptr[node + 1] - graph.indptr[node];
    const std::int64_t wanted = fanout < 0 ? degree : (replace ? (degree ? fanout : 0) : std::min(degree, fanout));
    expect(static_cast<std::int64_t>(mine.size()) == wanted, what + ": wrong count");
    for (const std::int64_t place : mine)
      expect(place >= graph.indptr[node] && place < graph.indptr[node + 1], what + ": an edge of another node");
    std::sort(mine.begin(), mine.end());
    expect(replace || std::adjacent_find(mine.begin(), mine.end()) == mine.end(), what + ": an edge twice");
  }
}

void induces(const Sparse& graph) {
  std::vector<std::int64_t> chosen;
  std::vector<std::int32_t> place(static_cast<std::size_t>(graph.rows), -1);
  for (std::int64_t node = 0; node < graph.rows; node += 2) {
    place[node] = static_cast<std::int32_t>(chosen.size());
    chosen.push_back(node);
  }
  const std::int64_t rows = static_cast<std::int64_t>(chosen.size());
  const auto counts = same_for_all_threads<std::int64_t>(
      chosen.size(), "induced counts", [&](std::vector<std::int64_t>& out, int threads) {
        return induce_counts(edges_of(graph), chosen.data(), rows, place.data(), out.data(), threads);
      });
  std::vector<std::int64_t> indptr{0};
  for (const std::int64_t count : counts) indptr.push_back(indptr.back() + count);
  std::int64_t wanted = 0;
  for (std::int64_t e = 0; e < graph.entries(); ++e) wanted += graph.row_of[e] % 2 == 0 && graph.indices[e] % 2 == 0;
  expect(indptr.back() == wanted, "induced: wrong number of edges");
  same_for_all_threads<std::int32_t>(
      static_cast<std::size_t>(wanted), "induced edges", [&](std::vector<std::int32_t>& out, int threads) {
        std::vector<std::int64_t> positions(out.size());
        induce_edges(edges_of(graph), chosen.data(), rows, place.data(), indptr.data(), out.data(), positions.data(),
                     threads);
        for (std::size_t i = 0; i < out.size(); ++i)
          if (chosen[out[i]] != graph.indices[positions[i]]) return false;
        return true;
      });
}

void walks(const Sparse& graph, int kind) {
  const std::int64_t count = 100, steps = 9;
  std::vector<std::int64_t> starts, first, later;
  for (std::int64_t w = 0; w < count; ++w) {
    starts.push_back(w * 7 % graph.rows);
    first.push_back(graph.indptr[starts.back()]);
  }
  for (std::int64_t e = 0; e < graph.entries(); ++e) later.push_back(graph.indptr[graph.indices[e]]);
  const auto nodes = same_for_all_threads<std::int64_t>(
      static_cast<std::size_t>(count * (steps + 1)), "walks", [&](std::vector<std::int64_t>& out, int threads) {
        std::vector<std::int64_t> positions(static_cast<std::size_t>(count * steps));
        const Walk walk{edges_of(graph), nullptr, starts.data(), count, steps, 5, out.data(), positions.data(), threads};
        if (kind == 0) return walk_uniform(walk);
        if (kind == 1) return walk_node2vec(walk, 0.5, 2.0);
        return walk_temporal(walk, first.data(), later.data(), nullptr, true);
      });
  for (std::int64_t w = 0; w < count; ++w)
    for (std::int64_t s = 0; s < steps; ++s) {
      const std::int64_t from = nodes[w * (steps + 1) + s], to = nodes[w * (steps + 1) + s + 1];
      if (to < 0) continue;
      const auto begin = graph.indices.begin() + graph.indptr[from], end = graph.indices.begin() + graph.indptr[from + 1];
      expect(std::find(begin, end, static_cast<std::int32_t>(to)) != end, "walk: takes an edge that is not there");
    }
}

void draws_free(const Sparse& graph) {
  std::vector<std::int64_t> free_below, guide{0}, free_numbers;
  const std::int64_t all = graph.rows * graph.rows;
  std::vector<bool> taken(static_cast<std::size_t>(all));
  for (std::int64_t e = 0; e < graph.entries(); ++e) taken[graph.row_of[e] * graph.rows + graph.indices[e]] = true;
  for (std::int64_t n = 0; n < all; ++n)
    if (taken[n])
      free_below.push_back(static_cast<std::int64_t>(free_numbers.size()));
    else
      free_numbers.push_back(n);
  const std::int64_t free = static_cast<std::int64_t>(free_numbers.size()), count = 20000;
  const int shift = 3;
  for (std::int64_t part = 1; (part - 1) << shift <= free; ++part)
    guide.push_back(std::lower_bound(free_below.begin(), free_below.end(), part << shift) - free_below.begin());
  const std::vector<std::int64_t> bound(count, free);
  const auto pairs = same_for_all_threads<std::int64_t>(
      2 * count, "free pairs", [&](std::vector<std::int64_t>& out, int threads) {
        draw_free({graph.rows, free_below.data(), guide.data(), shift, count, nullptr, bound.data(), 3, out.data(),
                   threads});
        return true;
      });
  for (std::int64_t i = 0; i < count; ++i) {
    gossamer::Stream random(3, i);
    expect(pairs[i] * graph.rows + pairs[count + i] == free_numbers[random.below(free)], "free pairs: wrong number");
  }
}

}  // namespace

void test_sampling() {
  Random random(4);
  const Sparse graph(400, 400, random);
  for (const bool replace : {false, true})
    for (const std::int64_t fanout : {0, 3, 50, 390}) draws(graph, fanout, replace, random);
  draws(graph, -1, false, random);
  induces(graph);
  for (const int kind : {0, 1, 2}) walks(graph, kind);
  draws_free(graph);
}

}  // namespace gossamer::tests

// Random walks: first order, second order (node2vec), and forward in time.
//
// A step is a chain of reads that each wait for the one before, from arrays too large for any cache. So a thread leads a
// group of walks in step: while one waits for memory, the others are asked for too.
//
// Steps whose law is not uniform are drawn by rejection: propose a step from a simple law, accept it with the ratio of
// the two. For node2vec this needs no table per edge (Yang et al., "KnightKing", SOSP 2019). For walks in time the
// ratio is at least 1/e, and mostly a straight line on either side of the exponential settles it.
#include <algorithm>
#include <cmath>

#include "random.hpp"
#include "sampling.hpp"

namespace gossamer {
namespace {

constexpr std::int64_t kGroup = 32;  // walks that a thread leads in step

template <class Index>
struct Steps {
  const Walk& walk;
  const Index* ends = static_cast<const Index*>(walk.edges.ends);

  bool inside(std::int64_t node) const { return node >= 0 && node < walk.edges.nodes; }
  void fetch_bounds(std::int64_t node) const { __builtin_prefetch(walk.edges.bounds + node); }
  std::int64_t begin(std::int64_t node) const { return walk.edges.bounds[node]; }
  std::int64_t end(std::int64_t node) const { return walk.edges.bounds[node + 1]; }

  // Proposes an edge of a row that is not empty.
  std::int64_t propose(Stream& random, std::int64_t first, std::int64_t last) const {
    if (!walk.weights) return first + random.below(last - first);
    const double* sums = walk.weights;
    const double aim = random.uniform() * sums[last - 1];
    return std::min<std::int64_t>(std::upper_bound(sums + first, sums + last, aim) - sums, last - 1);
  }

  bool joined(std::int64_t from, std::int64_t to) const {
    return std::binary_search(ends + begin(from), ends + end(from), static_cast<Index>(to));
  }

  void start(std::int64_t w) const { walk.nodes[w * (walk.steps + 1)] = walk.starts[w]; }

  void write(std::int64_t w, std::int64_t s, std::int64_t node, std::int64_t edge) const {
    walk.nodes[w * (walk.steps + 1) + s + 1] = node;
    if (walk.positions) walk.positions[w * walk.steps + s] = edge;
  }

  // Ends walk `w` before step `s`.
  void finish(std::int64_t w, std::int64_t s) const {
    std::fill(walk.nodes + w * (walk.steps + 1) + s + 1, walk.nodes + (w + 1) * (walk.steps + 1), -1);
    if (walk.positions) std::fill(walk.positions + w * walk.steps + s, walk.positions + (w + 1) * walk.steps, -1);
  }
};

// Leads the walks of one group; `choose(random, node, before)` returns the next edge or -1.
template <class Index, class Choose>
bool lead(const Steps<Index>& steps, std::int64_t from, std::int64_t to, Choose choose) {
  const Walk& walk = steps.walk;
  struct {
    Stream random;
    std::int64_t w, node, before, edge;
  } walks[kGroup];
  std::int64_t alive = to - from;
  for (std::int64_t i = 0; i < alive; ++i) {
    walks[i] = {Stream(walk.key, from + i), from + i, walk.starts[from + i], -1, -1};
    if (!steps.inside(walks[i].node)) return false;
    steps.start(from + i);
    steps.fetch_bounds(walks[i].node);
  }
  for (std::int64_t s = 0; s < walk.steps && alive > 0; ++s) {
    for (std::int64_t i = 0; i < alive; ++i) {
      auto& at = walks[i];
      at.edge = choose(at.random, at.node, at.before);
      if (at.edge >= 0) {
        __builtin_prefetch(steps.ends + at.edge);
      } else {
        steps.finish(at.w, s);
      }
    }
    std::int64_t left = 0;
    for (std::int64_t i = 0; i < alive; ++i) {
      if (walks[i].edge < 0) continue;
      auto& at = walks[left++] = walks[i];
      at.before = at.node;
      at.node = static_cast<std::int64_t>(steps.ends[at.edge]);
      if (!steps.inside(at.node)) return false;
      steps.fetch_bounds(at.node);
      steps.write(at.w, s, at.node, at.edge);
    }
    alive = left;
  }
  return true;
}

template <class Group>
bool groups(const Walk& walk, Group group) {
  const std::int64_t count = (walk.count + kGroup - 1) / kGroup;
  int bad = 0;
#pragma omp parallel for num_threads(walk.threads) schedule(dynamic, 8) reduction(| : bad) if (walk.threads > 1)
  for (std::int64_t g = 0; g < count; ++g) bad |= !group(g * kGroup, std::min((g + 1) * kGroup, walk.count));
  return bad == 0;
}

template <class Index>
bool uniform(const Walk& walk) {
  const Steps<Index> steps{walk};
  const auto choose = [&](Stream& random, std::int64_t node, std::int64_t) {
    const std::int64_t first = steps.begin(node), last = steps.end(node);
    return first == last ? std::int64_t{-1} : steps.propose(random, first, last);
  };
  return groups(walk, [&](std::int64_t from, std::int64_t to) { return lead(steps, from, to, choose); });
}

template <class Index>
bool node2vec(const Walk& walk, double p, double q) {
  const Steps<Index> steps{walk};
  const double back = 1.0 / p, away = 1.0 / q, most = std::max({back, 1.0, away}), least = std::min({back, 1.0, away});
  const auto choose = [&](Stream& random, std::int64_t node, std::int64_t before) {
    const std::int64_t first = steps.begin(node), last = steps.end(node);
    if (first == last) return std::int64_t{-1};
    for (;;) {
      const std::int64_t edge = steps.propose(random, first, last);
      if (before < 0) return edge;
      const double aim = random.uniform() * most;
      if (aim < least) return edge;  // whatever kind of step it is
      const auto end = static_cast<std::int64_t>(steps.ends[edge]);
      if (aim < (end == before ? back : steps.joined(before, end) ? 1.0 : away)) return edge;
    }
  };
  return groups(walk, [&](std::int64_t from, std::int64_t to) { return lead(steps, from, to, choose); });
}

// Says whether a step of relative likelihood exp(-loss), 0 <= loss <= 1, is taken.
bool accept(Stream& random, double loss) {
  const double aim = random.uniform();
  if (aim < 1.0 - loss) return true;
  if (aim >= 1.0 - loss + 0.5 * loss * loss) return false;
  return aim < std::exp(-loss);
}

// Every step is cut in two where a read is waited for: what lies behind the last edge, then the edge itself.
template <class Index>
bool temporal_group(const Walk& walk, std::int64_t from, std::int64_t to, const std::int64_t* start,
                    const std::int64_t* later, const double* scores, bool falling) {
  const Steps<Index> steps{walk};
  struct {
    Stream random;
    std::int64_t w, node, edge, first, last;
  } walks[kGroup];
  std::int64_t alive = to - from;
  for (std::int64_t i = 0; i < alive; ++i) {
    walks[i] = {Stream(walk.key, from + i), from + i, walk.starts[from + i], -1, 0, 0};
    if (!steps.inside(walks[i].node)) return false;
    steps.start(from + i);
    steps.fetch_bounds(walks[i].node + 1);
  }
  for (std::int64_t s = 0; s < walk.steps && alive > 0; ++s) {
    std::int64_t left = 0;
    for (std::int64_t i = 0; i < alive; ++i) {
      const std::int64_t first = s > 0 ? later[walks[i].edge] : start[walks[i].w], last = steps.end(walks[i].node);
      if (first >= last) {
        steps.finish(walks[i].w, s);
        continue;
      }
      auto& at = walks[left++] = walks[i];
      at.first = first;
      at.last = last;
      at.edge = first + at.random.below(last - first);
      if (scores) __builtin_prefetch(scores + at.edge);
      if (scores) __builtin_prefetch(scores + (falling ? first : last - 1));
      __builtin_prefetch(steps.ends + at.edge);
      __builtin_prefetch(later + at.edge);
    }
    alive = left;
    for (std::int64_t i = 0; i < alive; ++i) {
      auto& at = walks[i];
      if (scores) {
        const double best = scores[falling ? at.first : at.last - 1];
        while (!accept(at.random, best - scores[at.edge])) at.edge = at.first + at.random.below(at.last - at.first);
        __builtin_prefetch(later + at.edge);
      }
      at.node = static_cast<std::int64_t>(steps.ends[at.edge]);
      if (!steps.inside(at.node)) return false;
      steps.fetch_bounds(at.node + 1);
      steps.write(at.w, s, at.node, at.edge);
    }
  }
  return true;
}

// Rows begin at bounds[v] and hold counts[v] edges, with room behind them; where later edges begin is searched for.
template <class Index>
bool growing_group(const Walk& walk, const Growing& rows, std::int64_t from, std::int64_t to) {
  const Steps<Index> steps{walk};
  const double* times = rows.times;
  for (std::int64_t w = from; w < to; ++w) {
    Stream random(walk.key, w);
    std::int64_t node = walk.starts[w];
    if (!steps.inside(node)) return false;
    steps.start(w);
    double now = rows.after;
    for (std::int64_t s = 0; s < walk.steps; ++s) {
      const std::int64_t begin = steps.begin(node), last = begin + rows.counts[node];
      const std::int64_t first = std::upper_bound(times + begin, times + last, now) - times;
      if (first == last) {
        steps.finish(w, s);
        break;
      }
      std::int64_t edge = first + random.below(last - first);
      if (rows.bias != 0) {
        const double width = times[last - 1] > times[begin] ? times[last - 1] - times[begin] : 1.0;
        const auto score = [&](std::int64_t e) {
          return rows.bias > 0 ? (times[e] - times[last - 1]) / width : (times[begin] - times[e]) / width;
        };
        const double best = score(rows.bias > 0 ? last - 1 : first);
        while (!accept(random, best - score(edge))) edge = first + random.below(last - first);
      }
      now = times[edge];
      node = static_cast<std::int64_t>(steps.ends[edge]);
      if (!steps.inside(node)) return false;
      steps.write(w, s, node, edge);
    }
  }
  return true;
}

}  // namespace

bool walk_growing(const Walk& walk, const Growing& rows) {
  return groups(walk, [&](std::int64_t from, std::int64_t to) {
    return walk.edges.index_bytes == 4 ? growing_group<std::int32_t>(walk, rows, from, to)
                                       : growing_group<std::int64_t>(walk, rows, from, to);
  });
}

bool walk_uniform(const Walk& walk) {
  return walk.edges.index_bytes == 4 ? uniform<std::int32_t>(walk) : uniform<std::int64_t>(walk);
}

bool walk_node2vec(const Walk& walk, double p, double q) {
  return walk.edges.index_bytes == 4 ? node2vec<std::int32_t>(walk, p, q) : node2vec<std::int64_t>(walk, p, q);
}

bool walk_temporal(const Walk& walk, const std::int64_t* first, const std::int64_t* later, const double* scores,
                   bool falling) {
  return groups(walk, [&](std::int64_t from, std::int64_t to) {
    return walk.edges.index_bytes == 4
               ? temporal_group<std::int32_t>(walk, from, to, first, later, scores, falling)
               : temporal_group<std::int64_t>(walk, from, to, first, later, scores, falling);
  });
}

}  // namespace gossamer

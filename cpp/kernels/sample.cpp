// Draws neighbours hop by hop and numbers the nodes that they reach.
//
// Without replacement: Floyd's algorithm (Bentley and Floyd, "A sample of brilliance", CACM 1987), which draws k numbers
// for k edges whatever the degree; where k is a good part of the degree, so that looking for repeats would cost more,
// selection sampling (Knuth, "The art of computer programming" volume 2, algorithm S), which passes over the row once.
// By weight without replacement: the k smallest of E / weight with E exponential (Efraimidis and Spirakis, "Weighted
// random sampling with a reservoir", 2006), which is the law of drawing one by one.
//
// Rows are taken in chunks. First the places in all rows of a chunk are drawn and asked for from memory, then read: the
// edges of a large graph are in no cache, and many reads under way at once cost little more than one.
#include <algorithm>
#include <cmath>

#include "random.hpp"
#include "sampling.hpp"

namespace gossamer {
namespace {

constexpr std::int64_t kRows = 256;  // a chunk

struct Range {
  std::int64_t begin;
  std::int64_t end;
};

Range candidates(const Draw& d, std::int64_t entry, std::int64_t type) {
  const std::int64_t node = d.until ? entry % d.edges.nodes : entry;
  const std::int64_t* bound = d.edges.bounds + node * d.edges.types + type;
  Range found{bound[0], bound[1]};
  if (d.until) {
    const std::int64_t before = d.until[entry / d.edges.nodes];
    found.end = std::lower_bound(d.times + found.begin, d.times + found.end, before) - d.times;
  }
  return found;
}

std::int64_t drawn(const Draw& d, Range range, std::int64_t type) {
  const std::int64_t size = range.end - range.begin, wanted = d.fanouts[type];
  if (wanted < 0) return size;
  return d.replace ? (size ? wanted : 0) : std::min(size, wanted);
}

void fetch_bounds(const Draw& d, std::int64_t row) {
  if (row >= d.rows) return;
  const std::int64_t node = d.until ? d.frontier[row] % d.edges.nodes : d.frontier[row];
  __builtin_prefetch(d.edges.bounds + node * d.edges.types);
}

// k of the n edges from `begin`, all subsets equally likely.
void draw_distinct(Stream random, std::int64_t begin, std::int64_t n, std::int64_t k, std::int64_t* out) {
  if (k * k > 16 * n) {
    for (std::int64_t i = 0, found = 0; found < k; ++i)
      if (static_cast<double>(n - i) * random.uniform() < static_cast<double>(k - found)) out[found++] = begin + i;
    return;
  }
  for (std::int64_t j = 0; j < k; ++j) {
    const std::int64_t last = begin + n - k + j;
    const std::int64_t candidate = begin + random.below(n - k + j + 1);
    bool taken = false;
    for (std::int64_t i = 0; i < j; ++i) taken |= out[i] == candidate;
    out[j] = taken ? last : candidate;
  }
}

// k of the edges in `range` by weight, in ascending order; `keys` lends k numbers.
void draw_weighted(Stream random, const double* weights, Range range, std::int64_t k, std::int64_t* out, double* keys) {
  // A heap with the largest key on top; keys[i] belongs to out[i].
  const auto sink = [&](std::int64_t size, double key, std::int64_t place) {
    std::int64_t hole = 0;
    for (std::int64_t child = 1; child < size; child = 2 * hole + 1) {
      if (child + 1 < size && keys[child + 1] > keys[child]) ++child;
      if (keys[child] <= key) break;
      keys[hole] = keys[child];
      out[hole] = out[child];
      hole = child;
    }
    keys[hole] = key;
    out[hole] = place;
  };
  std::int64_t size = 0;
  for (std::int64_t e = range.begin; e < range.end; ++e) {
    const double rest = random.uniform();  // E = -log(1 - rest)
    if (size == k) {
      if (rest >= keys[0] * weights[e]) continue;  // E is at least `rest`, so there is no need for the logarithm
      const double key = -std::log1p(-rest) / weights[e];
      if (key < keys[0]) sink(k, key, e);
      continue;
    }
    const double key = -std::log1p(-rest) / weights[e];
    std::int64_t hole = size++;
    for (; hole > 0 && keys[(hole - 1) / 2] < key; hole = (hole - 1) / 2) {
      keys[hole] = keys[(hole - 1) / 2];
      out[hole] = out[(hole - 1) / 2];
    }
    keys[hole] = key;
    out[hole] = e;
  }
  std::sort(out, out + k);
}

// Draws from one range; returns how many.
std::int64_t draw_range(const Draw& d, Range range, std::int64_t entry, std::int64_t type, std::int64_t* out,
                        double* keys) {
  const std::int64_t count = drawn(d, range, type), size = range.end - range.begin;
  if (count == 0) return 0;
  Stream random(d.key, entry * d.edges.types + type);
  if (d.replace && d.fanouts[type] >= 0) {
    for (std::int64_t j = 0; j < count; ++j) {
      if (d.pick == Pick::weighted) {
        const double* sums = d.weights + range.begin;
        const double aim = random.uniform() * sums[size - 1];
        out[j] = range.begin + std::min<std::int64_t>(std::upper_bound(sums, sums + size, aim) - sums, size - 1);
      } else {
        out[j] = range.begin + random.below(size);
      }
    }
  } else if (count == size || d.pick == Pick::latest) {
    for (std::int64_t j = 0; j < count; ++j) out[j] = range.end - count + j;
  } else if (d.pick == Pick::weighted) {
    draw_weighted(random, d.weights, range, count, out, keys);
  } else {
    draw_distinct(random, range.begin, size, count, out);
  }
  return count;
}

template <class Index>
bool draw_rows(const Draw& d, const std::int64_t* indptr, std::int64_t from, std::int64_t to, std::int64_t* positions,
               std::int64_t* keys, double* scratch) {
  const auto* ends = static_cast<const Index*>(d.edges.ends);
  for (std::int64_t row = from; row < to; ++row) {
    fetch_bounds(d, row + 8);
    std::int64_t place = indptr[row];
    for (std::int64_t type = 0; type < d.edges.types; ++type)
      place += draw_range(d, candidates(d, d.frontier[row], type), d.frontier[row], type, positions + place,
                          scratch ? scratch + place : nullptr);
    for (std::int64_t e = indptr[row]; e < place; ++e) __builtin_prefetch(ends + positions[e]);
  }
  bool inside = true;
  for (std::int64_t row = from; row < to; ++row) {
    const std::int64_t root = d.until ? d.frontier[row] / d.edges.nodes * d.edges.nodes : 0;
    for (std::int64_t e = indptr[row]; e < indptr[row + 1]; ++e) {
      const auto end = static_cast<std::int64_t>(ends[positions[e]]);
      inside &= end >= 0 && end < d.edges.nodes;
      keys[e] = root + end;
    }
  }
  return inside;
}

// Returns the place of a key, which is put there if it is new.
std::int64_t place_of(const Numbers& table, std::int64_t key) {
  if (!table.keys) return key;
  const std::int64_t mask = table.size - 1;
  auto place = static_cast<std::int64_t>(mix(static_cast<std::uint64_t>(key))) & mask;
  while (table.keys[place] != key && table.keys[place] != -1) place = (place + 1) & mask;
  table.keys[place] = key;
  return place;
}

}  // namespace

void draw_counts(const Draw& d, std::int64_t* indptr) {
  indptr[0] = 0;
#pragma omp parallel for num_threads(d.threads) schedule(static) if (d.threads > 1 && d.rows > 4 * kRows)
  for (std::int64_t row = 0; row < d.rows; ++row) {
    fetch_bounds(d, row + 16);
    std::int64_t count = 0;
    for (std::int64_t type = 0; type < d.edges.types; ++type)
      count += drawn(d, candidates(d, d.frontier[row], type), type);
    indptr[row + 1] = count;
  }
  for (std::int64_t row = 0; row < d.rows; ++row) indptr[row + 1] += indptr[row];
}

std::int64_t number_keys(std::int64_t* keys, std::int64_t count, std::int64_t base, Numbers numbers,
                         std::int32_t* local) {
  std::int64_t fresh = 0;
  for (std::int64_t e = 0; e < count; ++e) {
    const std::int64_t key = keys[e];
    std::int32_t& value = numbers.values[place_of(numbers, key)];
    if (value < 0) {
      value = static_cast<std::int32_t>(base + fresh);
      keys[fresh++] = key;
    }
    local[e] = value;
  }
  return fresh;
}

// Chunks are drawn by whoever comes first, and numbered in their order: while one thread numbers, the others draw.
std::int64_t draw_edges(const Draw& d, const std::int64_t* indptr, std::int64_t base, Numbers numbers,
                        std::int64_t* positions, std::int32_t* local, std::int64_t* fresh, double* scratch) {
  const std::int64_t chunks = (d.rows + kRows - 1) / kRows;
  std::int64_t found = 0;
  bool outside = false;
#pragma omp parallel for ordered num_threads(d.threads) schedule(dynamic, 1) if (d.threads > 1 && chunks > 1)
  for (std::int64_t c = 0; c < chunks; ++c) {
    const std::int64_t from = c * kRows, to = std::min(from + kRows, d.rows);
    const bool inside = d.edges.index_bytes == 4
                            ? draw_rows<std::int32_t>(d, indptr, from, to, positions, fresh, scratch)
                            : draw_rows<std::int64_t>(d, indptr, from, to, positions, fresh, scratch);
#pragma omp ordered
    {
      outside |= !inside;
      if (!outside) {
        // New keys move forward, to places that are numbered already.
        std::int64_t* keys = fresh + indptr[from];
        const std::int64_t more = number_keys(keys, indptr[to] - indptr[from], base + found, numbers, local + indptr[from]);
        std::copy(keys, keys + more, fresh + found);
        found += more;
      }
    }
  }
  return outside ? -1 : found;
}

namespace {

template <class Index, class Keep>
bool visit_kept(const Edges& edges, const std::int64_t node, const std::int32_t* place, Keep keep) {
  const auto* ends = static_cast<const Index*>(edges.ends);
  for (std::int64_t e = edges.bounds[node]; e < edges.bounds[node + 1]; ++e) {
    const auto end = static_cast<std::int64_t>(ends[e]);
    if (end < 0 || end >= edges.nodes) return false;
    if (place[end] >= 0) keep(e, place[end]);
  }
  return true;
}

template <class Keep>
bool visit(const Edges& edges, const std::int64_t node, const std::int32_t* place, Keep keep) {
  return edges.index_bytes == 4 ? visit_kept<std::int32_t>(edges, node, place, keep)
                                : visit_kept<std::int64_t>(edges, node, place, keep);
}

}  // namespace

bool induce_counts(const Edges& edges, const std::int64_t* chosen, std::int64_t rows, const std::int32_t* place,
                   std::int64_t* counts, [[maybe_unused]] int threads) {
  int bad = 0;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 256) reduction(| : bad) if (threads > 1)
  for (std::int64_t row = 0; row < rows; ++row) {
    std::int64_t count = 0;
    bad |= !visit(edges, chosen[row], place, [&](std::int64_t, std::int32_t) { ++count; });
    counts[row] = count;
  }
  return bad == 0;
}

void induce_edges(const Edges& edges, const std::int64_t* chosen, std::int64_t rows, const std::int32_t* place,
                  const std::int64_t* indptr, std::int32_t* local, std::int64_t* positions,
                  [[maybe_unused]] int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 256) if (threads > 1)
  for (std::int64_t row = 0; row < rows; ++row) {
    std::int64_t next = indptr[row];
    visit(edges, chosen[row], place, [&](std::int64_t e, std::int32_t number) {
      local[next] = number;
      positions[next++] = e;
    });
  }
}

}  // namespace gossamer

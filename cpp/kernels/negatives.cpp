// Pairs of nodes that no edge joins, each drawn by one bisection: see negatives.py.
//
// A bisection over all edges waits for memory, and for a branch that nobody can foresee, a dozen times. So a table says
// where the search may begin and end: free numbers are nearly as even as those that are drawn, and a step or two remain.
#include <algorithm>

#include "random.hpp"
#include "sampling.hpp"

namespace gossamer {
namespace {

constexpr std::int64_t kWorth = 1 << 14;  // pairs from which on threads pay

}  // namespace

void draw_free(const FreePairs& f) {
#pragma omp parallel for num_threads(f.threads) if (f.threads > 1 && f.count >= kWorth) schedule(static)
  for (std::int64_t i = 0; i < f.count; ++i) {
    Stream random(f.key, i);
    const std::int64_t rank = (f.first ? f.first[i] : 0) + random.below(f.bound[i]), part = rank >> f.shift;
    const std::int64_t* begin = f.free_below + f.guide[part];
    const std::int64_t* end = f.free_below + f.guide[part + 1];
    const std::int64_t number = rank + (std::upper_bound(begin, end, rank) - f.free_below);
    f.pairs[i] = number / f.nodes;
    f.pairs[f.count + i] = number % f.nodes;
  }
}

}  // namespace gossamer

// Binds the samplers and the skip-gram kernel; the Python face checks every argument, nothing here does.
#include <nanobind/nanobind.h>

#include <new>

#include "../kernels/sampling.hpp"
#include "../kernels/skipgram.hpp"
#include "bind.hpp"
#include "levels.hpp"

namespace nb = nanobind;
using namespace gossamer;
using namespace gossamer::bind;

namespace gossamer {
#ifdef GOSSAMER_X86
namespace avx512 {
extern const SkipGramKernels skipgram_table;
}
namespace avx2 {
extern const SkipGramKernels skipgram_table;
}
#endif
namespace baseline {
extern const SkipGramKernels skipgram_table;
}
}  // namespace gossamer

namespace {

Edges edges(Size nodes, Size types, Address bounds, Address ends, int index_bytes) {
  return {nodes, types, at<const Size>(bounds), at<const void>(ends), index_bytes};
}

Draw draw(Size nodes, Size types, Address bounds, Address ends, int index_bytes, Address weights, Address times,
          Address frontier, Size rows, Address until, Address fanouts, int pick, bool replace, std::uint64_t key,
          int threads) {
  return {edges(nodes, types, bounds, ends, index_bytes),
          at<const double>(weights),
          at<const Size>(times),
          at<const Size>(frontier),
          rows,
          at<const Size>(until),
          at<const Size>(fanouts),
          static_cast<Pick>(pick),
          replace,
          key,
          threads};
}

Walk walk(Size nodes, Address indptr, Address indices, int index_bytes, Address weights, Address starts, Size count,
          Size steps, std::uint64_t key, Address out, Address positions, int threads) {
  return {edges(nodes, 1, indptr, indices, index_bytes),
          at<const double>(weights),
          at<const Size>(starts),
          count,
          steps,
          key,
          at<Size>(out),
          at<Size>(positions),
          threads};
}

const SkipGramKernels& skipgram_kernels() {
#ifdef GOSSAMER_X86
  if (chosen_level() >= Level::avx512) return avx512::skipgram_table;
  if (chosen_level() == Level::avx2) return avx2::skipgram_table;
#endif
  return baseline::skipgram_table;
}

}  // namespace

void bind_sampling(nb::module_& m) {
  const nb::call_guard<nb::gil_scoped_release> unlocked;
  nb::class_<Draw>(m, "Draw").def("__init__", [](Draw* self, Size nodes, Size types, Address bounds, Address ends,
                                                 int index_bytes, Address weights, Address times, Address frontier,
                                                 Size rows, Address until, Address fanouts, int pick, bool replace,
                                                 std::uint64_t key, int threads) {
    new (self) Draw(draw(nodes, types, bounds, ends, index_bytes, weights, times, frontier, rows, until, fanouts, pick,
                         replace, key, threads));
  });
  m.def("draw_counts", [](const Draw& d, Address indptr) { draw_counts(d, at<Size>(indptr)); }, unlocked);
  m.def(
      "draw_edges",
      [](const Draw& d, Address indptr, Size base, Address values, Address table, Size size, Address positions,
         Address local, Address fresh, Address scratch) {
        return draw_edges(d, at<const Size>(indptr), base, {at<std::int32_t>(values), at<Size>(table), size},
                          at<Size>(positions), at<std::int32_t>(local), at<Size>(fresh), at<double>(scratch));
      },
      unlocked);
  m.def(
      "number_keys",
      [](Address keys, Size count, Size base, Address values, Address table, Size size, Address local) {
        return number_keys(at<Size>(keys), count, base, {at<std::int32_t>(values), at<Size>(table), size},
                           at<std::int32_t>(local));
      },
      unlocked);
  m.def(
      "induce_counts",
      [](Size nodes, Address indptr, Address indices, int index_bytes, Address chosen, Size rows, Address place,
         Address counts, int threads) {
        return induce_counts(edges(nodes, 1, indptr, indices, index_bytes), at<const Size>(chosen), rows,
                             at<const std::int32_t>(place), at<Size>(counts), threads);
      },
      unlocked);
  m.def(
      "induce_edges",
      [](Size nodes, Address indptr, Address indices, int index_bytes, Address chosen, Size rows, Address place,
         Address starts, Address local, Address positions, int threads) {
        induce_edges(edges(nodes, 1, indptr, indices, index_bytes), at<const Size>(chosen), rows,
                     at<const std::int32_t>(place), at<const Size>(starts), at<std::int32_t>(local),
                     at<Size>(positions), threads);
      },
      unlocked);
  nb::class_<Walk>(m, "Walk").def("__init__", [](Walk* self, Size nodes, Address indptr, Address indices,
                                                 int index_bytes, Address weights, Address starts, Size count,
                                                 Size steps, std::uint64_t key, Address out, Address positions,
                                                 int threads) {
    new (self) Walk(walk(nodes, indptr, indices, index_bytes, weights, starts, count, steps, key, out, positions,
                         threads));
  });
  m.def("walk_uniform", &walk_uniform, unlocked);
  m.def("walk_node2vec", &walk_node2vec, unlocked);
  m.def(
      "walk_temporal",
      [](const Walk& w, Address first, Address later, Address scores, bool falling) {
        return walk_temporal(w, at<const Size>(first), at<const Size>(later), at<const double>(scores), falling);
      },
      unlocked);
  m.def(
      "walk_growing",
      [](const Walk& w, Address counts, Address times, double after, int bias) {
        return walk_growing(w, {at<const Size>(counts), at<const double>(times), after, bias});
      },
      unlocked);
  m.def(
      "draw_free",
      [](Size nodes, Address free_below, Address guide, int shift, Size count, Address first, Address bound,
         std::uint64_t key, Address pairs, int threads) {
        draw_free({nodes, at<const Size>(free_below), at<const Size>(guide), shift, count, at<const Size>(first),
                   at<const Size>(bound), key, at<Size>(pairs), threads});
      },
      unlocked);
  m.def(
      "skipgram",
      [](Address vectors, Address contexts, Size nodes, Size stride, Address walks, Size count,
         Size length, Address keep, Address noise, Size window, Size negatives, double rate, double final_rate,
         Size done, Size total, std::uint64_t key, Address kept, int threads) {
        return skipgram_kernels().train({at<float>(vectors), at<float>(contexts), nodes, stride,
                                            at<const Size>(walks), count, length, at<const float>(keep),
                                            at<const std::uint64_t>(noise), window, negatives, rate, final_rate, done,
                                            total, key, at<std::int32_t>(kept), threads});
      },
      unlocked);
}

// gossamer._native: scaled sums, maxima and attention over the neighbours of nodes.
#include "../kernels/neighbours.hpp"

#include <nanobind/nanobind.h>

#include <cstring>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "bind.hpp"

namespace nb = nanobind;

namespace gossamer {
#ifdef GOSSAMER_X86
namespace avx512 {
extern const NeighbourKernels neighbours;
}
namespace avx2 {
extern const NeighbourKernels neighbours;
}
#endif
namespace baseline {
extern const NeighbourKernels neighbours;
}
}  // namespace gossamer

namespace gossamer::bind {
namespace {

const NeighbourKernels& kernels() {
#ifdef GOSSAMER_X86
  for (const NeighbourKernels* each : {&avx512::neighbours, &avx2::neighbours})
    if (std::strcmp(each->name, instruction_set()) == 0) return *each;
#endif
  return baseline::neighbours;
}

bool propagate(Size rows, Size columns, Size entries, Size features, int element, int index_bytes, Address indptr,
               Address indices, Address x, Address source, Address target, Address add, float add_scale, Address bias,
               bool relu, Address out, int threads) {
  const Propagate a{pattern(rows, columns, entries, index_bytes, indptr, indices),
                    features,
                    static_cast<Element>(element),
                    at<const void>(x),
                    at<const float>(source),
                    at<const float>(target),
                    at<const float>(add),
                    add_scale,
                    at<const float>(bias),
                    relu,
                    at<float>(out),
                    threads};
  const Scratch scratch(kernels().propagate_scratch(a));
  return kernels().propagate(a, scratch.get());
}

bool maximum(Size rows, Size columns, Size entries, Size features, int element, int index_bytes, Address indptr,
             Address indices, Address x, Address source, Address out, Address ties, int threads) {
  const Maximum a{pattern(rows, columns, entries, index_bytes, indptr, indices),
                  features,
                  static_cast<Element>(element),
                  at<const void>(x),
                  at<const float>(source),
                  at<float>(out),
                  at<float>(ties),
                  threads};
  const Scratch scratch(kernels().maximum_scratch(a));
  return kernels().maximum(a, scratch.get());
}

bool maximum_back(Size rows, Size columns, Size entries, Size features, int index_bytes, Address indptr,
                  Address indices, Address x, Address largest, Address share, Address out, int threads) {
  const MaximumBack a{pattern(rows, columns, entries, index_bytes, indptr, indices),
                      features,
                      at<const float>(x),
                      at<const float>(largest),
                      at<const float>(share),
                      at<float>(out),
                      threads};
  const Scratch scratch(kernels().maximum_back_scratch(a));
  return kernels().maximum_back(a, scratch.get());
}

Scores scores(int form, Size heads, Size features, Address near, Address far, Address far_scale, Address mix,
              float slope, float scale, std::uint32_t seed, std::uint32_t dropped, float boost) {
  return {static_cast<Score>(form), heads, features, at<const float>(near), at<const void>(far),
          at<const float>(far_scale), at<const float>(mix), slope, scale, seed, dropped, boost};
}

bool attention(Size rows, Size columns, Size entries, int index_bytes, Address indptr, Address indices, int form,
               Size heads, Size features, Address near, Address far, Address far_scale, Address mix, float slope,
               float scale, std::uint32_t seed, std::uint32_t dropped, float boost, int element, Address values,
               Address values_scale, Address out, Address tops, Address totals, int threads) {
  const Attention a{pattern(rows, columns, entries, index_bytes, indptr, indices),
                    scores(form, heads, features, near, far, far_scale, mix, slope, scale, seed, dropped, boost),
                    static_cast<Element>(element),
                    at<const void>(values),
                    at<const float>(values_scale),
                    at<float>(out),
                    at<float>(tops),
                    at<float>(totals),
                    threads};
  const Scratch scratch(kernels().attention_scratch(a));
  return kernels().attention(a, scratch.get());
}

bool attention_back(Size rows, Size columns, Size entries, int index_bytes, Address indptr, Address indices, int form,
                    Size heads, Size features, Address near, Address far, Address mix, float slope, float scale,
                    std::uint32_t seed, std::uint32_t dropped, float boost, Address edge, Address values,
                    Address norms, Address result, Address grad, Address out, Address near_grad, Address score_grad,
                    int threads) {
  const AttentionBack a{pattern(rows, columns, entries, index_bytes, indptr, indices),
                        scores(form, heads, features, near, far, 0, mix, slope, scale, seed, dropped, boost),
                        at<const void>(edge),
                        at<const float>(values),
                        at<const float>(norms),
                        at<const float>(result),
                        at<const float>(grad),
                        at<float>(out),
                        at<float>(near_grad),
                        at<float>(score_grad),
                        threads};
  const Scratch scratch(kernels().attention_back_scratch(a));
  return kernels().attention_back(a, scratch.get());
}

void head_dots(Size nodes, Size heads, Size features, Size count, Address x, Address vectors, Address out,
               int threads) {
  kernels().head_dots(
      {nodes, heads, features, count, at<const float>(x), at<const float>(vectors), at<float>(out), threads});
}

void head_dots_back(Size nodes, Size heads, Size features, Size count, Address x, Address vectors, Address grad,
                    Address x_grad, Address vectors_grad, int threads) {
  const HeadDotsBack a{nodes,
                       heads,
                       features,
                       count,
                       at<const float>(x),
                       at<const float>(vectors),
                       at<const float>(grad),
                       at<float>(x_grad),
                       at<float>(vectors_grad),
                       threads};
  const Scratch scratch(kernels().head_dots_back_scratch(a));
  kernels().head_dots_back(a, scratch.get());
}

bool leaky_sum(Size rows, Size columns, Size entries, Size heads, Size features, int index_bytes, Address indptr,
               Address indices, Address edge, Address weights, Address near, Address far, float slope, Address slopes,
               Address bent, int threads) {
  const LeakySum a{pattern(rows, columns, entries, index_bytes, indptr, indices),
                   heads,
                   features,
                   at<const void>(edge),
                   at<const float>(weights),
                   at<const float>(near),
                   at<const float>(far),
                   slope,
                   at<float>(slopes),
                   at<float>(bent),
                   threads};
  const Scratch scratch(kernels().leaky_sum_scratch(a));
  return kernels().leaky_sum(a, scratch.get());
}

// Asks the system to back memory that nobody has touched yet by large pages. Rows that are read in random order from small
// ones spend as much time on finding the page as on the row. It is a wish: that it is not granted changes no result.
void prefer_large_pages(Address begin, Size bytes) {
#if defined(__linux__)
  constexpr Address large = Address{1} << 21;
  const Address first = (begin + large - 1) / large * large, last = (begin + static_cast<Address>(bytes)) / large * large;
  if (first < last) static_cast<void>(madvise(at<void>(first), last - first, MADV_HUGEPAGE));
#else
  static_cast<void>(begin);
  static_cast<void>(bytes);
#endif
}

}  // namespace

void bind_neighbours(nb::module_& m) {
  const nb::call_guard<nb::gil_scoped_release> unlocked;
  m.def("prefer_large_pages", &prefer_large_pages);
  m.def("propagate", &propagate, unlocked);
  m.def("maximum", &maximum, unlocked);
  m.def("maximum_back", &maximum_back, unlocked);
  m.def("attention", &attention, unlocked);
  m.def("attention_back", &attention_back, unlocked);
  m.def("leaky_sum", &leaky_sum, unlocked);
  m.def("head_dots", &head_dots, unlocked);
  m.def("head_dots_back", &head_dots_back, unlocked);
}

}  // namespace gossamer::bind

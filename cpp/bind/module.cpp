// gossamer._native: chooses an instruction set and hands addresses and sizes to its kernels, without the interpreter
// lock. The Python face checks every argument; nothing here does.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

#include "../kernels/kernels.hpp"
#include "bind.hpp"
#include "levels.hpp"

namespace nb = nanobind;
using namespace gossamer;
using namespace gossamer::bind;

namespace gossamer {
#ifdef GOSSAMER_X86
namespace avx512 {
extern const Kernels table;
}
namespace avx2 {
extern const Kernels table;
}
#endif
namespace baseline {
extern const Kernels table;
}
void bind_flows(nb::module_&);
void bind_low_bits(nb::module_&);
}  // namespace gossamer

void bind_engine(nb::module_& m);
void bind_network(nb::module_& m);
void bind_sampling(nb::module_& m);
void bind_sparse_layer(nb::module_& m);

namespace {

const Kernels& kernels() {
#ifdef GOSSAMER_X86
  if (chosen_level() >= Level::avx512) return avx512::table;
  if (chosen_level() == Level::avx2) return avx2::table;
#endif
  return baseline::table;
}

bool transpose(Size rows, Size columns, Size entries, int index_bytes, Address indptr, Address indices, Address starts,
               Address to_rows, Address edge) {
  return transpose_csr(pattern(rows, columns, entries, index_bytes, indptr, indices), at<Size>(starts),
                       at<void>(to_rows), at<void>(edge));
}

bool aggregate(Size rows, Size columns, Size entries, Size heads, Size features, int index_bytes, Address indptr,
               Address indices, Address edge, Address weights, Address x, Address out, int threads) {
  const Aggregate a{pattern(rows, columns, entries, index_bytes, indptr, indices),
                    heads,
                    features,
                    at<const void>(edge),
                    at<const float>(weights),
                    at<const float>(x),
                    at<float>(out),
                    threads};
  const Scratch scratch(kernels().aggregate_scratch(a));
  return kernels().aggregate(a, scratch.get());
}

bool edge_dot(Size rows, Size columns, Size entries, Size heads, Size features, int index_bytes, Address indptr,
              Address indices, Address left, Address right, Address out, int threads) {
  return kernels().edge_dot({pattern(rows, columns, entries, index_bytes, indptr, indices), heads, features,
                           at<const float>(left), at<const float>(right), at<float>(out), threads});
}

}  // namespace

const char* gossamer::bind::instruction_set() { return kernels().name; }

NB_MODULE(_native, m) {
  const nb::call_guard<nb::gil_scoped_release> unlocked;
  m.attr("interface") = 11;
  m.def("instruction_sets", [] {
    std::vector<std::string> names;
    for (const Level level : usable_levels()) names.emplace_back(name_of(level));
    return names;
  });
  m.def("isa", [] { return std::string(name_of(chosen_level())); });
  m.def("force", &force_level);
  m.def("transpose_csr", &transpose, unlocked);
  m.def("aggregate", &aggregate, unlocked);
  m.def("edge_dot", &edge_dot, unlocked);
  bind_engine(m);
  bind_flows(m);
  bind_low_bits(m);
  bind_neighbours(m);
  bind_network(m);
  bind_sampling(m);
  bind_sparse_layer(m);
}

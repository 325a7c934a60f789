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
void bind_sampling(nb::module_& m);
void bind_sparse_layer(nb::module_& m);

namespace {

// An instruction set, and the kernels that are compiled for it or for the best one below.
struct Set {
  Level level;
  const char* name;
  const Kernels* kernels;
};

// The instruction sets that this processor has, best first.
std::vector<Set> usable() {
  std::vector<Set> found;
#ifdef GOSSAMER_X86
  __builtin_cpu_init();
  const bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vpopcntdq"))
      found.push_back({Level::avx512vnni, "avx512vnni", &avx512::table});
    found.push_back({Level::avx512, "avx512", &avx512::table});
  }
  if (fma) found.push_back({Level::avx2, "avx2", &avx2::table});
#endif
  found.push_back({Level::baseline, "baseline", &baseline::table});
  return found;
}

Set in_use = usable().front();
const Kernels* chosen = in_use.kernels;

bool force(const std::string& name) {
  for (const Set& set : usable())
    if (name == set.name) {
      in_use = set;
      chosen = set.kernels;
      return true;
    }
  return false;
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
  const Scratch scratch(chosen->aggregate_scratch(a));
  return chosen->aggregate(a, scratch.get());
}

bool edge_dot(Size rows, Size columns, Size entries, Size heads, Size features, int index_bytes, Address indptr,
              Address indices, Address left, Address right, Address out, int threads) {
  return chosen->edge_dot({pattern(rows, columns, entries, index_bytes, indptr, indices), heads, features,
                           at<const float>(left), at<const float>(right), at<float>(out), threads});
}

}  // namespace

Level gossamer::chosen_level() { return in_use.level; }
const char* gossamer::bind::instruction_set() { return chosen->name; }

NB_MODULE(_native, m) {
  const nb::call_guard<nb::gil_scoped_release> unlocked;
  m.attr("interface") = 10;
  m.def("instruction_sets", [] {
    std::vector<std::string> names;
    for (const Set& set : usable()) names.emplace_back(set.name);
    return names;
  });
  m.def("isa", [] { return std::string(in_use.name); });
  m.def("force", &force);
  m.def("transpose_csr", &transpose, unlocked);
  m.def("aggregate", &aggregate, unlocked);
  m.def("edge_dot", &edge_dot, unlocked);
  bind_engine(m);
  bind_flows(m);
  bind_low_bits(m);
  bind_neighbours(m);
  bind_sampling(m);
  bind_sparse_layer(m);
}

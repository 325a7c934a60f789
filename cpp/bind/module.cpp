// gossamer._native: chooses an instruction set and hands addresses and sizes to its kernels, without the interpreter
// lock. The Python face checks every argument; nothing here does.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

#include "../kernels/kernels.hpp"
#include "bind.hpp"

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
}  // namespace gossamer

namespace {

// The kernels that this processor can run, best first.
std::vector<const Kernels*> usable() {
  std::vector<const Kernels*> found;
#ifdef GOSSAMER_X86
  __builtin_cpu_init();
  const bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    found.push_back(&avx512::table);
  if (fma) found.push_back(&avx2::table);
#endif
  found.push_back(&baseline::table);
  return found;
}

const Kernels* chosen = usable().front();

bool force(const std::string& name) {
  for (const Kernels* kernels : usable())
    if (name == kernels->name) {
      chosen = kernels;
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

template <bool by_example>
bool csr(Size outputs, Size columns, Size batch, Size entries, int index_bytes, Address indptr, Address indices,
         Address values, Address x, Address bias, Address out, int threads) {
  const Product p{pattern(outputs, columns, entries, index_bytes, indptr, indices),
                  outputs,
                  batch,
                  at<const float>(values),
                  at<const float>(x),
                  at<const float>(bias),
                  at<float>(out),
                  threads};
  const Scratch scratch(chosen->csr_scratch(p));
  return chosen->csr(p, by_example, scratch.get());
}

template <bool by_example>
bool block(Size outputs, Size columns, Size batch, Size entries, int index_bytes, Address indptr, Address indices,
           Address values, Address x, Address bias, Address out, int threads) {
  const Product p{pattern((outputs + 15) / 16, columns, entries, index_bytes, indptr, indices),
                  outputs,
                  batch,
                  at<const float>(values),
                  at<const float>(x),
                  at<const float>(bias),
                  at<float>(out),
                  threads};
  const Scratch scratch(chosen->block_scratch(p));
  return chosen->block(p, by_example, scratch.get());
}

}  // namespace

const char* gossamer::bind::instruction_set() { return chosen->name; }

NB_MODULE(_native, m) {
  const nb::call_guard<nb::gil_scoped_release> unlocked;
  m.attr("interface") = 1;
  m.def("instruction_sets", [] {
    std::vector<std::string> names;
    for (const Kernels* kernels : usable()) names.emplace_back(kernels->name);
    return names;
  });
  m.def("isa", [] { return std::string(chosen->name); });
  m.def("force", &force);
  m.def("transpose_csr", &transpose, unlocked);
  m.def("aggregate", &aggregate, unlocked);
  m.def("edge_dot", &edge_dot, unlocked);
  m.def("csr_matmul", &csr<false>, unlocked);
  m.def("csr_linear", &csr<true>, unlocked);
  m.def("block_matmul", &block<false>, unlocked);
  m.def("block_linear", &block<true>, unlocked);
  bind_neighbours(m);
}

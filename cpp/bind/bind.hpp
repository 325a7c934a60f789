// What the bindings share: tensors come in as addresses and sizes, checked before by the Python face.
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstdint>
#include <new>

#include "../kernels/kernels.hpp"

namespace gossamer::bind {

using Address = std::uintptr_t;
using Size = std::int64_t;

template <class T>
T* at(Address address) {
  return reinterpret_cast<T*>(address);
}

inline Pattern pattern(Size rows, Size columns, Size entries, int index_bytes, Address indptr, Address indices) {
  return {rows, columns, entries, at<const Size>(indptr), at<const void>(indices), index_bytes};
}

// Memory that a kernel borrows, `count` numbers; not initialised.
template <class T = float>
class Scratch {
 public:
  explicit Scratch(std::size_t count) : memory_(new(std::align_val_t{64}) T[count + 1]) {}
  ~Scratch() { ::operator delete[](memory_, std::align_val_t{64}); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* get() const { return memory_; }

 private:
  T* memory_;
};

// The name of the instruction set in use.
const char* instruction_set();

// Each defines the functions of one family of kernels.
void bind_neighbours(nanobind::module_& m);

}  // namespace gossamer::bind

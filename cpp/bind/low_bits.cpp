// The kernels of few bits, for Python: addresses and sizes, checked by the caller.
#include "../kernels/low_bits.hpp"

#include <nanobind/nanobind.h>

#include "bind.hpp"
#include "levels.hpp"

namespace nb = nanobind;

namespace gossamer {
#ifdef GOSSAMER_X86
namespace avx512vnni {
extern const LowBits low_bits;
}
namespace avx512 {
extern const LowBits low_bits;
}
namespace avx2 {
extern const LowBits low_bits;
}
#endif
namespace baseline {
extern const LowBits low_bits;
}

namespace {

using namespace bind;

const LowBits& kernels() {
#ifdef GOSSAMER_X86
  switch (chosen_level()) {
    case Level::avx512vnni: return avx512vnni::low_bits;
    case Level::avx512: return avx512::low_bits;
    case Level::avx2: return avx2::low_bits;
    case Level::baseline: break;
  }
#endif
  return baseline::low_bits;
}

template <auto kernel>
void pack(Size rows, Size columns, Address x, float threshold, bool mean, Address given, Address words, Address scale,
          int threads) {
  (kernels().*kernel)({rows, columns, at<const float>(x), threshold, mean, at<const float>(given),
                       at<std::uint32_t>(words), at<float>(scale), threads});
}

template <auto scratch, auto kernel>
void product(Size rows, Size columns, Size words, Size outputs, Address x, Address panels, Address x_scale,
             Address scale, Address bias, Address out, int threads) {
  const WordProduct p{rows,
                      columns,
                      words,
                      outputs,
                      at<const std::uint32_t>(x),
                      at<const std::uint32_t>(panels),
                      at<const float>(x_scale),
                      at<const float>(scale),
                      at<const float>(bias),
                      at<void>(out),
                      threads};
  const LowBits& table = kernels();
  const Scratch<std::uint32_t> lent((table.*scratch)(p));
  (table.*kernel)(p, lent.get());
}

template <auto scratch, auto kernel>
void few_bits(Size rows, Size columns, Size outputs, int bits, Size group, Address x, Address x_scale, Address panels,
              Address scales, Address offsets, Address levels, std::int32_t zero, Address bias, Address out,
              int threads) {
  const FewBits p{rows,
                  columns,
                  outputs,
                  bits,
                  group,
                  at<const void>(x),
                  at<const float>(x_scale),
                  at<const std::uint32_t>(panels),
                  at<const float>(scales),
                  at<const float>(offsets),
                  at<const float>(levels),
                  zero,
                  at<const float>(bias),
                  at<float>(out),
                  threads};
  const LowBits& table = kernels();
  const Scratch<std::uint32_t> lent((table.*scratch)(p));
  (table.*kernel)(p, lent.get());
}

}  // namespace

void bind_low_bits(nb::module_& m) {
  const nb::call_guard<nb::gil_scoped_release> unlocked;
  m.def("pack_signs", &pack<&LowBits::pack_signs>, unlocked);
  m.def("pack_ternary", &pack<&LowBits::pack_ternary>, unlocked);
  m.def("pack_bytes", &pack<&LowBits::pack_bytes>, unlocked);
  m.def("binary_product", &product<&LowBits::binary_scratch, &LowBits::binary>, unlocked);
  m.def("ternary_product", &product<&LowBits::ternary_scratch, &LowBits::ternary>, unlocked);
  m.def("int8_product", &product<&LowBits::int8_scratch, &LowBits::int8>, unlocked);
  m.def("few_bits", &few_bits<&LowBits::few_bits_scratch, &LowBits::few_bits>, unlocked);
  m.def("few_bits_int8", &few_bits<&LowBits::few_bits_int8_scratch, &LowBits::few_bits_int8>, unlocked);
}

}  // namespace gossamer

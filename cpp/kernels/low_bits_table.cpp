// The table of the kernels of few bits of one instruction set.
#include "low_bits.hpp"

namespace gossamer::GOSSAMER_ISA {

void pack_signs(const Quantize&);
void pack_ternary(const Quantize&);
void pack_bytes(const Quantize&);
std::size_t binary_scratch(const WordProduct&);
void binary(const WordProduct&, std::uint32_t*);
std::size_t ternary_scratch(const WordProduct&);
void ternary(const WordProduct&, std::uint32_t*);
std::size_t int8_scratch(const WordProduct&);
void int8(const WordProduct&, std::uint32_t*);
std::size_t few_bits_scratch(const FewBits&);
void few_bits(const FewBits&, std::uint32_t*);
std::size_t few_bits_int8_scratch(const FewBits&);
void few_bits_int8(const FewBits&, std::uint32_t*);

extern const LowBits low_bits;
const LowBits low_bits{pack_signs,      pack_ternary, pack_bytes,   binary_scratch,   binary,
                       ternary_scratch, ternary,      int8_scratch, int8,             few_bits_scratch,
                       few_bits,        few_bits_int8_scratch,      few_bits_int8};

}  // namespace gossamer::GOSSAMER_ISA
